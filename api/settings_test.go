package api

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/status"
)

func TestSettings(t *testing.T) {
	var failure error
	b := newBench(t, func(c *Config) {
		c.Installation = status.Installation{Started: time.Unix(5, 0).UTC(),
			Settings: []status.Setting{{Group: "storage", Name: "WATCHINGCAT_RETENTION_10S", Value: "6h0m0s", Default: "6h0m0s", Help: "how long"}},
			Stores: []status.Store{{Name: "jaeger", Address: "http://jaeger:16686", Setting: "WATCHINGCAT_JAEGER_URL",
				Probe: func(context.Context) error { return failure }}, {Name: "prometheus", Setting: "WATCHINGCAT_PROMETHEUS_URL"}}}
	})
	s := b.ask("GET", "/api/v1/settings", "", 200)
	require.Len(t, s["settings"], 1)
	require.Equal(t, "1.2.3", s["about"].(map[string]any)["version"])
	require.Equal(t, "1970-01-01T00:00:05Z", s["about"].(map[string]any)["started_at"])
	list := s["backends"].([]any)
	require.Equal(t, "http://jaeger:16686", list[0].(map[string]any)["address"])
	require.Nil(t, list[1].(map[string]any)["address"])

	require.Equal(t, true, b.ask("POST", "/api/v1/backends/jaeger/test", "", 200)["ok"])
	failure = errors.New("connection refused")
	r := b.ask("POST", "/api/v1/backends/jaeger/test", "", 200)
	require.Equal(t, false, r["ok"])
	require.Equal(t, "connection refused", r["error"])
	b.ask("POST", "/api/v1/backends/prometheus/test", "", 404)
	b.ask("POST", "/api/v1/backends/mars/test", "", 400)
}
