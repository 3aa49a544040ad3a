package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/api/answer"
)

// FuzzEventIDs: ids of events that are understood mean the same when they are written again.
func FuzzEventIDs(f *testing.F) {
	for _, v := range []string{"A", "5@x.3", "18446744073709551615@.-1", "YQ"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		at := placeOf(v)
		require.Equal(t, at, placeOf(fmt.Sprintf("%d@%s", at.cursor, at.stream)))
	})
}

// FuzzMessages: whatever comes over a WebSocket is answered by a frame of the protocol or makes a subscription, and a filter means the
// same when it is written again.
func FuzzMessages(f *testing.F) {
	for _, v := range []string{
		`{"type":"subscribe","id":"1","view":"services","filter":{"range":"15m","service":"web"},"cursor":3,"stream":"x.1"}`,
		`{"type":"unsubscribe","id":"1"}`, `{"type":"ping","id":"x"}`, `{"type":"odd"}`, `[1`, `{}`,
		`{"type":"subscribe","id":"2","view":"logs","filter":{"severity":"WARN","trace_id":"1"}}`,
		`{"type":"subscribe","id":"3","view":"alerts","filter":{"state":"firing","every":"2s"}}`,
		`{"type":"subscribe","id":"4","view":"servicemap","filter":null}`} {
		f.Add(true, []byte(v))
	}
	f.Add(false, []byte("{}"))
	h := NewHub(Config{Writer: &answer.Writer{}, Registry: prometheus.NewRegistry()})
	h.Close() // no topic starts: what is asked for is looked at
	f.Fuzz(func(t *testing.T, text bool, data []byte) {
		c := &client{hub: h, queue: make(chan []frame, 4), slow: make(chan struct{}), subs: map[string]*subscription{}}
		typ := websocket.MessageBinary
		if text {
			typ = websocket.MessageText
		}
		require.NoError(t, c.handle(typ, data))
		require.Empty(t, c.subs)
		require.Len(t, c.queue, 1)
		var r reply
		require.NoError(t, json.Unmarshal((<-c.queue)[0].head, &r))
		if r.Type != "pong" {
			require.Equal(t, "error", r.Type)
			require.NotEmpty(t, r.Code)
			require.NotEmpty(t, r.Error)
			require.NotEmpty(t, r.Advice)
			require.NotEqual(t, "internal", r.Code, "%s", data)
		}
		for _, v := range Views {
			got, err := v.parseFilter(data)
			if err != nil {
				require.True(t, errors.Is(err, answer.ErrBadRequest), "%v", err)
				continue
			}
			again, err := json.Marshal(got)
			require.NoError(t, err)
			same, err := v.parseFilter(again)
			require.NoError(t, err, "%s", again)
			require.Equal(t, got, same)
		}
	})
}
