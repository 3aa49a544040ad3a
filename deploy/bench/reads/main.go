// Command reads measures how long questions take that dashboards ask, on views of a given size, while spans go on coming in: the
// services of the last hour with 1,000 series, a service's chart over 24 h, searches among ten million traces.
package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gaurav/watchingcat/deploy/bench/tempdb"
	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/intake"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

var (
	kept     = flag.Int("traces", 10_000_000, "trace summaries to keep")
	services = flag.Int("services", 100, "services; each has 5 operations, of two statuses")
	rounds   = flag.Int("rounds", 300, "how often each question is asked")
	dir      = flag.String("dir", "", "folder for Badger (default: a temporary folder)")
	spans    = flag.Bool("spans", false, "keep the spans too, with attributes, and search by them")
	only     = flag.String("only", "", "ask only the questions with this in their name")
	profile  = flag.String("cpuprofile", "", "write a CPU profile of the questions to this file")
	settle   = flag.Duration("settle", 40*time.Second,
		"how long spans come in before the first question: past hours are summed up meanwhile")
	rate = flag.Int("rate", 10_000, "spans a second that come in meanwhile")
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "reads:", err)
		os.Exit(1)
	}
}

// world makes spans and applies them.
type world struct {
	db     *storage.DB
	set    *views.Set
	acc    *intake.Accumulator
	r      *rand.Rand
	names  [][]byte
	ops    [][]byte
	offset int64
	trace  uint64
	orders []string           // some of the values that one trace has
	parts  [4][]time.Duration // of checkpoints: collecting, committing, installing, preparing what charts will ask for
}

// request applies one trace of three spans that begins at a time (Unix nanoseconds).
func (w *world) request(at uint64) error {
	if *spans {
		return w.whole(at)
	}
	if !w.acc.Begin(model.Record{Offset: w.offset, LeaderEpoch: -1, Value: binary.BigEndian.AppendUint64(nil, uint64(w.offset))}) {
		return nil
	}
	w.offset++
	w.trace++
	s := model.Span{Size: 500}
	binary.BigEndian.PutUint64(s.TraceID[:], w.r.Uint64())
	binary.BigEndian.PutUint64(s.TraceID[8:], w.trace)
	res := model.Resource{HasService: true}
	n := w.r.IntN(len(w.names))
	for i := range 3 {
		res.Service = w.names[(n+i)%len(w.names)]
		s.Name = w.ops[w.r.IntN(len(w.ops))]
		s.ParentID = s.SpanID
		binary.BigEndian.PutUint64(s.SpanID[:], w.trace*4+uint64(i)+1)
		s.Kind, s.Status = model.KindInternal, model.StatusUnset
		if w.r.IntN(50) == 0 {
			s.Status = model.StatusError
		}
		s.Start = at + uint64(i)*1e6
		s.End = s.Start + uint64(w.r.ExpFloat64()*20e6)
		w.acc.Span(&res, &s)
	}
	w.acc.End()
	return nil
}

// whole applies such a trace as OTLP, with an attribute that no other trace has.
func (w *world) whole(at uint64) error {
	w.trace++
	var id pcommon.TraceID
	binary.BigEndian.PutUint64(id[:], w.r.Uint64())
	binary.BigEndian.PutUint64(id[8:], w.trace)
	td, n, order := ptrace.NewTraces(), w.r.IntN(len(w.names)), fmt.Sprintf("order-%x", w.r.Uint64())
	if w.trace%uint64(max(1, *kept/1000)) == 0 {
		w.orders = append(w.orders, order)
	}
	for i := range 3 {
		rs := td.ResourceSpans().AppendEmpty()
		rs.Resource().Attributes().PutStr("service.name", string(w.names[(n+i)%len(w.names)]))
		rs.Resource().Attributes().PutStr("host.name", fmt.Sprintf("host-%d", w.r.IntN(100)))
		sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		sp.SetTraceID(id)
		sp.SetSpanID(pcommon.SpanID(binary.BigEndian.AppendUint64(nil, w.trace*4+uint64(i)+1)))
		sp.SetName(string(w.ops[w.r.IntN(len(w.ops))]))
		sp.SetKind(ptrace.SpanKindInternal)
		sp.SetStartTimestamp(pcommon.Timestamp(at + uint64(i)*1e6))
		sp.SetEndTimestamp(sp.StartTimestamp() + pcommon.Timestamp(w.r.ExpFloat64()*20e6))
		sp.Attributes().PutStr("order.id", order)
		sp.Attributes().PutStr("http.route", "/orders/{id}")
		sp.Attributes().PutStr("http.request.method", "GET")
		sp.Attributes().PutInt("http.response.status_code", 200)
		sp.Attributes().PutStr("client.address", fmt.Sprintf("10.0.%d.%d", w.r.IntN(256), w.r.IntN(256)))
		sp.Attributes().PutStr("thread.name", fmt.Sprintf("worker-%d", w.r.IntN(16)))
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	if err != nil || !w.acc.Begin(model.Record{Offset: w.offset, LeaderEpoch: -1, Value: b}) {
		return err
	}
	w.offset++
	if err := otlp.ScanSpans(b, 1000, w.acc.Span); err != nil {
		return err
	}
	w.acc.End()
	return nil
}

// byOrder searches the trace with an attribute.
func byOrder(order string) views.TraceQuery {
	return views.TraceQuery{Each: true, Tokens: []traces.SpanToken{{Key: "order.id", Value: order}},
		Find: func(block []byte, _ model.DimFilter) (ids [][16]byte, err error) {
			for len(block) > 0 {
				_, _, n := protowire.ConsumeField(block)
				if n < 0 {
					return nil, protowire.ParseError(n)
				}
				one := block[:n]
				if block = block[n:]; !bytes.Contains(one, []byte(order)) {
					continue
				}
				var u ptrace.ProtoUnmarshaler
				td, err := u.UnmarshalTraces(one)
				if err != nil {
					return nil, err
				}
				ids = append(ids, td.ResourceSpans().At(0).ScopeSpans().At(0).Spans().At(0).TraceID())
			}
			return ids, nil
		}}
}

func (w *world) checkpoint() error {
	began := time.Now()
	took := func(part int) {
		now := time.Now()
		w.parts[part] = append(w.parts[part], now.Sub(began))
		began = now
	}
	c, err := w.set.Collect(nil)
	if err != nil || c == nil {
		return err
	}
	took(0)
	for _, part := range append(c.Before, c.Commit) {
		if err := w.db.Commit(part); err != nil {
			return err
		}
	}
	took(1)
	err = w.set.Install(c)
	took(2)
	return err
}

func run() error {
	db, err := tempdb.Open(*dir, "watchingcat-reads-")
	if err != nil {
		return err
	}
	defer db.Remove()
	cfg := model.Config{TraceRetention: 25 * time.Hour, DedupWindow: -1, FoldEvery: 4}
	if *spans {
		cfg.TraceBytes = 16 << 30
	}
	set, err := views.Open(db, cfg)
	if err != nil {
		return err
	}
	w := &world{db: db.DB, set: set, acc: set.Partition("otlp_spans", 0), r: rand.New(rand.NewPCG(1, 2))}
	for i := range *services {
		w.names = append(w.names, fmt.Appendf(nil, "service-%03d", i))
	}
	for i := range 5 {
		w.ops = append(w.ops, fmt.Appendf(nil, "operation %d", i))
	}
	end, err := w.fill()
	if err != nil {
		return err
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	disk := diskUse(db.Dir)
	fmt.Printf("%d traces, %d spans: %d MB of heap, %d MB on disk\n", w.trace, 3*w.trace, m.HeapAlloc>>20, disk>>20)
	w.parts = [4][]time.Duration{}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.goOn(ctx, end) }()
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			cancel()
			return err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			cancel()
			return err
		}
		defer pprof.StopCPUProfile()
	}
	select {
	case <-time.After(*settle):
	case err := <-done:
		cancel()
		return err
	}
	err = ask(set, end, w.orders)
	cancel()
	if err := errors.Join(err, <-done); err != nil {
		return err
	}
	for i, name := range []string{"collecting", "committing", "installing", "preparing for"} {
		p50, p99, most := quantiles(w.parts[i])
		fmt.Printf("%s %d checkpoints meanwhile: p50 %.2f ms, p99 %.2f ms, max %.2f ms\n", name, len(w.parts[i]), p50, p99, most)
	}
	began := time.Now()
	if _, err := views.Open(db, cfg); err != nil {
		return err
	}
	fmt.Printf("the views open again in %v\n", time.Since(began).Round(time.Millisecond))
	return nil
}

// fill spreads the traces over a day, half of them over its last hour.
func (w *world) fill() (end time.Time, err error) {
	start := time.Date(2026, 1, 1, 0, 47, 13, 0, time.UTC) // nothing ends with a wide bucket
	end = start.Add(24 * time.Hour)
	began := time.Now()
	for i := range *kept {
		half := *kept / 2
		at := start.Add(time.Duration(float64(23*time.Hour) * float64(i) / float64(half)))
		if i >= half {
			at = end.Add(-time.Duration(float64(time.Hour) * float64(*kept-i) / float64(*kept-half)))
		}
		if err := w.request(uint64(at.UnixNano())); err != nil {
			return end, err
		}
		if i%10_000 == 9_999 {
			if err := w.checkpoint(); err != nil {
				return end, err
			}
		}
		if i%1_000_000 == 999_999 {
			fmt.Fprintf(os.Stderr, "%d traces after %v\n", i+1, time.Since(began).Round(time.Second))
		}
	}
	return end, w.checkpoint()
}

// goOn applies spans at the rate, with a checkpoint every 250 ms.
func (w *world) goOn(ctx context.Context, at time.Time) error {
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		for range *rate / 4 / 3 {
			at = at.Add(time.Second * 3 / time.Duration(*rate))
			if err := w.request(uint64(at.UnixNano())); err != nil {
				return err
			}
		}
		if err := w.checkpoint(); err != nil {
			return err
		}
		began := time.Now()
		if err := w.set.Prepare(); err != nil {
			return err
		}
		w.parts[3] = append(w.parts[3], time.Since(began))
	}
}

func diskUse(dir string) (n int64) {
	_ = filepath.Walk(dir, func(_ string, f os.FileInfo, err error) error {
		if err == nil && !f.IsDir() {
			n += f.Size()
		}
		return nil
	})
	return n
}

func ask(set *views.Set, end time.Time, orders []string) error {
	r := rand.New(rand.NewPCG(3, 4))
	name := func() string { return fmt.Sprintf("service-%03d", r.IntN(*services)) }
	search := func(q views.TraceQuery) error {
		q.Limit = 20
		_, err := set.SearchTraces(q)
		return err
	}
	day, hour := end.Add(-24*time.Hour), end.Add(-time.Hour)
	questions := []struct {
		name string
		ask  func() error
	}{
		{"services over 1 h", func() error { _, err := set.Services(hour, end); return err }},
		{"services over 15 min", func() error { _, err := set.Services(end.Add(-15*time.Minute), end); return err }},
		{"operations of a service over 1 h", func() error { _, _, err := set.Operations(name(), hour, end); return err }},
		{"a service's chart over 24 h, 5 min steps",
			func() error { _, _, err := set.ServicePoints(name(), "", day, end, 5*time.Minute); return err }},
		{"a service's chart over 1 h, 10 s steps",
			func() error { _, _, err := set.ServicePoints(name(), "", hour, end, 10*time.Second); return err }},
		{"newest traces", func() error { return search(views.TraceQuery{From: hour, To: end}) }},
		{"newest traces of a service with errors", func() error { return search(views.TraceQuery{Service: name(), Status: "error"}) }},
		{"slowest traces of 24 h", func() error { return search(views.TraceQuery{Slowest: true}) }},
		{"slowest traces of an operation, 1 h", func() error {
			return search(views.TraceQuery{Service: name(), Operation: "operation 3", From: hour, To: end, Slowest: true})
		}},
		{"traces of a service over 150 ms, 24 h",
			func() error { return search(views.TraceQuery{Service: name(), MinDuration: 150 * time.Millisecond}) }},
		{"traces of a service that does not exist", func() error { return search(views.TraceQuery{Service: "nobody"}) }},
		{"traces longer than any, 24 h", func() error { return search(views.TraceQuery{MinDuration: time.Minute}) }},
	}
	if *spans {
		for _, q := range []struct{ name, order string }{{"the trace with an attribute that no other has, 24 h", ""},
			{"an attribute that no trace has, 24 h", "nothing"}} {
			questions = append(questions, struct {
				name string
				ask  func() error
			}{q.name, func() error {
				order, found := q.order, 0
				if order == "" {
					order, found = orders[r.IntN(len(orders))], 1
				}
				search := byOrder(order)
				search.Limit = 20
				res, err := set.SearchTraces(search)
				if err == nil && len(res.Traces) != found {
					err = fmt.Errorf("%d traces found with order.id %q", len(res.Traces), order)
				}
				return err
			}})
		}
	}
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "p50 ms\tp99 ms\tmax ms\t  \t")
	for _, q := range questions {
		if !strings.Contains(q.name, *only) {
			continue
		}
		took := make([]time.Duration, *rounds)
		for i := range took {
			began := time.Now()
			if err := q.ask(); err != nil {
				return fmt.Errorf("%s: %w", q.name, err)
			}
			took[i] = time.Since(began)
		}
		p50, p99, most := quantiles(took)
		fmt.Fprintf(t, "%.2f\t%.2f\t%.2f\t  %s\t\n", p50, p99, most, q.name)
	}
	return t.Flush()
}

// quantiles are in milliseconds.
func quantiles(took []time.Duration) (p50, p99, most float64) {
	slices.Sort(took)
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1e3 }
	return ms(took[len(took)/2]), ms(took[len(took)*99/100]), ms(took[len(took)-1])
}
