//go:build integration

package integration

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/deploy/servers"
)

var promqlQueries = flag.String("promql-queries", "",
	"queries for TestPromQL instead of its own: promql-test-queries.yml of github.com/prometheus/compliance")

// variants are what stands for the names in a query; every combination is asked.
var variants = map[string][]string{
	"range":  {"1s", "15s", "1m", "5m", "15m", "1h"},
	"offset": {"1m", "5m", "10m", "-1m"},
	"q":      {"-0.5", "0.1", "0.5", "0.9", "0.99", "1", "1.5", "NaN"},
	"arith":  {"+", "-", "*", "/", "%", "^", "atan2"},
	"comp":   {"==", "!=", "<", ">", "<=", ">="},
	"set":    {"and", "or", "unless"},
	"aggr":   {"sum", "avg", "max", "min", "count", "group", "stddev", "stdvar"},
	"k":      {"topk", "bottomk"},
	"over":   {"sum", "avg", "max", "min", "count", "stddev", "stdvar", "absent", "last", "present"},
	"math": {"abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "round", "sgn", "deg", "rad", "sin", "cos", "tan", "asin",
		"acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh"},
	"rate": {"rate", "increase", "delta", "irate", "idelta"},
	"date": {"day_of_month", "day_of_week", "day_of_year", "days_in_month", "hour", "minute", "month", "year"},
	"hist": {"histogram_count", "histogram_sum", "histogram_avg", "histogram_stddev", "histogram_stdvar"},
}

// ownQueries ask for each selector, operator and function, over gauges, counters that begin anew, histograms of both kinds, series that
// come and go, and values that are no numbers.
var ownQueries = []string{
	"42", "-.5e-3", "0x1f", "Inf", "-Inf", "NaN", "-1 ^ 2", "2 ^ 3 ^ 2", "1 + 2 * 3 - 10 % 4 / 2", "time() <arith> 7", "7 <arith> time()",
	"time() <comp> bool 7", "vector(time())", "scalar(demo_num_cpus)", "pi()",
	// Selectors.
	"demo_memory_usage_bytes", `{__name__="demo_memory_usage_bytes"}`, `{"demo_memory_usage_bytes", type="free"}`,
	`demo_memory_usage_bytes{type!="free"}`, `demo_memory_usage_bytes{instance=~"demo.promlabs.com:1000[01]"}`,
	`demo_memory_usage_bytes{instance!~".*:10000"}`, `demo_memory_usage_bytes{instance=~"demo"}`,
	`{type="free", instance!="demo.promlabs.com:10001"}`, `demo_memory_usage_bytes{nothing=""}`,
	`demo_memory_usage_bytes{type=""}`, "nothing", "demo_memory_usage_bytes offset <offset>",
	"demo_memory_usage_bytes @ start()", "demo_memory_usage_bytes @ end() offset <offset>",
	"rate(demo_cpu_usage_seconds_total[5m] @ end())", "demo_intermittent_metric", "demo_odd",
	`{__name__=~"demo_.+_bytes"}`, "demo_native_seconds",
	// Aggregations.
	"<aggr>(demo_memory_usage_bytes)", "<aggr>(nothing)", "<aggr> by (instance) (demo_memory_usage_bytes)",
	"<aggr> by (nothing) (demo_memory_usage_bytes)", "<aggr> without (instance, type) (demo_memory_usage_bytes)", "<aggr>(demo_odd)",
	"<aggr> without () (demo_intermittent_metric)", "sum(demo_native_seconds)", "avg by (job) (demo_native_seconds)",
	"<k>(3, demo_memory_usage_bytes)", "<k> by (instance) (2, demo_memory_usage_bytes)", "topk(2, demo_odd)",
	"quantile(<q>, demo_memory_usage_bytes)", "quantile by (type) (<q>, demo_odd)", `count_values("v", demo_num_cpus)`,
	`count_values by (job) ("v", demo_api_request_duration_seconds_bucket)`,
	// Binary operators.
	"demo_memory_usage_bytes <arith> 1.5", "1.5 <arith> demo_memory_usage_bytes", "demo_memory_usage_bytes <comp> 5e8",
	"demo_memory_usage_bytes <comp> bool 5e8", "demo_odd <arith> 2", "demo_odd <comp> bool 0",
	"demo_memory_usage_bytes <arith> on (instance, job, type) demo_memory_usage_bytes",
	"demo_memory_usage_bytes <arith> ignoring (nothing) demo_memory_usage_bytes",
	"demo_memory_usage_bytes <comp> on (instance, type) demo_memory_usage_bytes",
	"sum by (instance, type) (demo_memory_usage_bytes) <arith> on (instance, type) group_left (job) demo_memory_usage_bytes", "demo_memory_usage_bytes / on (instance) group_left demo_num_cpus", "demo_num_cpus * on (instance) group_right (job) demo_memory_usage_bytes", `demo_memory_usage_bytes{type="free"} <set> demo_memory_usage_bytes`, "demo_memory_usage_bytes <set> on (instance) demo_intermittent_metric", "demo_memory_usage_bytes / on (instance) demo_memory_usage_bytes", "demo_num_cpus * on (job) demo_memory_usage_bytes", "demo_native_seconds + demo_native_seconds", "demo_native_seconds * 2", "2 / demo_native_seconds", "-demo_memory_usage_bytes", "-demo_native_seconds",
	// Functions of windows.
	"<over>_over_time(demo_memory_usage_bytes[<range>])", "<over>_over_time(demo_intermittent_metric[5m])",
	"<over>_over_time(demo_odd[1m])", "quantile_over_time(<q>, demo_memory_usage_bytes[<range>])",
	"<rate>(demo_cpu_usage_seconds_total[<range>])", "<rate>(demo_cpu_usage_seconds_total[5m] offset <offset>)",
	"<rate>(nothing[5m])", "<rate>(demo_intermittent_metric[5m])", "rate(demo_native_seconds[5m])",
	"sum(increase(demo_native_seconds[<range>]))", "resets(demo_cpu_usage_seconds_total[<range>])",
	"changes(demo_batch_last_success_timestamp_seconds[<range>])", "resets(demo_native_seconds[15m])",
	"deriv(demo_disk_usage_bytes[<range>])", "predict_linear(demo_disk_usage_bytes[<range>], 600)",
	"max_over_time(rate(demo_cpu_usage_seconds_total[1m])[5m:])",
	"avg_over_time(rate(demo_cpu_usage_seconds_total[1m])[2m:10s] offset <offset>)",
	"max_over_time((time() - max(demo_batch_last_success_timestamp_seconds) < 1000)[5m:10s] offset 5m)",
	"sum_over_time(demo_num_cpus[2m:7s] @ end())", "count_over_time(time()[1m:13s])",
	"absent_over_time(demo_intermittent_metric[15s])",
	// Functions of instants.
	"<math>(demo_memory_usage_bytes)", "<math>(demo_odd)", "<math>(demo_memory_usage_bytes / 1e10)", "round(demo_memory_usage_bytes, 1e6)",
	"clamp(demo_memory_usage_bytes, 1e8, 6e8)", "clamp(demo_odd, -1, 1)", "clamp(demo_num_cpus, 2, 1)", "clamp_min(demo_odd, 0)",
	"clamp_max(demo_odd, 0)", "<date>()", "<date>(demo_batch_last_success_timestamp_seconds offset <offset>)",
	"timestamp(demo_num_cpus)", "timestamp(demo_num_cpus * 1)", "timestamp(timestamp(demo_num_cpus offset <offset>))",
	"absent(nothing)", `absent(nothing{a="b", c=~"d"})`, "absent(demo_num_cpus)",
	`label_replace(demo_num_cpus, "host", "$1-$2", "instance", "(.*):(.*)")`,
	`label_replace(demo_num_cpus, "job", "", "instance", ".*")`,
	`label_replace(demo_num_cpus, "a", "b", "nothing", "x")`,
	`label_replace(demo_num_cpus, "instance", "", "", "")`,
	`label_replace(demo_num_cpus, "a", "b", "job", "(")`,
	`label_join(demo_num_cpus, "both", "-", "instance", "job")`,
	`label_join(demo_num_cpus, "job", "-", "instance", "nothing")`,
	"sort(demo_memory_usage_bytes)", "sort_desc(demo_odd)",
	"histogram_quantile(<q>, rate(demo_api_request_duration_seconds_bucket[1m]))",
	"histogram_quantile(<q>, sum by (le, path) (rate(demo_api_request_duration_seconds_bucket[5m])))", "histogram_quantile(<q>, rate(demo_native_seconds[5m]))", "histogram_quantile(0.9, demo_memory_usage_bytes)", `histogram_quantile(0.9, {__name__=~"demo_api_request_duration_seconds_.+"})`, "histogram_fraction(0, 0.2, rate(demo_native_seconds[5m]))", "<hist>(rate(demo_native_seconds[5m]))", "<hist>(demo_memory_usage_bytes)", `demo_gc_seconds{quantile="0.5"}`, "rate(demo_gc_seconds_count[1m])",
	`demo_num_cpus * on (instance, job) group_left (version) target_info`,
	// What is refused.
	"sum(", `{__name__=~".*"}`, "demo_memory_usage_bytes[5m]", "rate(demo_num_cpus)", "demo_num_cpus and 1", "sum(1)",
	"topk(demo_num_cpus, demo_num_cpus)", "foo()", `demo_num_cpus{`, "1 == 1", "demo_num_cpus offset 5",
	`count_values("", demo_num_cpus)`,
}

// expanded are the queries that a query with names in it stands for.
func expanded(query string, open, end string, of map[string][]string) []string {
	before, rest, ok := strings.Cut(query, open)
	name, _, ends := strings.Cut(rest, end)
	values := of[name]
	if !ok || !ends || values == nil {
		if ok {
			var out []string
			for _, q := range expanded(rest, open, end, of) {
				out = append(out, before+open+q)
			}
			return out
		}
		return []string{query}
	}
	var out []string
	for _, v := range values {
		out = append(out, expanded(strings.ReplaceAll(query, open+name+end, v), open, end, of)...)
	}
	return out
}

// suiteQueries reads the list of the compliance suite.
func suiteQueries(t *testing.T, file string) (out []string) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var list struct {
		Cases []struct {
			Query string `yaml:"query"`
		} `yaml:"test_cases"`
	}
	if err := yaml.Unmarshal(b, &list); err != nil {
		t.Fatal(err)
	}
	of := map[string][]string{"range": variants["range"], "offset": variants["offset"][:3],
		"quantile":         {"-0.5", "0.1", "0.5", "0.75", "0.95", "0.90", "0.99", "1", "1.5"},
		"simpleAggrOp":     {"sum", "avg", "max", "min", "count", "stddev", "stdvar"},
		"simpleTimeAggrOp": {"sum", "avg", "max", "min", "count", "stddev", "stdvar", "absent", "last"},
		"topBottomOp":      {"topk", "bottomk"}, "arithBinOp": variants["arith"][:6], "compBinOp": variants["comp"],
		"binOp":                slices.Concat(variants["arith"][:6], variants["comp"]),
		"simpleMathFunc":       {"abs", "ceil", "floor", "exp", "sqrt", "ln", "log2", "log10", "round"},
		"extrapolatedRateFunc": {"delta", "rate", "increase"}, "clampFunc": {"clamp_min", "clamp_max"},
		"instantRateFunc": {"idelta", "irate"},
		"dateFunc":        {"day_of_month", "day_of_week", "days_in_month", "hour", "minute", "month", "year"}}
	for _, c := range list.Cases {
		out = append(out, expanded(c.Query, "{{.", "}}", of)...)
	}
	return out
}

const (
	demoStep    = 5 * time.Second
	demoHistory = 75 * time.Minute
)

// TestPromQL: a Prometheus that was sent the same metrics answers each query as watchingcat does, which had them from Kafka: over a range
// and at its end, results and refusals.
func TestPromQL(t *testing.T) {
	fetched(t, "prometheus")
	p, err := servers.NewPrometheus(*runDir, t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Close)
	if err := p.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	brokers := startKfake(t)
	createTopics(t, brokers, metricsTopic)
	a := newApp(t, brokers)
	end := time.Now().Truncate(demoStep)
	records := sendDemo(t, brokers, p.URL+"/api/v1/otlp/v1/metrics", end.Add(-demoHistory), end)
	a.start()
	a.ready()
	waitFor(t, func() bool {
		got := a.query("sum(count_over_time(demo_num_cpus[2h]))")
		return len(got) == 1 && int(got[0].value) == 3*records
	})

	list := ownQueries
	if *promqlQueries != "" {
		list = suiteQueries(t, *promqlQueries)
	}
	ours, theirs := promClient(t, "http://"+a.addr+"/prometheus"), promClient(t, p.URL)
	r := promv1.Range{Start: end.Add(-10 * time.Minute), End: end, Step: 10 * time.Second}
	asked, refused, empty, failed := 0, 0, 0, 0
	for _, q := range list {
		for _, query := range expanded(q, "<", ">", variants) {
			for _, at := range []string{"range", "instant"} {
				ask := func(c promv1.API) (v model.Value, err error) {
					ctx, cancel := context.WithTimeout(t.Context(), patience)
					defer cancel()
					if at == "range" {
						v, _, _, err = c.QueryRange(ctx, query, r)
					} else {
						v, _, _, err = c.Query(ctx, query, end)
					}
					return v, err
				}
				want, wantErr := ask(theirs)
				got, gotErr := ask(ours)
				asked++
				switch {
				case wantErr != nil && gotErr != nil:
					refused++
				case wantErr != nil || gotErr != nil:
					t.Errorf("%s %s: Prometheus says %v, watchingcat %v", at, query, wantErr, gotErr)
					failed++
				case cmp.Diff(inOrder(want), inOrder(got), sameValues) != "":
					t.Errorf("%s %s:\n%s", at, query, cmp.Diff(inOrder(want), inOrder(got), sameValues))
					failed++
				case want.String() == "":
					empty++
				}
				if failed > 20 {
					t.Fatal("too many differences")
				}
			}
		}
	}
	t.Logf("%d queries: %d answers the same, %d of them empty, %d refused by both, %d differ", asked, asked-refused-failed, empty, refused,
		failed)
}

func promClient(t *testing.T, url string) promv1.API {
	t.Helper()
	c, err := api.NewClient(api.Config{Address: url})
	if err != nil {
		t.Fatal(err)
	}
	return promv1.NewAPI(c)
}

// inOrder sorts what has no order of its own.
func inOrder(v model.Value) model.Value {
	switch v := v.(type) {
	case model.Matrix:
		slices.SortFunc(v, func(a, b *model.SampleStream) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	case model.Vector:
		slices.SortFunc(v, func(a, b *model.Sample) int { return strings.Compare(a.Metric.String(), b.Metric.String()) })
	}
	return v
}

// sameValues allows for the last digits of sums, whose order is not the same.
var sameValues = cmp.Options{cmp.Transformer("float", func(v model.SampleValue) float64 { return float64(v) }),
	cmp.Transformer("float", func(v model.FloatString) float64 { return float64(v) }), cmpopts.EquateApprox(1e-9, 1e-12),
	cmpopts.EquateNaNs(), cmpopts.EquateEmpty()}

// sendDemo sends the metrics of a service of three instances to both, step by step, and returns in how many records.
func sendDemo(t *testing.T, brokers []string, otlp string, from, to time.Time) (records int) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	d := &demo{r: rand.New(rand.NewPCG(*seed, 12)), sums: map[string]float64{}, begin: pcommon.NewTimestampFromTime(from)}
	var m pmetric.ProtoMarshaler
	for at := from; !at.After(to); at = at.Add(demoStep) {
		b, err := m.MarshalMetrics(d.at(at, int(at.Sub(from)/demoStep)))
		if err == nil {
			err = postOTLP(t.Context(), otlp, b)
		}
		if err == nil {
			err = cl.ProduceSync(t.Context(), &kgo.Record{Topic: metricsTopic, Value: b}).FirstErr()
		}
		if err != nil {
			t.Fatal(err)
		}
		records++
	}
	return records
}

// demo makes up the metrics that the compliance suite asks for, and some that it does not.
type demo struct {
	r     *rand.Rand
	sums  map[string]float64 // of counters
	begin pcommon.Timestamp
}

func (d *demo) at(at time.Time, step int) pmetric.Metrics {
	md := pmetric.NewMetrics()
	for i := range 3 {
		rm := md.ResourceMetrics().AppendEmpty()
		instance := fmt.Sprintf("demo.promlabs.com:%d", 10000+i)
		rm.Resource().Attributes().PutStr("service.name", "demo")
		rm.Resource().Attributes().PutStr("service.instance.id", instance)
		rm.Resource().Attributes().PutStr("version", fmt.Sprint(i))
		s := &demoScrape{d, rm.ScopeMetrics().AppendEmpty(), instance, pcommon.NewTimestampFromTime(at)}
		if i == 1 && step%200 == 199 {
			d.forget(instance) // it was started anew
		}
		s.gauge("demo_num_cpus", 4)
		for _, kind := range []string{"buffers", "cached", "free", "used"} {
			s.gauge("demo_memory_usage_bytes", math.Round(d.r.Float64()*1e9), "type", kind)
		}
		s.gauge("demo_disk_usage_bytes", 1e9+float64(step*100000)+d.r.Float64()*1e5)
		s.gauge("demo_batch_last_success_timestamp_seconds", float64(at.Unix()/60*60))
		if step/24%3 != i { // two minutes of six
			s.gauge("demo_intermittent_metric", float64(step))
		}
		for kind, v := range map[string]float64{"nan": math.NaN(), "inf": math.Inf(1), "minus_inf": math.Inf(-1), "zero": 0,
			"negative": -d.r.Float64()} {
			s.gauge("demo_odd", v, "kind", kind)
		}
		for _, mode := range []string{"user", "system", "idle"} {
			s.counter("demo_cpu_usage_seconds_total", d.r.Float64()*5, "mode", mode)
		}
		for _, path := range []string{"/api/foo", "/api/bar"} {
			s.histogram("demo_api_request_duration_seconds", "path", path)
		}
		s.native("demo_native_seconds")
		s.summary("demo_gc_seconds")
	}
	return md
}

func (d *demo) forget(instance string) {
	for k := range d.sums {
		if strings.Contains(k, instance) {
			delete(d.sums, k)
		}
	}
}

// demoScrape is one instance at one time.
type demoScrape struct {
	*demo
	ms       pmetric.ScopeMetrics
	instance string
	now      pcommon.Timestamp
}

func (s *demoScrape) add(key string, n float64) float64 {
	s.sums[s.instance+key] += n
	return s.sums[s.instance+key]
}

func (s *demoScrape) metric(name string) pmetric.Metric {
	m := s.ms.Metrics().AppendEmpty()
	m.SetName(name)
	return m
}

func put(m pcommon.Map, labels []string) {
	for i := 0; i < len(labels); i += 2 {
		m.PutStr(labels[i], labels[i+1])
	}
}

func (s *demoScrape) gauge(name string, v float64, labels ...string) {
	p := s.metric(name).SetEmptyGauge().DataPoints().AppendEmpty()
	p.SetTimestamp(s.now)
	p.SetDoubleValue(v)
	put(p.Attributes(), labels)
}

func (s *demoScrape) counter(name string, n float64, labels ...string) {
	sum := s.metric(name).SetEmptySum()
	sum.SetIsMonotonic(true)
	sum.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := sum.DataPoints().AppendEmpty()
	p.SetStartTimestamp(s.begin)
	p.SetTimestamp(s.now)
	p.SetDoubleValue(s.add(name+strings.Join(labels, "/"), n))
	put(p.Attributes(), labels)
}

func (s *demoScrape) histogram(name string, labels ...string) {
	h := s.metric(name).SetEmptyHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetStartTimestamp(s.begin)
	p.SetTimestamp(s.now)
	p.ExplicitBounds().FromRaw([]float64{0.001, 0.01, 0.1, 0.5, 1, 5})
	key, count := name+strings.Join(labels, "/"), 0.0
	for i := range 7 {
		n := s.add(fmt.Sprint(key, i), float64(s.r.IntN(9)))
		p.BucketCounts().Append(uint64(n))
		count += n
	}
	p.SetCount(uint64(count))
	p.SetSum(s.add(key+"sum", s.r.Float64()*20))
	put(p.Attributes(), labels)
}

func (s *demoScrape) native(name string) {
	h := s.metric(name).SetEmptyExponentialHistogram()
	h.SetAggregationTemporality(pmetric.AggregationTemporalityCumulative)
	p := h.DataPoints().AppendEmpty()
	p.SetStartTimestamp(s.begin)
	p.SetTimestamp(s.now)
	p.SetScale(3)
	p.Positive().SetOffset(-20)
	count := s.add(name+"zero", float64(s.r.IntN(2)))
	p.SetZeroCount(uint64(count))
	for i := range 30 {
		n := s.add(fmt.Sprint(name, i), float64(s.r.IntN(4)))
		p.Positive().BucketCounts().Append(uint64(n))
		count += n
	}
	p.SetCount(uint64(count))
	p.SetSum(s.add(name+"sum", s.r.Float64()*20))
}

func (s *demoScrape) summary(name string) {
	p := s.metric(name).SetEmptySummary().DataPoints().AppendEmpty()
	p.SetStartTimestamp(s.begin)
	p.SetTimestamp(s.now)
	p.SetCount(uint64(s.add(name+"count", 1)))
	p.SetSum(s.add(name+"sum", s.r.Float64()))
	for _, q := range []float64{0.5, 0.9} {
		v := p.QuantileValues().AppendEmpty()
		v.SetQuantile(q)
		v.SetValue(s.r.Float64())
	}
}
