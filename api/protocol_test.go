package api

import (
	"context"
	"encoding/json"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/api/live"
)

// TestTheProtocolIsAsDocumented holds websocket.md against the server: its views and filters, its messages, its frames and its codes.
func TestTheProtocolIsAsDocumented(t *testing.T) {
	doc := readFile(t, "../deploy/docs/websocket.md")
	row := regexp.MustCompile("(?m)^\\| `([a-z]+)` \\| ([^|]*) \\|")
	code := regexp.MustCompile("`([a-z_]+)`")
	words := func(text string) (out []string) {
		for _, m := range code.FindAllStringSubmatch(regexp.MustCompile(`\([^)]*\)`).ReplaceAllString(text, ""), -1) {
			out = append(out, m[1])
		}
		return out
	}
	var listed []string
	for _, m := range row.FindAllStringSubmatch(doc, -1) {
		listed = append(listed, m[1])
		i := slices.IndexFunc(live.Views, func(v *live.View) bool { return v.Name == m[1] })
		require.GreaterOrEqual(t, i, 0, m[1])
		require.Equal(t, live.Views[i].Takes, words(m[2]), "filters of %s", m[1])
	}
	require.Len(t, live.Views, len(listed))
	for status, text := range map[websocket.StatusCode]string{live.CloseSlow: "did not keep up", live.CloseEnded: "credential has ended"} {
		require.Regexp(t, "(?m)^\\| "+strconv.Itoa(int(status))+" \\| .*"+text, doc)
	}

	// What stands there as a client's message is understood, what stands there as a frame has the fields of a real one.
	shown := map[string][]string{}
	for line := range strings.Lines(doc[strings.Index(doc, "```json")+len("```json\n"):]) {
		if strings.HasPrefix(line, "```") {
			break
		}
		var f map[string]any
		require.NoError(t, json.Unmarshal([]byte(strings.NewReplacer("{…}", "{}", "[…]", "[]").Replace(line)), &f), line)
		shown[f["type"].(string)] = slices.Sorted(maps.Keys(f))
	}
	require.Equal(t, []string{"delta", "error", "pong", "resumed", "snapshot"}, slices.Sorted(maps.Keys(shown)))
	onPipes(t, func(b *bench, connect func() *peer) {
		p := connect()
		frame := func() (typ string, fields map[string]any) {
			_, data, err := p.conn.Read(context.Background())
			require.NoError(t, err)
			require.NoError(t, json.Unmarshal(data, &fields))
			typ = fields["type"].(string)
			require.Equal(t, shown[typ], slices.Sorted(maps.Keys(fields)), "%s", data)
			return typ, fields
		}
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		var stream string
		for _, m := range regexp.MustCompile("(?m)^\\| `(\\{\"type\".*?\\})` \\|").FindAllStringSubmatch(doc, -1) {
			text := strings.NewReplacer(`{…}`, `{}`, `…`, `x`).Replace(m[1])
			p.send(text)
			switch {
			case strings.Contains(text, `"subscribe"`):
				typ, f := frame()
				require.Equal(t, "snapshot", typ, "the cursor is of an unknown stream")
				stream = f["stream"].(string)
				b.record("2s 1ms cart server GET id=t2/a")
				b.commit()
				typ, _ = frame()
				require.Equal(t, "delta", typ)
			case strings.Contains(text, `"ping"`):
				typ, _ := frame()
				require.Equal(t, "pong", typ)
			}
		}
		require.NotEmpty(t, stream)
		p.send(`{"type":"subscribe","id":"a","view":"services","filter":{},"cursor":2,"stream":"` + stream + `"}`)
		p.send(`{"type":"subscribe","id":"a","view":"x"}`)
		var got []string
		for len(got) < 2 {
			typ, _ := frame()
			got = append(got, typ)
		}
		require.Contains(t, got, "error")
		p.leave()
	})
}
