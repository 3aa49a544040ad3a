package cli

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// The command asks for the range and the baseline that its flags name, and prints the cause before the candidates.
func TestExplainCommand(t *testing.T) {
	var asked string
	answer := `{"data":{"service":"web","from":"2026-01-01T00:00:00Z","at":"2026-01-01T00:05:00Z","baseline":"2025-12-31T23:00:00Z",
		"baseline_end":"2026-01-01T00:00:00Z","baseline_reason":"day_before","confidence":0.8,"cause":{"name":"pay","signal":"cpu","subject":"k8s.pod.cpu.usage","before":0.1,"now":0.9},
		"candidates":[{"name":"pay","score":0.9,"terms":[{"signal":"cpu","subject":"k8s.pod.cpu.usage","before":0.1,"now":0.9,"unit":"cores"},
		{"signal":"latency","before":10,"now":40,"unit":"ms"}]}],"missing":["patterns: gone"]},"meta":{}}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/api/v1/services" {
			_, _ = w.Write([]byte(`{"services":[],"meta":{"up_to":"2026-01-01T00:05:00Z"}}`))
			return
		}
		asked = r.URL.Path + "?" + r.URL.RawQuery
		_, _ = w.Write([]byte(answer))
	}))
	defer s.Close()
	run := func(args ...string) (string, error) {
		t.Helper()
		var out bytes.Buffer
		root := rootCommand()
		root.SetArgs(append([]string{"explain", "--server-url", s.URL}, args...))
		root.SetOut(&out)
		root.SetErr(io.Discard)
		err := root.ExecuteContext(t.Context())
		return out.String(), err
	}
	out, err := run("web", "--window", "5m")
	require.NoError(t, err)
	require.Equal(t, "/api/v1/explain?end=1767225900&service=web&start=1767225600", asked)
	require.Equal(t, `pay uses more CPU: k8s.pod.cpu.usage is 0.9, 0.1 before (confidence 80 %)
2026-01-01T00:00:00Z to 2026-01-01T00:05:00Z, compared with 2025-12-31T23:00:00Z to 2026-01-01T00:00:00Z, the same hour of the day before

candidate  score  signal   before  now  unit   of
pay        0.90   cpu      0.1     0.9  cores  k8s.pod.cpu.usage
                  latency  10      40   ms     
missing: patterns: gone
`, out)
	_, err = run("--at", "2026-01-01T00:01:00Z", "--window", "1m", "--baseline", "10m")
	require.NoError(t, err)
	require.Equal(t, "/api/v1/explain?compare_start=1767225000&end=1767225660&start=1767225600", asked)
	for _, args := range [][]string{{"--at", "soon"}, {"--window", "0s"}, {"a", "b"}} {
		_, err = run(args...)
		require.Error(t, err, args)
	}
	var usage config.UsageError
	_, err = run("--at", "soon")
	require.ErrorAs(t, err, &usage)
	answer = `{"data":{"service":"web","candidates":[{"name":"a","score":0.1}],"confidence":0.1},"meta":{}}`
	out, err = run("web")
	require.NoError(t, err)
	require.Contains(t, out, "No cause stands out (confidence 10 %)")
	answer = `{"data":{"service":"web"},"meta":{}}`
	out, err = run("web")
	require.NoError(t, err)
	require.Contains(t, out, "Nothing at or below web is worse than before.")
}
