package rules

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// A condition that looks at no calls is explained by none.
func TestNoCallsNoCause(t *testing.T) {
	for expr, explained := range map[string]bool{
		"vector(1)": false, "vector(time()) > 0": false, `label_replace(vector(1), "service_name", "cart", "", "")`: false,
		"absent(vector(1) > 2)": false, "up == 0 or vector(1)": false, `sum(queue_length) >= 0 or vector(1)`: false,
		`sum(traces_span_metrics_calls_total) > 0`: true, `sum by (service_name) (traces_span_metrics_calls_total) > 0`: true,
		"calls:sum > 0": true, `absent(no_such{service_name="cart"})`: true,
	} {
		kv := storage.NewMem(storage.MemOptions{})
		s, err := viewstest.New(kv, model.Config{FoldEvery: 1})
		require.NoError(t, err)
		var rec viewstest.Record
		for i := range 8 {
			for _, l := range []string{fmt.Sprintf("310.%02ds 20ms cart server GET/cart id=t%d/a error", i, i+1),
				fmt.Sprintf("310.%02ds 10ms cart client SELECT id=t%d/b<a db.name=orders error", i, i+1)} {
				span, err := viewstest.ParseLine(l)
				require.NoError(t, err)
				rec.Spans = append(rec.Spans, span)
			}
		}
		s.Topic[0] = append(s.Topic[0], rec)
		s.Apply(0, 0)
		_, err = s.Checkpoint(nil)
		require.NoError(t, err)
		e, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: func() time.Time { return time.Unix(0, 0) }})
		require.NoError(t, err)
		require.NoError(t, e.Load(t.Context(),
			parsed(t, "groups:\n- name: g\n  interval: 10s\n  rules:\n  - {record: 'calls:sum', expr: sum(traces_span_metrics_calls_total)}\n"+evaltest.Rule("A", expr, "")), time.Unix(0, 0)))
		for at := int64(311); at < 400 && len(e.Active()) == 0; at += 20 {
			fr := s.Set.Frontier()
			fr.Complete = time.Unix(at, 0)
			require.NoError(t, e.Advance(t.Context(), model.Change{Frontier: fr}, time.Unix(at, 0)))
		}
		a := e.Active()
		require.NotEmpty(t, a, expr)
		v := a[0].Evidence
		require.NotNil(t, v, expr)
		if explained {
			require.NotEmpty(t, v.Traces, expr)
			continue
		}
		require.Empty(t, v.Path, expr)
		require.Empty(t, v.Traces, expr)
		require.Empty(t, v.Text(), expr)
	}
}

// An alert explains itself from real views, keeps what it said while it fires and over a restart.
func TestEvidenceIsFixedWhenTheAlertFires(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	s, err := viewstest.New(kv, model.Config{FoldEvery: 1})
	require.NoError(t, err)
	apply := func(spans, logs []string) {
		var rec viewstest.Record
		for _, l := range spans {
			span, err := viewstest.ParseLine(l)
			require.NoError(t, err)
			rec.Spans = append(rec.Spans, span)
		}
		for _, l := range logs {
			line, err := viewstest.ParseLog(l)
			require.NoError(t, err)
			rec.Logs = append(rec.Logs, line)
		}
		s.Topic[0] = append(s.Topic[0], rec)
		s.Apply(0, int64(len(s.Topic[0])-1))
		_, err := s.Checkpoint(nil)
		require.NoError(t, err)
	}
	call := func(at, n int, more string) (out []string) {
		for i := range n {
			id := fmt.Sprintf("t%d", at*100+i+1)
			out = append(out, fmt.Sprintf("%d.%02ds 20ms cart server GET/cart id=%s/a%s", at, i, id, more),
				fmt.Sprintf("%d.%02ds 10ms cart client SELECT id=%s/b<a db.name=orders%s", at, i, id, more))
		}
		return out
	}
	for at := 10; at < 300; at += 10 {
		apply(call(at, 3, ""), []string{fmt.Sprintf("%ds cart INFO | fine", at)})
	}
	e, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: time.Now})
	require.NoError(t, err)
	src := parsed(t, evaltest.AlertRules(evaltest.Rule("Errors",
		`sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR",span_kind="SPAN_KIND_SERVER"}[1m])) / 1 > 3`, "")))
	require.NoError(t, e.Load(context.Background(), src, time.Unix(0, 0)))
	apply(call(310, 8, " error"), []string{"310s cart ERROR exception=IOError:disk_7 | disk 7 is full"})
	require.NoError(t, e.Advance(context.Background(), model.Change{Frontier: s.Set.Frontier()}, time.Unix(311, 0)))
	a := e.Active()
	require.Len(t, a, 1)
	v := a[0].Evidence
	require.NotNil(t, v)
	require.Empty(t, v.Missing)
	require.Equal(t, "cart", v.Service)
	require.Equal(t, []alert.OperandSample{{Labels: labels.FromStrings("service_name", "cart"), Value: a[0].Value}}, v.Operands[0].Values)
	require.Equal(t, "GET/cart", v.Operations[0].Name)
	require.InDelta(t, 8.0/23, v.Operations[0].ErrorRate, 1e-5)
	require.Equal(t, "STATUS_CODE_ERROR", v.Traces[0].Status)
	require.Equal(t, "orders", v.Path[0].Server)
	require.Contains(t, v.Path[0].Changed, "errors")
	require.Equal(t, "IOError", v.Errors[0].Type)
	require.Len(t, v.Patterns, 1)
	require.Contains(t, v.Text(), "cart -> orders (100 %): errors 0 % ->")

	// More of it changes nothing of what was said; a restart keeps it.
	apply(call(320, 8, " error"), nil)
	require.NoError(t, e.Advance(context.Background(), model.Change{Frontier: s.Set.Frontier()}, time.Unix(321, 0)))
	require.Same(t, v, e.Active()[0].Evidence)
	again, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: time.Now})
	require.NoError(t, err)
	require.Equal(t, v.Path, again.Active()[0].Evidence.Path)
	require.NoError(t, again.Load(context.Background(), src, time.Unix(322, 0)))
	require.Equal(t, v.At.UTC(), again.Active()[0].Evidence.At.UTC())
}

// brokenReader panics where evidence is read, as a reader with a fault would.
type brokenReader struct {
	views.Reader
	broken *bool
}

func (r brokenReader) ServiceMap(start, end time.Time) (model.Map, error) {
	if *r.broken {
		panic("planted")
	}
	return r.Reader.ServiceMap(start, end)
}

// A panic while evidence is gathered costs the alert its evidence: it fires, the others too, and the panic is counted.
func TestPanicInEvidence(t *testing.T) {
	b := newBench(t, evaltest.AlertRules(evaltest.Rule("A", evaltest.ErrorsRule, "")+evaltest.Rule("B", "vector(1)", "")))
	broken := true
	b.e.cfg.Reader = brokenReader{b.e.cfg.Reader, &broken}
	b.e.cfg.Evidence = func() time.Time { return time.Unix(0, 0) }
	b.errors(3, 5)
	require.Len(t, b.e.Active(), 2)
	for _, a := range b.e.Active() {
		if a.Labels.Get("alertname") == "A" {
			require.Nil(t, a.Evidence)
		}
	}
	require.Positive(t, testutil.ToFloat64(b.e.metrics.panics))
	require.Equal(t, "ok", b.e.Rules()[0].Health)
}

// A rule over a window of 290 years gets evidence from what the views hold. Gathering ends with the context of the request, and the
// evidence names what is missing.
func TestRunawayInEvidence(t *testing.T) {
	const long = `sum by (service_name) (increase(traces_span_metrics_calls_total[1m])) > 0 and on () sum_over_time(vector(1)[290y:1y]) >= 0`
	kv := storage.NewMem(storage.MemOptions{})
	s, err := viewstest.New(kv, model.Config{})
	require.NoError(t, err)
	e, err := New(Config{Reader: s.Set, KV: kv, Floor: 1, Evidence: time.Now})
	require.NoError(t, err)
	require.NoError(t, e.Load(t.Context(), parsed(t, evaltest.AlertRules(evaltest.Rule("Long", long, ""))), time.Unix(0, 0)))
	for _, at := range []int{100, 110} {
		l, err := viewstest.ParseLine(fmt.Sprintf("%ds 20ms cart server GET/cart id=t%d/a", at, at))
		require.NoError(t, err)
		s.Topic[0] = append(s.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}})
		s.Apply(0, int64(len(s.Topic[0])-1))
		_, err = s.Checkpoint(nil)
		require.NoError(t, err)
	}
	require.NoError(t, e.Advance(t.Context(), model.Change{Frontier: s.Set.Frontier()}, time.Unix(111, 0)))
	require.Equal(t, "ok", e.Rules()[0].Health, e.Rules()[0].LastError)
	require.Len(t, e.Active(), 1)
	a := e.Active()[0]
	require.NotNil(t, a.Evidence)
	require.Len(t, a.Evidence.Operands, 4)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	v := e.Explain(ctx, &a)
	require.NotNil(t, v)
	require.Empty(t, v.Operands)
	require.Condition(t, func() bool {
		return slices.ContainsFunc(v.Missing, func(m string) bool { return strings.HasPrefix(m, "operands: ") })
	}, "%v", v.Missing)
}

// parsed is a file of rules.
func parsed(t *testing.T, text string) []Source {
	t.Helper()
	src, err := ParseSource("rules.yml", []byte(text), nil)
	require.NoError(t, err)
	return []Source{src}
}
