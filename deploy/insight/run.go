package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	viewsamples "github.com/gaurav/watchingcat/views/samples"
)

// signals are what evidence may be found in.
type signals struct{ logs, metrics bool }

// begun is when all cases begin.
var begun = time.Unix(1_750_000_020, 0).UTC()

const (
	bucket        = model.BucketSeconds * time.Second
	metricsBefore = 5 * time.Minute // that rows of metrics are read from before a fault
)

// A run is one case in views of its own.
type run struct {
	set     *views.Set
	kv      storage.KV
	offsets map[string]int64
	dir     string // of the samples
	samples *samples.Store
}

func newRun() (r *run, err error) {
	r = &run{kv: storage.NewMem(storage.MemOptions{}), offsets: map[string]int64{}}
	if r.set, err = views.Open(r.kv, model.Config{Version: 1, DedupWindow: -1}); err != nil {
		return nil, err
	}
	if r.dir, err = os.MkdirTemp("", "insight"); err != nil {
		return nil, err
	}
	r.samples = samples.Open(r.dir, samples.Options{})
	return r, nil
}

func (r *run) close() error { return errors.Join(r.samples.Close(), os.RemoveAll(r.dir)) }

// measure appends rows of metrics, moved in time.
func (r *run) measure(list []sample, shift time.Duration) error {
	slices.SortFunc(list, func(a, b sample) int { return a.at.Compare(b.at) })
	c := viewsamples.ConvertMetrics(pointsOf(list, shift), 0, 24*time.Hour)
	_, err := r.samples.Append(context.Background(), c.Samples)
	return err
}

// apply folds one record into the views and commits it.
func (r *run) apply(topic string, at time.Time, b []byte) error {
	part := r.set.Partition(topic, 0)
	part.Begin(model.Record{Offset: r.offsets[topic], Timestamp: at.UnixMilli(), Value: b})
	r.offsets[topic]++
	var err error
	if topic == "otlp_logs" {
		err = ingest.DecodeLogs(b, r.set.Dimensions(), 1_000_000, part.Log)
	} else {
		err = otlp.ScanSpans(b, 1_000_000, part.Span)
	}
	part.End()
	if err != nil {
		return err
	}
	c, err := r.set.Collect(nil)
	if err != nil || c == nil {
		return err
	}
	if err := r.kv.Commit(c.Commit); err != nil {
		return err
	}
	return r.set.Install(c)
}

// feed applies the spans and lines of a minute, moved so that the first of them begins at a time. It returns when the last ended.
func (r *run) feed(m *minute, at time.Time, of signals) (end time.Time, err error) {
	first := slices.MinFunc(m.spans, func(a, b span) int { return a.end.Compare(b.end) }).end
	shift := at.Sub(first)
	for _, s := range m.spans {
		if e := s.end.Add(shift); e.After(end) {
			end = e
		}
	}
	slices.SortFunc(m.spans, func(a, b span) int { return a.end.Compare(b.end) })
	b, err := (&ptrace.ProtoMarshaler{}).MarshalTraces(spansOf(m.spans, shift))
	if err != nil {
		return end, err
	}
	if err := r.apply("otlp_spans", end, b); err != nil || !of.logs || len(m.lines) == 0 {
		return end, err
	}
	var lines []line
	for _, l := range m.lines {
		if t := l.at.Add(shift); !t.Before(at) && !t.After(end) {
			lines = append(lines, l)
		}
	}
	b, err = (&plog.ProtoMarshaler{}).MarshalLogs(linesOf(lines, shift))
	if err != nil {
		return end, err
	}
	return end, r.apply("otlp_logs", end, b)
}

// evidence is that of an alert about how long requests take at the entry.
func (d *dataset) evidence(f *fault, of signals) (v *alert.Evidence, err error) {
	quiet, err := d.before()
	if err != nil {
		return nil, err
	}
	list, err := d.after(f)
	if err != nil || len(list) == 0 {
		return nil, err
	}
	r, err := newRun()
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	at, err := r.feed(&quiet, begun, of)
	if err != nil {
		return nil, err
	}
	at = at.Truncate(bucket).Add(bucket)
	since := at
	for i := range list {
		end, err := r.feed(&list[i], at, of)
		if err != nil {
			return nil, err
		}
		at = end.Truncate(bucket).Add(bucket)
	}
	if of.metrics {
		rows, err := d.samples(f.At.Add(-metricsBefore), f.At.Add(at.Sub(since)))
		if err != nil {
			return nil, err
		}
		if err := r.measure(rows, since.Sub(f.At)); err != nil {
			return nil, err
		}
	}
	return r.fire(entryOf(&quiet), at, at.Sub(since))
}

func entryOf(m *minute) string {
	n, best := map[string]int{}, ""
	for _, s := range m.spans {
		if s.parent == "root" {
			if n[serviceOf(s.pod)]++; n[serviceOf(s.pod)] > n[best] {
				best = serviceOf(s.pod)
			}
		}
	}
	return best
}

// fire evaluates a rule that holds at a time, over so much before it.
func (r *run) fire(service string, at time.Time, window time.Duration) (*alert.Evidence, error) {
	expr := fmt.Sprintf(`sum by (service_name) (rate(traces_span_metrics_duration_milliseconds_sum{service_name=%q,span_kind="SPAN_KIND_SERVER"}[%ds])) > 0`,
		service, int(window.Seconds()))
	e, err := rules.New(rules.Config{Reader: r.set, KV: r.kv, Evidence: func() time.Time { return begun },
		Queryable: &query.Sources{Views: &query.Queryable{Reader: r.set}, Samples: r.samples}})
	if err != nil {
		return nil, err
	}
	src, err := rules.ParseSource("rules.yml", []byte(fmt.Sprintf("groups:\n- name: insight\n  rules:\n  - {alert: Slow, expr: '%s'}\n", expr)), nil)
	if err != nil {
		return nil, err
	}
	ctx := context.Background()
	if err := e.Load(ctx, []rules.Source{src}, at); err != nil {
		return nil, err
	}
	if err := e.Advance(ctx, model.Change{Frontier: r.set.Frontier()}, at); err != nil {
		return nil, err
	}
	if active := e.Active(); len(active) == 1 && active[0].Evidence != nil {
		return active[0].Evidence, nil
	}
	return nil, fmt.Errorf("%d alerts fire, not one", len(e.Active()))
}
