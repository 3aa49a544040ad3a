package api

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/views/viewstest"
)

func TestOnboarding(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Kafka = status.Kafka{Brokers: []string{"kafka:9092"}, TLS: true, SASLMechanism: "PLAIN", Traces: viewstest.Topic, Logs: "lines",
			Embedded: true, OTLP: &status.OTLP{GRPC: "127.0.0.1:4317", TLS: true, Token: true}}
	})
	b.pipe.partitions = []progress.Partition{{Topic: viewstest.Topic, Partition: -1, Err: errors.New("connection refused")},
		{Topic: "lines", Partition: -1, Err: errors.New("connection refused")}}
	o := b.ask("GET", "/api/v1/onboarding", "", 200)
	require.Equal(t, false, o["reachable"])
	require.Equal(t, "connection refused", o["error"])
	require.Equal(t, true, o["embedded"])
	require.Equal(t, map[string]any{"grpc": "127.0.0.1:4317", "http": nil, "tls": true, "token": true}, o["otlp"])

	// One topic exists and is empty, one does not, metrics are not read.
	b.pipe.partitions = []progress.Partition{{Topic: viewstest.Topic, Partition: 0},
		{Topic: "lines", Partition: -1, NoTopic: true, Err: errors.New("topic does not exist yet")}}
	o = b.ask("GET", "/api/v1/onboarding", "", 200)
	require.Equal(t, true, o["reachable"])
	require.Nil(t, o["error"])
	one, err := json.Marshal(o["topics"])
	require.NoError(t, err)
	require.JSONEq(t, `[{"signal":"traces","topic":"`+viewstest.Topic+`","exists":true,"records":0,"received":0,"error":null},
		{"signal":"metrics","topic":null,"exists":false,"records":0,"received":0,"error":null},
		{"signal":"logs","topic":"lines","exists":false,"records":0,"received":0,"error":"topic does not exist yet"}]`, string(one))

	b.pipe.partitions = nil
	b.record("10s 40ms web server GET/cart id=t1/a")
	b.commit()
	first := b.ask("GET", "/api/v1/onboarding", "", 200)["topics"].([]any)[0].(map[string]any)
	require.EqualValues(t, 1, first["received"])
	require.EqualValues(t, 1, first["records"])
}
