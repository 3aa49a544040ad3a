package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/apptest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

func TestFaultsOfTheDemoComeInTurn(t *testing.T) {
	faults, err := faultsNamed([]string{"pod", "database"})
	require.NoError(t, err)
	for since, want := range map[time.Duration]string{0: "", demoQuiet: "cart", demoQuiet + demoFault: "", demoCycle: "",
		demoCycle + demoQuiet: "reviews", 2*demoCycle + demoQuiet: "cart"} {
		got := ""
		if f := faults.at(since); f != nil {
			got = f.Service + f.Database
		}
		require.Equal(t, want, got, since)
	}
	_, err = faultsNamed([]string{"pods"})
	require.ErrorContains(t, err, "deployment, database, retries, pod")
	none, err := faultsNamed([]string{"none"})
	require.NoError(t, err)
	require.Nil(t, none.at(demoQuiet))
}

// The demo has services in two environments, and an SLO that is made once: what a user deletes stays deleted.
func TestDemo(t *testing.T) {
	port, err := freeport.Programs.Port()
	require.NoError(t, err)
	addr, dir := fmt.Sprintf("127.0.0.1:%d", port), t.TempDir()
	answer := func(method, path string, into any) bool {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://"+addr+path, http.NoBody)
		require.NoError(t, err)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return false
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		require.NoError(t, err)
		return res.StatusCode < 300 && (into == nil || json.Unmarshal(b, into) == nil)
	}
	slos := func() (ids []string) {
		var list struct{ SLOs []struct{ ID string } }
		require.True(t, answer("GET", "/api/v1/slos", &list))
		for _, s := range list.SLOs {
			ids = append(ids, s.ID)
		}
		return ids
	}
	for start := range 2 {
		cfg, err := config.Load(demoCommand().Flags(), []string{config.EnvPrefix + "DATA_DIR=" + dir, config.EnvPrefix + "HTTP_ADDR=" + addr,
			config.EnvPrefix + "OTLP_GRPC_ADDR=127.0.0.1:0", config.EnvPrefix + "OTLP_HTTP_ADDR=127.0.0.1:0"})
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		ended, logs := make(chan error, 1), &apptest.Lines{}
		go func() { ended <- runDemo(ctx, cfg, demoKinds, false, logs, logs) }()
		until := func(what string, ok func() bool) {
			t.Helper()
			for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
				require.True(t, time.Now().Before(deadline), "never: "+what)
			}
		}
		until("services of both environments", func() bool {
			var list struct {
				Services []struct{ Dimensions map[string]string }
			}
			seen := map[string]int{}
			if answer("GET", "/api/v1/services?limit=500", &list) {
				for _, s := range list.Services {
					seen[s.Dimensions["deployment.environment.name"]]++
				}
			}
			return seen["production"] > 15 && seen["staging"] > 3
		})
		if start == 0 {
			until("an SLO", func() bool { return len(slos()) == 1 })
			require.True(t, answer("DELETE", "/api/v1/slos/checkout", nil))
		} else {
			until("the config topic is read", func() bool { return answer("GET", "/readyz", nil) })
			require.Empty(t, slos())
		}
		cancel()
		require.NoError(t, <-ended)
	}
}
