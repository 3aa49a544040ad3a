package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/deploy/bench/tempdb"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/views/model"
)

// growth shows how the cost of a span grows with the number of services and of partitions.
func growth() error {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(w, "services\tpartitions\tcpu ns/span\tx first\t")
	first := 0.0
	for _, c := range []struct{ services, partitions int }{{10, 1}, {100, 1}, {1000, 1}, {10_000, 1}, {100, 4}, {100, 16}, {100, 64}} {
		ns := make([]cost, *reps)
		n := 0
		for i := range ns {
			messages, err := synthetic(c.services, *spans)
			if err != nil {
				return err
			}
			if ns[i], n, err = spread(messages, c.partitions); err != nil {
				return err
			}
		}
		m := median(ns, n, func(c cost) float64 { return float64(c.cpu) })
		if first == 0 {
			first = m
		}
		fmt.Fprintf(w, "%d\t%d\t%.0f\t%.2f\t\n", c.services, c.partitions, m, m/first)
	}
	return w.Flush()
}

// synthetic makes spans of n services with 5 operations each: messages of 20 resources with 50 spans.
func synthetic(services, spans int) (messages [][]byte, err error) {
	r := rand.New(rand.NewPCG(5, 6))
	at := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	id := uint64(0)
	for range spans / 1000 {
		td := ptrace.NewTraces()
		at = at.Add(100 * time.Millisecond)
		for range 20 {
			rs := td.ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", fmt.Sprintf("service-%05d", r.IntN(services)))
			ss := rs.ScopeSpans().AppendEmpty().Spans()
			for range 50 {
				id++
				s := ss.AppendEmpty()
				s.SetTraceID(pcommon.TraceID{1, byte(id / 15 >> 24), byte(id / 15 >> 16), byte(id / 15 >> 8), byte(id / 15)})
				s.SetSpanID(pcommon.SpanID{1, byte(id >> 24), byte(id >> 16), byte(id >> 8), byte(id)})
				s.SetParentSpanID(pcommon.SpanID{2, byte(id >> 16), byte(id >> 8), byte(id)})
				s.SetName(fmt.Sprint("operation ", r.IntN(5)))
				s.SetKind(ptrace.SpanKindInternal)
				s.SetStartTimestamp(pcommon.NewTimestampFromTime(at))
				s.SetEndTimestamp(pcommon.NewTimestampFromTime(at.Add(time.Duration(r.ExpFloat64() * 1e7))))
				for k := range 10 {
					s.Attributes().PutStr(fmt.Sprint("attribute.number.", k), "some value of usual length")
				}
			}
		}
		var m ptrace.ProtoMarshaler
		b, err := m.MarshalTraces(td)
		if err != nil {
			return nil, err
		}
		messages = append(messages, b)
	}
	return messages, nil
}

// spread deals messages out to partitions and measures the second half: series exist then.
func spread(messages [][]byte, partitions int) (c cost, n int, err error) {
	db, err := tempdb.Open(*dir, "watchingcat-bench-")
	if err != nil {
		return c, 0, err
	}
	defer db.Remove()
	in, err := newIngest(db, summaries)
	if err != nil {
		return c, 0, err
	}
	apply := func(list [][]byte) error {
		for _, m := range list {
			acc := in.set.Partition("otlp_spans", int32(in.offset)%int32(partitions))
			if !acc.Begin(model.Record{Offset: in.offset, LeaderEpoch: -1, Value: m}) {
				continue
			}
			if err := otlp.ScanSpans(m, 100_000, acc.Span); err != nil {
				return err
			}
			acc.End()
			in.offset++
			if in.offset%20 == 0 {
				if err := in.checkpoint(); err != nil {
					return err
				}
			}
		}
		return in.checkpoint()
	}
	half := len(messages) / 2
	if err := apply(messages[:half]); err != nil {
		return c, 0, err
	}
	c, err = measure(func() error { return apply(messages[half:]) })
	return c, (len(messages) - half) * 1000, err
}
