package api

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// FuzzQueryStrings asks every path that reads its own parameters with made-up ones: whatever is asked, nothing breaks.
func FuzzQueryStrings(f *testing.F) {
	paths := []string{"/jaeger/api/operations", "/jaeger/api/traces", "/jaeger/api/traces/1", "/jaeger/api/dependencies", "/jaeger/api/metrics/latencies", "/jaeger/api/metrics/calls",
		"/jaeger/api/metrics/errors", "/jaeger/api/v3/operations", "/jaeger/api/v3/traces", "/jaeger/api/v3/trace-summaries", "/prometheus/api/v1/metadata", "/api/v1/traces",
		"/api/v1/logs", "/api/v1/logs/volume", "/api/v1/services", "/api/v1/servicemap", "/api/v1/metrics/labels", "/api/v1/errors"}
	for i, q := range []string{"service=web&spanKind=server", "service=web&tags={\"error\":\"true\"}&minDuration=1ms&limit=3&start=0&end=60000000", "", "endTs=60000&lookback=60000",
		"service=web&quantile=0.9&endTs=60000&lookback=60000&step=1000&ratePer=60000&groupByOperation=true", "service=web&endTs=9e18", "service=a&service=b&spanKind=client", "service=web",
		"query.start_time_min=1970-01-01T00:00:00Z&query.start_time_max=1970-01-01T00:01:00Z&query.attributes={}", "query.startTimeMin=1970-01-01T02:00:00+02:00&query.startTimeMax=2262-04-11T23:47:16Z&query.searchDepth=-1",
		"limit=2", "start=0&end=1e3&attributes=a=b&order=slowest", "start=0&text=a&next=eyJlZGdlIjoxfQ", "start=0&step=1us", "start=253402300799&end=253402300799", "start=0&compare_start=1&compare_end=2", "name=x&match=up", "step=1s"} {
		f.Add(uint8(i), q)
	}
	b := newBench(f)
	store := &archive{bench: newBench(f)}
	b.s.cfg.Stores = Stores{Traces: store, Logs: archiveLogs{store}}
	for _, one := range []*bench{b, store.bench} {
		one.record("10s 40ms web server GET/cart id=t1/a", "10.005s 30ms cart server get id=t1/b<a error")
		one.record("11s cart INFO id=t1/a | hello")
		one.commit()
		one.s.cfg.Logger = zerolog.Nop()
	}
	b.s.cfg.QueryTimeout = time.Second
	f.Fuzz(func(t *testing.T, path uint8, query string) {
		q, err := url.ParseQuery(query)
		if err != nil || strings.Contains(query, "min_position") { // which waits
			return
		}
		store.t = t
		w := httptest.NewRecorder()
		b.s.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, paths[int(path)%len(paths)]+"?"+q.Encode(), nil))
		require.NotEqual(t, 500, w.Code, "%s", w.Body)
	})
}
