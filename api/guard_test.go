package api

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestBrowsersOfOtherSites: a page of another site makes no change, on whatever path, and with DNS rebinding reads nothing either.
func TestBrowsersOfOtherSites(t *testing.T) {
	b := newBench(t)
	server := httptest.NewServer(b.s.Handler())
	t.Cleanup(server.Close)
	send := func(method, path, body string, header ...string) int {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+path, strings.NewReader(body))
		require.NoError(t, err)
		for i := 0; i < len(header); i += 2 {
			if header[i] == "Host" {
				r.Host = header[i+1]
				continue
			}
			r.Header.Set(header[i], header[i+1])
		}
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		_, err = io.Copy(io.Discard, res.Body)
		require.NoError(t, err)
		return res.StatusCode
	}
	rule := `{"name":"Evil","expr":"vector(1)"}`
	for _, path := range []string{"/api/v1/alerts", "/api/v1/replays", "/api/v1/receivers/x/test", "/prometheus/config/v1/rules/evil",
		"/alertmanager/api/v2/silences",
		"/alertmanager/api/v2/alerts", "/prometheus/api/v1/query", "/jaeger/api/transform", "/api/v1/nothing"} {
		for _, from := range [][]string{{"Origin", "http://evil.example", "Sec-Fetch-Site", "cross-site"},
			{"Origin", "http://evil.example"}, {"Origin", "null"}, {"Sec-Fetch-Site", "same-site"}} {
			require.Equal(t, http.StatusForbidden, send(http.MethodPost, path, rule, append(from, "Content-Type", "text/plain")...),
				"%s from %v", path, from)
		}
		require.Equal(t, http.StatusForbidden,
			send(http.MethodPost, path, rule, "Host", "evil.example:8090", "Origin", "http://evil.example:8090", "Sec-Fetch-Site",
				"same-origin"), path)
	}
	for _, path := range []string{"/", "/api/v1/services", "/prometheus/api/v1/query?query=1", "/jaeger/api/services", "/metrics", "/ws",
		"/api/v1/logs/tail"} {
		require.Equal(t, http.StatusForbidden, send(http.MethodGet, path, "", "Host", "evil.example"), path)
	}
	host := strings.TrimPrefix(server.URL, "http://")
	for _, name := range []string{host, "localhost", "localhost:8090", "watchingcat:8090", "watchingcat.monitoring.svc.cluster.local.svc",
		"[::1]:8090", "10.1.2.3"} {
		require.Equal(t, http.StatusOK, send(http.MethodGet, "/api/v1/services", "", "Host", name), name)
	}
	// programs and our own page
	require.Equal(t, http.StatusOK, send(http.MethodPost, "/prometheus/api/v1/query", "query=1", "Content-Type",
		"application/x-www-form-urlencoded"))
	require.Equal(t, http.StatusOK, send(http.MethodPost, "/prometheus/api/v1/query", "query=1", "Content-Type",
		"application/x-www-form-urlencoded", "Origin", server.URL, "Sec-Fetch-Site", "same-origin"))
	require.Equal(t, http.StatusOK, send(http.MethodPost, "/prometheus/api/v1/query", "query=1", "Content-Type",
		"application/x-www-form-urlencoded", "Origin", server.URL))

	c, err := net.Dial("tcp", host)
	require.NoError(t, err)
	defer c.Close()
	fmt.Fprintf(c, "GET /ws HTTP/1.1\r\nHost: %s\r\nOrigin: http://evil.example\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", host)
	status, err := bufio.NewReader(c).ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, status, "403")
}
