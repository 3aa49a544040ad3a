package app

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"
)

// TestClientMix holds that what the load tests of clients ask is answered: a test of errors alone would be fast.
func TestClientMix(t *testing.T) {
	text, err := os.ReadFile("../../../deploy/k6/mix.json")
	require.NoError(t, err)
	var mix struct {
		Requests []struct {
			Name, Path string
			Weight     int
		}
		Subscriptions []struct {
			View   string
			Weight int
		}
	}
	require.NoError(t, json.Unmarshal(text, &mix))
	a := startApp(t, zerolog.Nop())
	a.span("cart")
	a.settled()
	now := time.Now().Unix()
	in := strings.NewReplacer("{service}", "cart", "{trace}", "01"+strings.Repeat("0", 30), "{now}", strconv.FormatInt(now, 10),
		"{hour_ago}", strconv.FormatInt(now-3600, 10))
	for _, q := range mix.Requests {
		if code, text := a.get(in.Replace(q.Path)); code != http.StatusOK || q.Weight <= 0 {
			t.Errorf("%s: %d %s", q.Name, code, text)
		}
	}
	for _, s := range mix.Subscriptions {
		conn, _, err := websocket.Dial(t.Context(), "ws://"+a.Addr()+"/ws", nil)
		require.NoError(t, err)
		conn.SetReadLimit(-1)
		require.NoError(t, conn.Write(t.Context(), websocket.MessageText, []byte(`{"type":"subscribe","id":"a","view":"`+s.View+`"}`)))
		_, frame, err := conn.Read(t.Context())
		if err != nil || !strings.HasPrefix(string(frame), `{"type":"snapshot"`) {
			t.Errorf("%s: %s %v", s.View, frame, err)
		}
		if err := conn.CloseNow(); err != nil {
			t.Error(err)
		}
	}
}
