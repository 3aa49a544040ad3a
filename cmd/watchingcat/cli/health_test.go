package cli

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestHealth: the exit code is that of the server, over TLS with any certificate too.
func TestHealth(t *testing.T) {
	asked := ""
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if asked = r.URL.Path; asked == "/readyz" {
			http.Error(w, "otlp_spans is behind", http.StatusServiceUnavailable)
		}
	})
	plain, secure := httptest.NewServer(handler), httptest.NewTLSServer(handler)
	defer plain.Close()
	defer secure.Close()
	health := func(args ...string) (int, string) {
		var out bytes.Buffer
		return run(t.Context(), append([]string{"health"}, args...), &out, &out), out.String()
	}
	addr := strings.TrimPrefix(plain.URL, "http://")
	code, out := health("--http-addr", addr)
	require.Equal(t, exitOK, code, out)
	require.Equal(t, "/livez", asked)
	code, out = health("--http-addr", strings.Replace(addr, "127.0.0.1", "0.0.0.0", 1), "--auth-enabled=false")
	require.Equal(t, exitOK, code, out)
	code, out = health("--ready", "--http-addr", addr)
	require.Equal(t, exitFailure, code)
	require.Equal(t, "/readyz", asked)
	require.Contains(t, out, "otlp_spans is behind")
	cert := writeFile(t, "cert.pem", "")
	asked = ""
	code, out = health("--http-addr", strings.TrimPrefix(secure.URL, "https://"), "--tls-cert", cert, "--tls-key", cert)
	require.Equal(t, exitOK, code, out)
	require.Equal(t, "/livez", asked)
	plain.Close()
	code, _ = health("--http-addr", addr)
	require.Equal(t, exitFailure, code)
}

func TestLocalAddr(t *testing.T) {
	for in, want := range map[string]string{":80": "127.0.0.1:80", "0.0.0.0:80": "127.0.0.1:80", "[::]:80": "[::1]:80", "10.1.2.3:80": "10.1.2.3:80"} {
		require.Equal(t, want, localAddr(in))
	}
}
