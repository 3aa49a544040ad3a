package api

import (
	"bufio"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/api/live"
)

// listener reads an event stream.
type listener struct {
	t    testing.TB
	body io.ReadCloser
	in   *bufio.Scanner
}

func listen(t *testing.T, client *http.Client, query, cursor string) *listener {
	t.Helper()
	h := http.Header{}
	if cursor != "" {
		h.Set("Last-Event-ID", cursor)
	}
	return listenAt(t, client, "/api/v1/live?"+query, h)
}

func listenAt(t testing.TB, client *http.Client, target string, h http.Header) *listener {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, "http://watchingcat"+target, nil)
	require.NoError(t, err)
	req.Header = h
	resp, err := client.Do(req)
	require.NoError(t, err)
	require.Equal(t, http.StatusOK, resp.StatusCode)
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	t.Cleanup(func() { _ = resp.Body.Close() }) // some tests have closed it
	l := &listener{t, resp.Body, bufio.NewScanner(resp.Body)}
	l.in.Buffer(nil, 1<<20)
	return l
}

// next is the next event: its name, id and data.
func (l *listener) next() (name, id string, data map[string]any) {
	l.t.Helper()
	for l.in.Scan() {
		line := l.in.Text()
		field, v, _ := strings.Cut(line, ": ")
		switch field {
		case "event":
			name = v
		case "id":
			id = v
		case "data":
			require.NoError(l.t, json.Unmarshal([]byte(v), &data))
		}
		if line == "" && name != "" {
			return name, id, data
		}
	}
	return "", "", nil
}

// TestStreamSendsWhatTheWebSocketSends, from one computation, and goes on from a cursor.
func TestStreamSendsWhatTheWebSocketSends(t *testing.T) {
	liveHTTP(t, func(b *bench, connect func() *peer, client *http.Client) {
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		p := connect()
		p.send(`{"type":"subscribe","id":"services","view":"services","filter":{"range":"5m"}}`)
		want := p.want("snapshot", "services", 1)
		l := listen(t, client, "view=services&range=5m", "")
		name, id, got := l.next()
		require.Equal(t, "snapshot", name)
		require.Regexp(t, `^1@[A-Z2-7]{26}\.-1$`, id)
		require.Equal(t, want, got["data"])
		b.record("2s 1ms pay server GET id=t2/a")
		b.commit()
		want = p.want("delta", "services", 2)
		name, id, got = l.next()
		require.Equal(t, "delta", name)
		require.Regexp(t, `^2@`, id)
		require.Equal(t, want, got["data"])
		require.Equal(t, 2.0, got["seq"])
		require.Equal(t, 1, b.computed())
		require.NoError(t, l.body.Close())

		l = listen(t, client, "view=services&service=cart", "41")
		name, id, got = l.next()
		require.Equal(t, "snapshot", name)
		require.Regexp(t, `^42@`, id)
		require.Len(t, got["data"].(map[string]any)["services"], 1)
		require.NoError(t, l.body.Close())
		p.leave()
	})
}

func TestStreamCutsOffWhoDoesNotRead(t *testing.T) {
	liveHTTP(t, func(b *bench, _ func() *peer, client *http.Client) {
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		l := listen(t, client, "view=pipeline", "")
		for i := range 12 { // frames of which the connection holds none, and the queue two
			b.record("2s 1ms cart server GET id=u" + string(rune('a'+i)) + "/a")
			b.commit()
			time.Sleep(time.Second)
		}
		var names []string
		for {
			name, id, data := l.next()
			if names = append(names, name); name == "closed" {
				require.Equal(t, float64(live.CloseSlow), data["code"])
				require.Empty(t, id)
				break
			}
			require.NotEmpty(t, name, names)
		}
		require.Equal(t, 1.0, counted(t, b, "watchingcat_ws_slow_clients_total", ""))
		name, _, _ := l.next()
		require.Empty(t, name, "the stream has ended")
		require.NoError(t, l.body.Close())
	}, func(c *Config) { c.Limits.Queue = 2 })
}

func TestStreamsEndWithTheServer(t *testing.T) {
	liveHTTP(t, func(b *bench, _ func() *peer, client *http.Client) {
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		l := listen(t, client, "view=services", "")
		name, _, _ := l.next()
		require.Equal(t, "snapshot", name)
		go b.s.Close()
		name, _, data := l.next()
		require.Equal(t, "closed", name)
		require.Equal(t, float64(websocket.StatusGoingAway), data["code"])
		require.NoError(t, l.body.Close())
	})
}

func TestStreamRefusesBadQuestions(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Limits.Clients = -1 })
	for query, code := range map[string]string{"": "invalid_parameter", "view=x": "invalid_parameter",
		"view=pipeline&service=cart": "invalid_filter", "view=services&range=x": "invalid_duration",
		"view=services&colour=red": "unknown_parameter", "view=services": "too_many_clients"} {
		w := b.get("/api/v1/live?" + query)
		require.Contains(t, w.Body.String(), `"code":"`+code+`"`, query)
		require.Contains(t, []int{400, 503}, w.Code)
	}
}
