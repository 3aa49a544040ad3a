package export

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

var simSeeds = seeds.Flags("export", 25)

// TestSimulation: two replicas read the same records, each at its own pace, are killed and cut off from the brokers again and again, and
// send to a receiver that fails. No series has two values at a timestamp, no timestamp is missing, and where no record is late every value
// is what PromQL answers over views that were never interrupted.
func TestSimulation(t *testing.T) { simSeeds.Run(t, simulate) }

const (
	simInterval = 20 * time.Second
	simSelector = `{__name__=~"traces_span_metrics_(calls_total|duration_seconds_bucket)|traces_spanmetrics_latency|job:.+"}`
	simRule     = `sum by (service_name) (rate(traces_span_metrics_calls_total[1m]))`
)

// span is one record of the topic.
type span struct {
	at      time.Time // when it is read, and the record's timestamp
	end     time.Time
	service string
	failed  bool
}

type world struct {
	t      *testing.T
	r      *rand.Rand
	b      *pipelinetest.Broker
	spans  [2][]span // by partition
	in     *receiver
	closed []*process
}

func simulate(t *testing.T, seed uint64, _ string) (diff string) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, r: rand.New(rand.NewPCG(seed, 7)), b: pipelinetest.NewBroker(t, 0)}
		w.in = newReceiver(w.r.Uint64(), w.r.IntN(3) > 0)
		late := w.r.IntN(2) == 0
		begin := time.Now()
		w.makeSpans(begin, late)
		disks := [2]*storage.Mem{storage.NewMem(storage.MemOptions{SyncEvery: -1}), storage.NewMem(storage.MemOptions{SyncEvery: -1})}
		replicas := [2]*process{w.start(disks[0]), w.start(disks[1])}
		for time.Since(begin) < 9*time.Minute {
			time.Sleep(time.Duration(w.r.IntN(60_000)) * time.Millisecond)
			i := w.r.IntN(2)
			switch w.r.IntN(3) {
			case 0: // killed, and started again later
				replicas[i].kill()
				disks[i] = disks[i].Crash(func(n int) int { return w.r.IntN(n + 1) })
				time.Sleep(time.Duration(w.r.IntN(15_000)) * time.Millisecond)
				replicas[i] = w.start(disks[i])
			case 1: // cut off from the brokers: it does not know whether it writes
				replicas[i].cut.Store(true)
				time.Sleep(time.Duration(w.r.IntN(30_000)) * time.Millisecond)
				replicas[i].cut.Store(false)
			case 2: // stopped as a rollout does
				replicas[i].stop()
				replicas[i] = w.start(disks[i])
			}
		}
		w.in.calm.Store(true)
		time.Sleep(3 * time.Minute)
		for _, p := range append(w.closed, replicas[:]...) {
			p.stop()
		}
		diff = w.in.verify(t, w, late)
	})
	return diff
}

// makeSpans: both partitions have a span at least every second, so that the frontier moves on.
func (w *world) makeSpans(begin time.Time, late bool) {
	for p := range w.spans {
		for at := begin; at.Before(begin.Add(11 * time.Minute)); at = at.Add(time.Duration(100+w.r.IntN(900)) * time.Millisecond) {
			s := span{at: at, end: at, service: []string{"cart", "shop", "mail"}[w.r.IntN(3)], failed: w.r.IntN(10) == 0}
			if late && w.r.IntN(20) == 0 {
				s.end = at.Add(-time.Duration(w.r.IntN(120)) * time.Second)
			}
			if s.service == "mail" && at.Before(begin.Add(4*time.Minute)) {
				s.service = "cart" // a series that begins later
			}
			w.spans[p] = append(w.spans[p], s)
		}
	}
}

// process is a replica: views that follow the records, and an Exporter.
type process struct {
	cut  atomic.Bool
	dead atomic.Bool
	end  context.CancelFunc
	done sync.WaitGroup
}

func simGroups() func() []*promrules.Group {
	expr, err := query.NewParser().ParseExpr(simRule)
	if err != nil {
		panic(err)
	}
	next, err := query.NewParser().ParseExpr("job:calls:rate1m * 60")
	if err != nil {
		panic(err)
	}
	g := promrules.NewGroup(promrules.GroupOptions{Name: "g", File: "f", Interval: simInterval, Opts: &promrules.ManagerOptions{
		Context: context.Background(), Logger: slog.New(slog.DiscardHandler), Metrics: promrules.NewGroupMetrics(nil)}, Rules: []promrules.Rule{
		promrules.NewRecordingRule("job:calls:rate1m", expr, labels.FromStrings("team", "a")),
		promrules.NewRecordingRule("job:calls:minute", next, labels.EmptyLabels())}})
	return func() []*promrules.Group { return []*promrules.Group{g} }
}

func (w *world) start(mem *storage.Mem) *process {
	p := &process{}
	set, err := views.Open(mem, model.Config{Version: 1, PairingWindow: time.Second})
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	p.end = cancel
	pace := rand.New(rand.NewPCG(w.r.Uint64(), 1))
	p.done.Go(func() { w.follow(ctx, set, mem, pace) })
	k := w.b.Config
	dial := k.Dialer
	k.Dialer = func(ctx context.Context, network, host string) (net.Conn, error) {
		if p.cut.Load() || p.dead.Load() {
			return nil, errors.New("cut")
		}
		c, err := dial(ctx, network, host)
		return &cutConn{c, p}, err
	}
	match, err := ParseMatch(simSelector)
	require.NoError(w.t, err)
	x, err := New(Config{Kafka: k, Topic: "out", Group: "g", Match: match, Interval: simInterval, Delay: DelayFor(time.Second), QueueBytes: 64 << 20,
		Reader: set, Rules: simGroups(), Registerer: prometheus.NewRegistry(), Logger: slog.New(slog.DiscardHandler),
		Receiver: &Receiver{URL: &url.URL{Scheme: "http", Host: "receiver"}, Transport: w.in.as(p)}, session: 6 * time.Second})
	require.NoError(w.t, err)
	p.done.Go(func() { _ = x.Run(ctx) })
	return p
}

// kill ends it without a word to the brokers.
func (p *process) kill() {
	p.dead.Store(true)
	p.stop()
}

func (p *process) stop() {
	p.end()
	p.done.Wait()
}

type cutConn struct {
	net.Conn
	p *process
}

func (c *cutConn) off() bool { return c.p.cut.Load() || c.p.dead.Load() }

func (c *cutConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.off() {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}

func (c *cutConn) Write(b []byte) (int, error) {
	if c.off() {
		_ = c.Close()
		return 0, io.ErrClosedPipe
	}
	return c.Conn.Write(b)
}

// follow applies records as their time comes, some together, and commits them.
func (w *world) follow(ctx context.Context, set *views.Set, kv storage.KV, pace *rand.Rand) {
	next := [2]int{}
	for _, p := range set.Progress() {
		next[p.Partition] = int(p.Position)
	}
	for ctx.Err() == nil {
		for p := range next {
			for n := 1 + pace.IntN(40); n > 0 && next[p] < len(w.spans[p]) && !w.spans[p][next[p]].at.After(time.Now()); n-- {
				apply(set, int32(p), int64(next[p]), &w.spans[p][next[p]])
				next[p]++
			}
		}
		if err := commit(set, kv); err != nil {
			w.t.Error(err)
			return
		}
		time.Sleep(time.Duration(200+pace.IntN(2000)) * time.Millisecond)
	}
}

func apply(set *views.Set, partition int32, offset int64, s *span) {
	a := set.Partition("otlp_spans", partition)
	id := binary.BigEndian.AppendUint64(nil, uint64(offset)<<8|uint64(partition)) //nolint:gosec // small numbers
	if !a.Begin(model.Record{Offset: offset, Timestamp: s.at.UnixMilli(), Value: id}) {
		return
	}
	status := model.StatusUnset
	if s.failed {
		status = model.StatusError
	}
	end := uint64(s.end.UnixNano())
	a.Span(&model.Resource{Service: []byte(s.service), HasService: true}, &model.Span{TraceID: [16]byte(append(id, id...)), SpanID: [8]byte(id),
		Name: []byte("op"), Start: end - uint64(offset%700)*1e6, End: end, Kind: model.KindServer, Status: status, Size: 100})
	a.End()
}

func commit(set *views.Set, kv storage.KV) error {
	c, err := set.Collect(nil)
	if err != nil || c == nil {
		return err
	}
	if err := kv.Commit(c.Commit); err != nil {
		return err
	}
	return set.Install(c)
}

// receiver is a remote write receiver that fails at random: before or after it has kept what it got.
type receiver struct {
	calm atomic.Bool
	v2   bool

	mu      sync.Mutex
	luck    *rand.Rand
	values  map[string]map[int64]uint64 // by series and time, the bits of values
	begun   map[string]int64            // start timestamps
	differs []string
	repeats int
}

func newReceiver(seed uint64, v2 bool) *receiver {
	return &receiver{luck: rand.New(rand.NewPCG(seed, 3)), v2: v2, values: map[string]map[int64]uint64{}, begun: map[string]int64{}}
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// as is the way of a process to the receiver; it ends with the process.
func (in *receiver) as(p *process) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		if p.dead.Load() {
			return nil, errors.New("dead")
		}
		res, wait := in.serve(r.Header.Get("Content-Type"), body)
		time.Sleep(wait)
		if res == nil {
			return nil, errors.New("the connection broke")
		}
		return res.Result(), nil
	})
}

func (in *receiver) serve(contentType string, body []byte) (*httptest.ResponseRecorder, time.Duration) {
	in.mu.Lock()
	defer in.mu.Unlock()
	rec := httptest.NewRecorder()
	v2 := contentType == "application/x-protobuf;proto=io.prometheus.write.v2.Request"
	if v2 && !in.v2 {
		rec.WriteHeader(http.StatusUnsupportedMediaType)
		return rec, 0
	}
	luck := 9
	if !in.calm.Load() {
		luck = in.luck.IntN(10)
	}
	wait := time.Duration(in.luck.IntN(2000)) * time.Millisecond
	switch luck {
	case 0:
		rec.WriteHeader(http.StatusServiceUnavailable)
		return rec, wait
	case 1:
		rec.Header().Set("Retry-After", "7")
		rec.WriteHeader(http.StatusTooManyRequests)
		return rec, wait
	}
	var n int
	if v2 {
		n = in.keepV2(body)
	} else {
		n = in.keepV1(body)
	}
	if luck == 2 {
		return nil, wait // kept, and the answer is lost
	}
	if v2 {
		remote.WriteResponseStats{Samples: n}.SetHeaders(rec)
	}
	rec.WriteHeader(http.StatusNoContent)
	return rec, wait
}

func (in *receiver) keepV2(body []byte) int {
	b, err := snappy.Decode(nil, body)
	if err != nil {
		panic(err)
	}
	var r writev2.Request
	if err := r.Unmarshal(b); err != nil {
		panic(err)
	}
	lb := labels.NewScratchBuilder(8)
	for _, ts := range r.Timeseries {
		l, err := ts.ToLabels(&lb, r.Symbols)
		if err != nil {
			panic(err)
		}
		for _, s := range ts.Samples {
			in.keep(l.String(), s.Timestamp, math.Float64bits(s.Value))
			if s.StartTimestamp != 0 {
				in.begun[l.String()] = s.StartTimestamp
			}
		}
		for _, h := range ts.Histograms {
			in.keep(l.String(), h.Timestamp, hash(h.ToFloatHistogram().String()))
		}
	}
	return len(r.Timeseries)
}

func (in *receiver) keepV1(body []byte) int {
	b, err := snappy.Decode(nil, body)
	if err != nil {
		panic(err)
	}
	var r prompb.WriteRequest
	if err := r.Unmarshal(b); err != nil {
		panic(err)
	}
	lb := labels.NewScratchBuilder(8)
	for _, ts := range r.Timeseries {
		l := ts.ToLabels(&lb, nil)
		for _, s := range ts.Samples {
			in.keep(l.String(), s.Timestamp, math.Float64bits(s.Value))
		}
		for _, h := range ts.Histograms {
			in.keep(l.String(), h.Timestamp, hash(h.ToFloatHistogram().String()))
		}
	}
	return len(r.Timeseries)
}

func hash(text string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * 1099511628211
	}
	return h
}

func (in *receiver) keep(series string, t int64, v uint64) {
	if in.values[series] == nil {
		in.values[series] = map[int64]uint64{}
	}
	if old, ok := in.values[series][t]; ok {
		in.repeats++
		if old != v {
			in.differs = append(in.differs, fmt.Sprintf("%s at %d: %v and %v", series, t, math.Float64frombits(old), math.Float64frombits(v)))
		}
	}
	in.values[series][t] = v
}

// verify compares what was received with the answers of PromQL over views that applied every record and were never interrupted.
func (in *receiver) verify(t *testing.T, w *world, late bool) string {
	if len(in.differs) > 0 {
		return in.differs[0]
	}
	times := map[int64]bool{}
	first, last := int64(math.MaxInt64), int64(0)
	for _, ts := range in.values {
		for at := range ts {
			times[at] = true
			first, last = min(first, at), max(last, at)
		}
	}
	step := simInterval.Milliseconds()
	for at := first; at <= last; at += step {
		if !times[at] {
			return fmt.Sprintf("no sample at %d", at)
		}
	}
	if n := len(times); n < 28 {
		return fmt.Sprintf("%d timestamps are too few", n)
	}
	twin := w.twin()
	for at := first; at <= last; at += step {
		if diff := in.compare(t, twin, at, late); diff != "" {
			return diff
		}
	}
	return ""
}

func (w *world) twin() *views.Set {
	mem := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(mem, model.Config{Version: 1, PairingWindow: time.Second})
	require.NoError(w.t, err)
	for i := range max(len(w.spans[0]), len(w.spans[1])) {
		for p := range w.spans {
			if i < len(w.spans[p]) {
				apply(set, int32(p), int64(i), &w.spans[p][i])
			}
		}
	}
	require.NoError(w.t, commit(set, mem))
	return set
}

func (in *receiver) compare(t *testing.T, twin *views.Set, at int64, late bool) string {
	engine := query.NewEngine(query.EngineConfig{}, slog.New(slog.DiscardHandler), nil)
	want := map[string]uint64{}
	answer := func(expr string, change func(labels.Labels) labels.Labels) {
		q, err := engine.NewInstantQuery(t.Context(), &query.Queryable{Reader: twin}, nil, expr, time.UnixMilli(at))
		require.NoError(t, err)
		defer q.Close()
		res := q.Exec(t.Context())
		require.NoError(t, res.Err)
		v, err := res.Vector()
		require.NoError(t, err)
		for _, s := range v {
			want[change(s.Metric).String()] = bits(s)
		}
	}
	answer(simSelector, func(l labels.Labels) labels.Labels { return l })
	named := func(name, team string) func(labels.Labels) labels.Labels {
		return func(l labels.Labels) labels.Labels {
			return labels.NewBuilder(l).Set(labels.MetricName, name).Set("team", team).Labels()
		}
	}
	answer(simRule, named("job:calls:rate1m", "a"))
	answer("60 * ("+simRule+")", named("job:calls:minute", "a"))
	for series, v := range want {
		got, ok := in.values[series][at]
		switch {
		case late: // what came later than it was sent is in later samples
		case !ok:
			return fmt.Sprintf("%s has no sample at %d", series, at)
		case got != v:
			return fmt.Sprintf("%s at %d: got %v, want %v", series, at, math.Float64frombits(got), math.Float64frombits(v))
		}
	}
	for series, ts := range in.values {
		if v, ok := ts[at]; ok && !value.IsStaleNaN(math.Float64frombits(v)) && !late {
			if _, ok := want[series]; !ok {
				return fmt.Sprintf("%s at %d: %v was sent, PromQL has none", series, at, math.Float64frombits(v))
			}
		}
	}
	return ""
}

func bits(s promql.Sample) uint64 {
	if s.H != nil {
		return hash(s.H.String())
	}
	return math.Float64bits(s.F)
}
