//go:build integration

package integration

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/deploy/servers"
)

// tokenEndpoint gives unsecured tokens that live for so long, as Apache Kafka takes them without further settings.
type tokenEndpoint struct {
	life  time.Duration
	given atomic.Int64
	down  atomic.Bool
}

func (e *tokenEndpoint) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	id, secret, _ := r.BasicAuth()
	w.Header().Set("Content-Type", "application/json")
	switch {
	case e.down.Load():
		w.WriteHeader(http.StatusServiceUnavailable)
	case id != "watchingcat" || secret != "hunter2":
		w.WriteHeader(http.StatusUnauthorized)
		fmt.Fprint(w, `{"error":"invalid_client"}`)
	default:
		e.given.Add(1)
		now := float64(time.Now().UnixMilli()) / 1000
		claims, _ := json.Marshal(map[string]any{"sub": "watchingcat", "iat": now, "exp": now + e.life.Seconds()})
		part := base64.RawURLEncoding.EncodeToString
		_ = json.NewEncoder(w).Encode(map[string]any{"token_type": "bearer", "expires_in": e.life.Seconds(),
			"access_token": part([]byte(`{"alg":"none"}`)) + "." + part(claims) + "."})
	}
}

// TestKafkaTokens: Apache Kafka takes the tokens of an endpoint; the process outlives many of them and an endpoint that is down, and a wrong
// secret leaves it running and not ready.
func TestKafkaTokens(t *testing.T) {
	fetched(t, "kafka")
	k, err := servers.NewTokenKafka(*runDir, t.TempDir())
	require.NoError(t, err)
	t.Cleanup(k.Close)
	require.NoError(t, k.Start(t.Context()))
	e := &tokenEndpoint{life: 4 * time.Second}
	s := httptest.NewServer(e)
	t.Cleanup(s.Close)
	cl, err := kgo.NewClient(kgo.SeedBrokers(k.Brokers()...), kgo.DefaultProduceTopic("otlp_spans"))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	_, err = kadm.NewClient(cl).CreateTopics(t.Context(), 2, 1, nil, "otlp_spans")
	require.NoError(t, err)
	records := int64(0)
	produce := func() {
		td := ptrace.NewTraces()
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", "web")
		sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID(pcommon.TraceID{1, byte(records), byte(records >> 8)})
		sp.SetSpanID(pcommon.SpanID{1})
		sp.SetEndTimestamp(pcommon.NewTimestampFromTime(time.Now()))
		b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
		require.NoError(t, err)
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Value: b}).FirstErr())
		records++
	}
	settings := []string{"WATCHINGCAT_KAFKA_SASL_MECHANISM=OAUTHBEARER", "WATCHINGCAT_KAFKA_OAUTH_TOKEN_URL=" + s.URL,
		"WATCHINGCAT_KAFKA_OAUTH_CLIENT_ID=watchingcat"}
	right := newApp(t, k.TokenBrokers(), append(settings, "WATCHINGCAT_KAFKA_OAUTH_CLIENT_SECRET=hunter2")...)
	right.start()
	right.ready()
	for e.given.Load() < 30 { // several clients take a token each
		produce()
		time.Sleep(200 * time.Millisecond)
	}
	right.settled(records)
	e.down.Store(true)
	right.waitsFor("token endpoint", "503")
	e.down.Store(false)
	produce()
	right.ready()
	right.settled(records)

	wrong := newApp(t, k.TokenBrokers(), append(settings, "WATCHINGCAT_KAFKA_OAUTH_CLIENT_SECRET=hunter3")...)
	wrong.start()
	wrong.up()
	wrong.waitsFor("invalid_client", "WATCHINGCAT_KAFKA_OAUTH_CLIENT_ID")
	require.NotContains(t, wrong.Tail(10_000)+right.Tail(10_000), "hunter")
}

// waitsFor waits until the process is not ready for a reason with these words.
func (a *app) waitsFor(words ...string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	err := a.WaitFor(ctx, func() error {
		err := get(ctx, "http://"+a.addr+"/health/ready", nil)
		if err == nil {
			return errors.New("it is ready")
		}
		for _, w := range words {
			if !strings.Contains(err.Error(), w) {
				return fmt.Errorf("%q is not in: %w", w, err)
			}
		}
		return nil
	})
	if err != nil {
		a.t.Fatal(err)
	}
}
