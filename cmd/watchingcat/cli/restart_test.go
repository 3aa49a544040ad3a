package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

// TestRestartsUnderEverySwitch starts one data folder again and again, under every switch that changes what is stored, with state of every
// kind in it and replays in between: it always opens, and nothing that was counted, fired or silenced is gone.
func TestRestartsUnderEverySwitch(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(3, "otlp_spans", "otlp_logs", "otlp_metrics", "watchingcat_dead_letter"))
	require.NoError(t, err)
	defer broker.Close()
	port, err := freeport.Programs.Port()
	require.NoError(t, err)
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	rules := writeFile(t, "rules.yml", "groups: [{name: g, rules: [{record: spans, expr: 'sum(calls_total)'}, {alert: Busy, expr: 'sum(calls_total) > 10'}]}]")
	base := []string{"KAFKA_BROKERS=" + strings.Join(broker.ListenAddrs(), ","), "HTTP_ADDR=" + addr,
		"DATA_DIR=" + filepath.Join(t.TempDir(), "data"), "COMMIT_INTERVAL=20ms", "MIN_FREE_DISK_BYTES=1", "RULE_FILES=" + rules}
	environ := func(settings []string) (out []string) {
		for _, s := range append(base[:len(base):len(base)], settings...) {
			out = append(out, config.EnvPrefix+s)
		}
		return out
	}
	answer := func(method, path, body string, into any) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, strings.NewReader(body))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		res, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		require.Less(t, res.StatusCode, 300, "%s %s: %s", method, path, b)
		if into != nil {
			require.NoError(t, json.Unmarshal(b, into))
		}
	}
	until := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
			require.True(t, time.Now().Before(deadline), "never: "+what)
		}
	}
	calls := func() (n float64) {
		var got struct {
			Data struct{ Result []struct{ Value [2]any } }
		}
		answer(http.MethodGet, "/prometheus/api/v1/query?query=sum(calls_total)", "", &got)
		if len(got.Data.Result) > 0 {
			_, err := fmt.Sscan(got.Data.Result[0].Value[1].(string), &n)
			require.NoError(t, err)
		}
		return n
	}
	count := func(path, list string) int {
		var got map[string]any
		answer(http.MethodGet, path, "", &got)
		rows, _ := got[list].([]any)
		return len(rows)
	}
	silences := func() int {
		var got []any
		answer(http.MethodGet, "/alertmanager/api/v2/silences", "", &got)
		return len(got)
	}
	watchingcat := func(env []string, args ...string) {
		t.Helper()
		for _, e := range env {
			name, v, _ := strings.Cut(e, "=")
			t.Setenv(name, v)
		}
		var out, errs bytes.Buffer
		require.Equal(t, exitOK, run(t.Context(), args, &out, &errs), "%s%s", &out, &errs)
	}
	watchingcat(environ(nil), "load", "--metrics", "--rate", "4000", "--spans", "4000", "--duration", "2s")

	history, counted := 0, 0.
	for i, settings := range [][]string{nil, nil, {"DEDUP_SPANS=true"}, {"DEDUP_SPANS=true"}, nil, {"DEDUP_SPANS=true", "DIMENSIONS="},
		{"DIMENSIONS=host.name", "TRACES_KEEP=notable"},
		{"RETENTION_TRACES=0s", "RETENTION_LOGS=0s"}, {"KAFKA_START=latest", "DEDUP_WINDOW=0"}, {"MEMORY_LIMIT=512MiB"}, nil} {
		what := fmt.Sprintf("start %d with %v", i, settings)
		cfg, err := config.Load(serveCommand().Flags(), environ(settings))
		require.NoError(t, err, what)
		ctx, stop := context.WithCancel(t.Context())
		served := make(chan error, 1)
		go func() { served <- serve(ctx, cfg, zerolog.Nop()) }()
		until(what+" answers", func() bool {
			select {
			case err := <-served:
				require.NoError(t, err, what)
			default:
			}
			return answers(t.Context(), addr)
		})
		until(what+" has read everything", func() bool { n := calls(); return n >= 4000 && n >= counted })
		until(what+" has its alert", func() bool { return count("/api/v1/alerts/active", "alerts") == 1 })
		require.GreaterOrEqual(t, count("/api/v1/alerts/history", "transitions")+count("/api/v1/alerts/history", "history"), history, what)
		history = count("/api/v1/alerts/history", "transitions") + count("/api/v1/alerts/history", "history")
		require.Positive(t, history, what)
		if i == 0 {
			answer(http.MethodPost, "/alertmanager/api/v2/silences",
				fmt.Sprintf(`{"matchers":[{"name":"alertname","value":"Other","isRegex":false,"isEqual":true}],"startsAt":%q,"endsAt":%q,"createdBy":"t","comment":"c"}`,
					time.Now().Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339)), nil)
		}
		require.Equal(t, 1, silences(), what)
		counted = calls()
		if i%2 == 0 {
			watchingcat(environ(nil), "replay")
			require.InDelta(t, counted, calls(), 0.5, "%s, after its replay", what)
		}
		stop()
		require.NoError(t, <-served, what)
	}
}
