// Command bench measures what a span costs on one core: CPU time, bytes and allocations, for the steps of WatchingCat's ingest path
// and for its peers, on the same bytes in memory, without Kafka.
//
// Rows run in turn, an uncounted round first; the table shows medians. CPU time is that of the whole process (user and system, the
// garbage collector included), so rows compare on a busy machine too.
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"runtime"
	"slices"
	"syscall"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/deploy/bench/backlog"
	"github.com/gaurav/watchingcat/deploy/bench/tempdb"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/intake"
	"github.com/gaurav/watchingcat/views/model"
)

var (
	spans = flag.Int("spans", 200_000, "spans a run")
	flush = flag.Int("flush", 20_000, "spans between checkpoints, and between the connector's flushes")
	reps  = flag.Int("reps", 5, "counted runs of each row")
	grow  = flag.Bool("growth", false, "instead show how the cost grows with services and partitions")
	dir   = flag.String("dir", "", "folder for Badger; on a real disk (default: a temporary folder)")
)

// row is one thing measured: set-up that is not counted, and the work.
type row struct {
	name string
	prep func(warm, messages [][]byte) (work func() error, end func(), err error)
}

func main() {
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run() error {
	if *grow {
		return growth()
	}
	for _, t := range traffics() {
		if err := t.table(); err != nil {
			return err
		}
	}
	return logTable()
}

func (t traffic) table() error {
	warm, _, err := t.messages(1)
	if err != nil {
		return err
	}
	list, n, err := t.messages(2)
	if err != nil {
		return err
	}
	bytes := 0
	for _, m := range list {
		bytes += len(m)
	}
	t.Spans = n
	return compare(fmt.Sprintf("%s: %v; %d bytes a span; a flush every %d spans", t.name, t.Shape, bytes/n, *flush), "span", n, warm, list, rows())
}

// logTable is the same for log lines.
func logTable() error {
	messages, n, err := logMessages(1, 20_000)
	if err != nil {
		return err
	}
	return compare(fmt.Sprintf("log lines: %d messages, %d lines", len(messages), n), "line", n, nil, messages,
		[]row{{"pdata unmarshal alone", prepEach(pdataLogs)}, {"decode, volume, patterns, lines kept, checkpoint, SyncWrites", prepLogs}})
}

func rows() []row {
	return []row{{"pdata unmarshal alone", prepEach(pdataSpans)}, {"wire scan alone", prepEach(scanSpans)}, {"scan + red + servicemap", prepViews(noTraces)},
		{"scan + all span views", prepViews(summaries)}, {"scan + red + servicemap + checkpoint, SyncWrites", prepWhole(noTraces)},
		{"scan + all span views + checkpoint, SyncWrites", prepWhole(summaries)},
		{"the same, spans de-duplicated", prepWhole(dedupSpans)},
		{"all span views, raw spans kept + checkpoint, SyncWrites", prepWhole(rawSpans)},
		{"spanmetrics connector, with unmarshal", prepConnector}}
}

// compare runs the rows in turn and prints their costs a unit; the first row is what the others are compared with.
func compare(title, unit string, n int, warm, messages [][]byte, rows []row) error {
	costs := make([][]cost, len(rows))
	for rep := range *reps + 1 {
		for i, r := range rows {
			work, end, err := r.prep(warm, messages)
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			c, err := measure(work)
			end()
			if err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			if rep > 0 {
				costs[i] = append(costs[i], c)
			}
		}
	}
	fmt.Printf("\n%s; median of %d\n", title, *reps)
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(w, "cpu ns/%[1]s\tmin\tmax\tB/%[1]s\tallocs/%[1]s\tx pdata\t  \t\n", unit)
	base := median(costs[0], n, func(c cost) float64 { return float64(c.cpu) })
	for i, r := range rows {
		cpu := func(c cost) float64 { return float64(c.cpu) }
		lo, hi := costs[i][0], costs[i][0]
		for _, c := range costs[i] {
			if c.cpu < lo.cpu {
				lo = c
			}
			if c.cpu > hi.cpu {
				hi = c
			}
		}
		m := median(costs[i], n, cpu)
		fmt.Fprintf(w, "%.0f\t%.0f\t%.0f\t%.0f\t%.3f\t%.2f\t  %s\t\n", m, float64(lo.cpu)/float64(n), float64(hi.cpu)/float64(n),
			median(costs[i], n, func(c cost) float64 { return float64(c.bytes) }),
			median(costs[i], n, func(c cost) float64 { return float64(c.allocs) }), m/base, r.name)
	}
	return w.Flush()
}

// A traffic is what the messages of a table hold.
type traffic struct {
	backlog.Shape
	name string
}

// traffics are those of the tables: what users have first.
func traffics() []traffic {
	dense := time.Duration(*spans) * time.Second / 10_000
	return []traffic{
		{backlog.Shape{Covers: dense * 10, Shops: 5}, "one trace a message, as partition_traces_by_id sends, at 1,000 spans/s"},
		{backlog.Shape{Covers: dense}, "one trace a message, at 10,000 spans/s of one shop"},
		{backlog.Shape{Covers: dense, PerRecord: 1000}, "1,000 spans a message, as a batch processor sends, at 10,000 spans/s of one shop"},
	}
}

// messages are those of the first or the second stretch of time; the same one gives the same bytes.
func (t traffic) messages(stretch uint64) (list [][]byte, n int, err error) {
	t.Spans, t.Seed = *spans, 100*stretch
	end := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(stretch) * (t.Covers + time.Minute))
	n, err = t.Each(end, func(_, value []byte, _ int) error {
		list = append(list, value)
		return nil
	})
	return list, n, err
}

type cost struct {
	cpu           time.Duration
	bytes, allocs uint64
}

func measure(work func() error) (c cost, err error) {
	var a, b runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&a)
	start := cpuTime()
	err = work()
	c.cpu = cpuTime() - start
	runtime.ReadMemStats(&b)
	c.bytes, c.allocs = b.TotalAlloc-a.TotalAlloc, b.Mallocs-a.Mallocs
	return c, err
}

func cpuTime() time.Duration {
	var r syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}

func median(cs []cost, n int, f func(cost) float64) float64 {
	v := make([]float64, len(cs))
	for i, c := range cs {
		v[i] = f(c) / float64(n)
	}
	slices.Sort(v)
	return v[len(v)/2]
}

// prepEach is a benchmark of what is done with each message by itself.
func prepEach(do func(m []byte) error) func(warm, messages [][]byte) (func() error, func(), error) {
	return func(_, messages [][]byte) (func() error, func(), error) {
		return func() error {
			for _, m := range messages {
				if err := do(m); err != nil {
					return err
				}
			}
			return nil
		}, func() {}, nil
	}
}

func pdataSpans(m []byte) error {
	var u ptrace.ProtoUnmarshaler
	_, err := u.UnmarshalTraces(m)
	return err
}

func scanSpans(m []byte) error {
	return otlp.ScanSpans(m, 100_000, func(*model.Resource, *model.Span) {})
}

// ingestPath is the path from message bytes to a store.
type ingestPath struct {
	kv     storage.KV
	set    *views.Set
	acc    *intake.Accumulator
	span   func(*model.Resource, *model.Span)
	offset int64
	spans  int
}

// What is kept of traces.
var (
	noTraces   = model.Config{TraceRetention: -1}
	summaries  = model.Config{}
	rawSpans   = model.Config{TraceBytes: 4 << 30}
	dedupSpans = model.Config{DedupSpans: true}
)

func newIngest(kv storage.KV, cfg model.Config) (*ingestPath, error) {
	set, err := views.Open(kv, cfg)
	if err != nil {
		return nil, err
	}
	in := &ingestPath{kv: kv, set: set, acc: set.Partition("otlp_spans", 0)}
	in.span = func(r *model.Resource, s *model.Span) {
		in.spans++
		in.acc.Span(r, s)
	}
	return in, nil
}

func (in *ingestPath) apply(messages [][]byte) error {
	for _, m := range messages {
		if in.acc.Begin(model.Record{Offset: in.offset, LeaderEpoch: -1, Value: m}) {
			if err := otlp.ScanSpans(m, 100_000, in.span); err != nil {
				return err
			}
			if in.acc.Again() {
				return errors.New("spans of the benchmark were seen before")
			}
			in.acc.End()
		}
		in.offset++
		if in.spans >= *flush {
			if err := in.checkpoint(); err != nil {
				return err
			}
		}
	}
	return in.checkpoint()
}

func (in *ingestPath) checkpoint() error {
	in.spans = 0
	c, err := in.set.Collect(nil)
	if err != nil || c == nil {
		return err
	}
	for _, part := range append(c.Before, c.Commit) {
		if err := in.kv.Commit(part); err != nil {
			return err
		}
	}
	return in.set.Install(c)
}

// discard is a store that keeps nothing.
type discard struct{ storage.KV }

func (discard) Commit(storage.Commit) error { return nil }

func prepViews(cfg model.Config) func(warm, messages [][]byte) (func() error, func(), error) {
	return func(warm, messages [][]byte) (func() error, func(), error) {
		in, err := newIngest(discard{storage.NewMem(storage.MemOptions{})}, cfg)
		if err != nil {
			return nil, nil, err
		}
		if err := in.apply(warm); err != nil {
			return nil, nil, err
		}
		return func() error { return in.apply(messages) }, func() {}, nil
	}
}

func prepWhole(cfg model.Config) func(warm, messages [][]byte) (func() error, func(), error) {
	return func(warm, messages [][]byte) (func() error, func(), error) {
		db, err := tempdb.Open(*dir, "watchingcat-bench-")
		if err != nil {
			return nil, nil, err
		}
		end := func() { _ = db.Remove() }
		in, err := newIngest(db, cfg)
		if err == nil {
			err = in.apply(warm)
		}
		if err != nil {
			end()
			return nil, nil, err
		}
		return func() error { return in.apply(messages) }, end, nil
	}
}
