//go:build integration

package live

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"
)

var kosoku = flag.String("kosoku", "../../deploy/servers/run/kosoku/bin/kosoku", "program that runs the cases of the Autobahn test suite")

// TestAutobahn runs the cases of the Autobahn test suite against an echo made of what /ws is made of.
func TestAutobahn(t *testing.T) {
	program, err := filepath.Abs(*kosoku)
	require.NoError(t, err)
	require.FileExists(t, program, "run deploy/servers/setup.sh kosoku first, as make integration does")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, &websocket.AcceptOptions{CompressionMode: websocket.CompressionDisabled})
		if err != nil {
			return
		}
		conn.SetReadLimit(64 << 20)
		defer conn.CloseNow()
		ctx, cancel := context.WithTimeout(r.Context(), time.Minute)
		defer cancel()
		for {
			typ, data, err := readMessage(ctx, conn)
			if err != nil || conn.Write(ctx, typ, data) != nil {
				return
			}
		}
	}))
	defer server.Close()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Minute)
	defer cancel()
	// 12, 13: compression, which /ws does not offer
	out, err := exec.CommandContext(ctx, program, "-o", dir, "-x", "12.*", "-x", "13.*", "-p", "2",
		"ws"+strings.TrimPrefix(server.URL, "http")).CombinedOutput()
	t.Logf("%s", out[max(0, len(out)-1500):])
	b, rerr := os.ReadFile(filepath.Join(dir, "index.json"))
	require.NoError(t, rerr, "%v", err)
	var agents map[string]map[string]struct{ Behavior, BehaviorClose string }
	require.NoError(t, json.Unmarshal(b, &agents))
	passed := 0
	for _, cases := range agents {
		for id, c := range cases {
			switch c.Behavior {
			case "FAILED":
				// The library answers a close frame whose reason is not UTF-8 with the code it came with.
				require.Equal(t, "7.5.1", id)
			case "OK", "NON-STRICT", "INFORMATIONAL":
				passed++
			default:
				t.Errorf("case %s: %s, close %s", id, c.Behavior, c.BehaviorClose)
			}
		}
	}
	require.Greater(t, passed, 200)
	t.Logf("%d cases", passed)
}
