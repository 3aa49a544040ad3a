package api

import (
	"bufio"
	"context"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/caller"
)

// held is a connection that a client keeps.
type held struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func hold(t *testing.T, addr string) *held {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	return &held{t, conn, bufio.NewReader(conn)}
}

// get returns the status of a request, 0 where the connection was closed.
func (h *held) get(path string, headers ...string) int {
	h.t.Helper()
	_, err := h.Write([]byte("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"))
	if err != nil {
		return 0
	}
	resp, err := http.ReadResponse(h.r, nil)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		_, err = bufio.NewReader(resp.Body).WriteTo(discard{})
		require.NoError(h.t, err)
	}
	return resp.StatusCode
}

type discard struct{}

func (discard) Write(p []byte) (int, error) { return len(p), nil }

// begun makes the server wait for the rest of a request, so that the connection is not idle.
func (h *held) begun() {
	_, err := h.Write([]byte("GET /livez HTTP/1.1\r\nHost:"))
	require.NoError(h.t, err)
}

const upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="

func TestConnectionsAreBounded(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Connections = func(int) int { return 3 } })
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- b.s.Serve(ctx, l) }()
	addr, conns := l.Addr().String(), b.s.connections
	idle := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			_, got, _ := conns.Open()
			return got == n
		}, 2*time.Minute, time.Millisecond)
	}
	refused := func(outcome string, n int) {
		t.Helper()
		require.Eventually(t, func() bool { return counted(t, b, "watchingcat_http_connections_refused_total", outcome) == float64(n) },
			2*time.Minute, time.Millisecond, outcome)
	}

	// a WebSocket and two others fill it
	ws := hold(t, addr)
	require.Equal(t, http.StatusSwitchingProtocols, ws.get("/ws", upgrade))
	one, two := hold(t, addr), hold(t, addr)
	require.Equal(t, 200, one.get("/api/v1/services"))
	require.Equal(t, 200, two.get("/api/v1/services"))
	idle(2)

	// a new one takes the place of an idle one
	three := hold(t, addr)
	require.Equal(t, 200, three.get("/api/v1/services"))
	refused("idle", 1)
	require.Equal(t, 200, two.get("/livez")+one.get("/livez"), "one of both was closed")

	// where none is idle, requests are answered with 503, those for the health of the process as ever
	idle(2)
	busy := []*held{hold(t, addr), hold(t, addr)}
	for _, h := range busy {
		h.begun()
	}
	refused("idle", 3)
	for i := range caller.ExtraConnections {
		over := hold(t, addr)
		if i == 0 {
			require.Equal(t, http.StatusServiceUnavailable, over.get("/api/v1/services"))
			require.Equal(t, 0, over.get("/livez"), "the connection ends with its answer")
			continue
		}
		refused("unavailable", i+1)
		if i == 1 {
			require.Equal(t, 200, over.get("/livez"))
		}
	}
	// those two are closed; fill up, and one more
	require.Eventually(t, func() bool {
		_, _, extra := conns.Open()
		return extra == caller.ExtraConnections-2
	}, 2*time.Minute, time.Millisecond)
	for i := range 2 {
		hold(t, addr)
		refused("unavailable", caller.ExtraConnections+1+i)
	}
	require.Equal(t, 0, hold(t, addr).get("/livez"))
	refused("closed", 1)
	require.Equal(t, float64(3), gaugeOf(t, b, "watchingcat_http_connections_limit"))

	// when clients are gone there is room again
	_ = ws.Close()
	require.Eventually(t, func() bool { return hold(t, addr).get("/api/v1/services") == 200 }, 2*time.Minute, 10*time.Millisecond)
	stop()
	for _, h := range busy {
		_ = h.Close()
	}
	require.NoError(t, <-ended)
	require.Eventually(t, func() bool {
		all, _, extra := conns.Open()
		return all == 0 && extra == 0
	}, 2*time.Minute, time.Millisecond)
}

func gaugeOf(t *testing.T, b *bench, name string) float64 {
	t.Helper()
	return metricOf(t, b, name, "").GetGauge().GetValue()
}

// counted is a counter as /metrics has it; label is the value of its only label.
func counted(t *testing.T, b *bench, name, label string) float64 {
	t.Helper()
	return metricOf(t, b, name, label).GetCounter().GetValue()
}

// metricOf is a metric of the registry by the value of its only label; 0 where nothing is counted yet.
func metricOf(t *testing.T, b *bench, name, label string) *dto.Metric {
	t.Helper()
	families, err := b.reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			if f.GetName() == name && (label == "" || m.GetLabel()[0].GetValue() == label) {
				return m
			}
		}
	}
	require.NotEmpty(t, label, "no %s", name)
	return &dto.Metric{}
}
