//go:build integration

package integration

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// TestRetention runs days of event time through views on disk, with a retention of hours, as fast as it can. Once everything that is kept has
// its age, the folder stays within 1.5 times of its median, and what is in it is within its retention.
func TestRetention(t *testing.T) {
	db, err := storage.Open(t.TempDir(), storage.Options{MinFreeBytes: 1, MemTableBytes: 8 << 20, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	set, err := views.Open(db, model.Config{Retention: 30 * time.Minute, Retention1m: 2 * time.Hour, Retention1h: 24 * time.Hour,
		TraceRetention: 4 * time.Hour, TraceBytes: 1 << 30, LogRetention: -1})
	if err != nil {
		t.Fatal(err)
	}
	g := ingest.New(ingest.Config{Set: set, KV: db, Logger: zerolog.Nop(),
		States:     func() []source.PartitionState { return []source.PartitionState{{Topic: topic, Idle: true}} },
		DeadLetter: func(context.Context, *kgo.Record, string) error { return nil }})
	r := rand.New(rand.NewPCG(*seed, 3))
	begin := time.Unix(1_700_000_000, 0)
	var sizes []int64
	const steps = 2 * 24 * 60
	for i := range steps { // a minute each
		now := begin.Add(time.Duration(i) * time.Minute)
		rec := &kgo.Record{Topic: topic, Offset: int64(i), Timestamp: now, Value: noise(t, r, now)}
		if err := g.Record(t.Context(), set.Partition(topic, 0), rec, now.UnixMilli()); err != nil {
			t.Fatal(err)
		}
		if err := g.Checkpoint(t.Context(), now); err != nil {
			t.Fatal(err)
		}
		if i%30 != 29 {
			continue
		}
		if err := db.GC(); err != nil {
			t.Fatal(err)
		}
		n, err := db.Size()
		if err != nil {
			t.Fatal(err)
		}
		if i > 26*60 { // everything has reached its age
			sizes = append(sizes, int64(n))
		}
	}
	slices.Sort(sizes)
	median, largest := sizes[len(sizes)/2], sizes[len(sizes)-1]
	t.Logf("%d hours of event time: %.1f MB at the median once all retentions have passed, %.1f at most", steps/60, float64(median)/1e6, float64(largest)/1e6)
	if largest > median*3/2 {
		t.Errorf("the folder grew to %d bytes, %d are its median", largest, median)
	}
	f := set.Frontier()
	for l, kept := range []time.Duration{30 * time.Minute, 2 * time.Hour, 24 * time.Hour} {
		if age := f.Head.Sub(f.Levels[l].Since); age > kept+2*f.Levels[l].Width {
			t.Errorf("buckets of %v reach back %v, %v are to be kept", f.Levels[l].Width, age, kept)
		}
	}
}

// noise is a record of 100 spans of 60 operations, about 700 KB that do not compress.
func noise(t *testing.T, r *rand.Rand, now time.Time) []byte {
	td := ptrace.NewTraces()
	for i := range 100 {
		s := addSpan(td, fmt.Sprintf("service-%d", i%6))
		var id [16]byte
		binary.BigEndian.PutUint64(id[:], r.Uint64())
		s.SetTraceID(id)
		s.SetSpanID(pcommon.SpanID{1, byte(i)})
		s.SetName(fmt.Sprintf("op-%d", i%10))
		s.SetKind(ptrace.SpanKindServer)
		s.SetEndTimestamp(pcommon.NewTimestampFromTime(now.Add(-time.Duration(r.IntN(60)) * time.Second)))
		s.SetStartTimestamp(s.EndTimestamp() - pcommon.Timestamp(r.IntN(1e9)))
		b := make([]byte, 0, 7000)
		for len(b) < cap(b) {
			b = binary.BigEndian.AppendUint64(b, r.Uint64())
		}
		s.Attributes().PutEmptyBytes("noise").FromRaw(b)
	}
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(td)
	if err != nil {
		t.Fatal(err)
	}
	return b
}
