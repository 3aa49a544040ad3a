package ingest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
)

func header(r *kgo.Record, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return "(none)"
}

func TestDeadLetter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		d, err := NewDeadLetter(b.Config, "dead", 100_000)
		require.NoError(t, err)
		defer d.Close()
		at := time.Date(2026, 5, 1, 2, 3, 4, 5, time.UTC)
		small := &kgo.Record{Topic: pipelinetest.Topic, Partition: 3, Offset: 77, Timestamp: at, Key: []byte("k"), Value: []byte("bad"),
			Headers: []kgo.RecordHeader{{Key: "own", Value: []byte("header")}}}
		large := &kgo.Record{Topic: pipelinetest.Topic, Offset: 78, Value: bytes.Repeat([]byte("x"), 200_000),
			Headers: []kgo.RecordHeader{{Key: "huge", Value: make([]byte, 50_000)}}}
		once := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition})
		for _, r := range []*kgo.Record{small, large} {
			require.NoError(t, d.Write(t.Context(), r, "does not parse"))
		}
		if once.Hits() != 1 || d.Count() != 2 {
			t.Fatalf("%d faults, %d letters", once.Hits(), d.Count())
		}
		opts, _ := b.Config.Opts()
		cl, err := kgo.NewClient(append(opts, kgo.ConsumeTopics("dead"))...)
		require.NoError(t, err)
		defer cl.Close()
		var got []*kgo.Record
		for len(got) < 2 {
			got = append(got, cl.PollFetches(t.Context()).Records()...)
		}
		sum := sha256.Sum256(large.Value)
		for i, want := range []map[string]string{
			{headerReason: "does not parse", headerTopic: pipelinetest.Topic, headerPartition: "3", headerOffset: "77", headerKey: "k",
				headerSize: "3", headerTimestamp: "2026-05-01T02:03:04.000000005Z", "own": "header", headerTruncated: "(none)"},
			{headerOffset: "78", headerSize: "200000", headerTruncated: "true", headerSHA256: hex.EncodeToString(sum[:]), "huge": "(none)"},
		} {
			for k, v := range want {
				if h := header(got[i], k); h != v {
					t.Errorf("letter %d: header %s is %q, want %q", i, k, h, v)
				}
			}
		}
		if string(got[0].Key) != pipelinetest.Topic+"/3/77" || string(got[0].Value) != "bad" ||
			len(got[1].Value) != 100_000-deadLetterFrame {
			t.Errorf("keys and values: %s %s %d", got[0].Key, got[0].Value, len(got[1].Value))
		}
	})
}

// TestDeadLetterRefused: Write says so when the brokers did not take the letter.
func TestDeadLetterRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 1)
		d, err := NewDeadLetter(b.Config, "dead", 0)
		require.NoError(t, err)
		defer d.Close()
		no := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
		r := &kgo.Record{Topic: pipelinetest.Topic, Value: []byte("x")}
		if err := d.Write(t.Context(), r, "why"); !errors.Is(err, kerr.TopicAuthorizationFailed) || d.Count() != 0 {
			t.Fatalf("refused write: %v", err)
		}
		no.Remove()
		require.NoError(t, d.Write(t.Context(), r, "why"))
		require.NoError(t, b.DeleteTopic("dead"))
		pipelinetest.Eventually(t, "the topic is made again", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			return d.Write(ctx, r, "why") == nil
		})
	})
}

func TestGroupCommitter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log strings.Builder
		b := pipelinetest.NewBroker(t, 2)
		g, err := source.NewGroupCommitter(b.Config, "watchingcat", zerolog.New(zerolog.SyncWriter(&log)))
		require.NoError(t, err)
		refused := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.OffsetCommit}, Err: kerr.GroupAuthorizationFailed, Count: -1})
		list := []storage.Position{{Topic: pipelinetest.Topic, Partition: 0, Offset: 5, LeaderEpoch: -1},
			{Topic: pipelinetest.Topic, Partition: 1, Offset: 9, LeaderEpoch: -1}}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); g.Run(ctx, time.Second, func() []storage.Position { return list }) }()
		time.Sleep(10 * time.Second)
		refused.Remove()
		adm := kadm.NewClient(b.Client)
		at := func() (int64, int64) {
			os, err := adm.FetchOffsets(t.Context(), "watchingcat")
			if err != nil {
				return -1, -1
			}
			p0, _ := os.Lookup(pipelinetest.Topic, 0)
			p1, _ := os.Lookup(pipelinetest.Topic, 1)
			return p0.At, p1.At
		}
		pipelinetest.Eventually(t, "the group has the positions", func() bool { p0, p1 := at(); return p0 == 5 && p1 == 9 })
		cancel()
		<-done
		if n := strings.Count(log.String(), `"level":"warn"`); n != 1 {
			t.Fatalf("%d warnings:\n%s", n, log.String())
		}
	})
}

func TestEndOffsets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 2)
		b.Produce(1, 0, 7)
		adm := kadm.NewClient(b.Client)
		ends, err := source.EndOffsets(t.Context(), adm, pipelinetest.Topic)
		if err != nil || len(ends) != 2 || ends[source.PartitionID{Topic: pipelinetest.Topic, Partition: 1}] != 7 {
			t.Fatalf("%v, %v", ends, err)
		}
		if _, err := source.EndOffsets(t.Context(), adm, "nowhere"); !errors.Is(err, kerr.UnknownTopicOrPartition) {
			t.Fatalf("missing topic: %v", err)
		}
		b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.ListOffsets}, Err: kerr.LeaderNotAvailable, Count: -1})
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if ends, err := source.EndOffsets(ctx, adm, pipelinetest.Topic); err == nil {
			t.Fatalf("from a broker that fails: %v", ends)
		}
	})
}
