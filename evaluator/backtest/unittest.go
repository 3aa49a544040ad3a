package backtest

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promrules "github.com/prometheus/prometheus/rules"
	promstorage "github.com/prometheus/prometheus/storage"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// Unit tests of rules as promtool runs them, by the live evaluator with a virtual clock. The format is
// https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/.

type unitFile struct {
	RuleFiles          []string       `yaml:"rule_files"`
	EvaluationInterval model.Duration `yaml:"evaluation_interval,omitempty"`
	GroupEvalOrder     []string       `yaml:"group_eval_order"`
	Tests              []unitGroup    `yaml:"tests"`
	FuzzyCompare       bool           `yaml:"fuzzy_compare,omitempty"`
}

type unitGroup struct {
	Interval       model.Duration    `yaml:"interval"`
	Series         []unitSeries      `yaml:"input_series"`
	Alerts         []unitAlert       `yaml:"alert_rule_test,omitempty"`
	Exprs          []unitExpr        `yaml:"promql_expr_test,omitempty"`
	ExternalLabels map[string]string `yaml:"external_labels,omitempty"`
	ExternalURL    string            `yaml:"external_url,omitempty"`
	Name           string            `yaml:"name,omitempty"`
	Start          unitTime          `yaml:"start_timestamp,omitempty"`
}

type unitSeries struct {
	Series string `yaml:"series"`
	Values string `yaml:"values"`
}

type unitAlert struct {
	EvalTime model.Duration `yaml:"eval_time"`
	Name     string         `yaml:"alertname"`
	Want     []struct {
		Labels      map[string]string `yaml:"exp_labels"`
		Annotations map[string]string `yaml:"exp_annotations"`
	} `yaml:"exp_alerts"`
}

type unitExpr struct {
	Expr     string         `yaml:"expr"`
	EvalTime model.Duration `yaml:"eval_time"`
	Want     []struct {
		Labels    string  `yaml:"labels"`
		Value     float64 `yaml:"value"`
		Histogram string  `yaml:"histogram"`
	} `yaml:"exp_samples"`
}

// unitTime is RFC 3339 or Unix seconds.
type unitTime struct{ time.Time }

func (t *unitTime) UnmarshalYAML(n *yaml.Node) error {
	if s, err := strconv.ParseFloat(n.Value, 64); err == nil {
		whole, frac := math.Modf(s)
		t.Time = time.Unix(int64(whole), int64(math.Round(frac*1e3))*1e6).UTC()
		return nil
	}
	at, err := time.Parse(time.RFC3339Nano, n.Value)
	t.Time = at
	return err
}

// UnitTest runs one file of unit tests and returns what failed, each error naming the test.
func UnitTest(ctx context.Context, file string) error {
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	u := unitFile{EvaluationInterval: model.Duration(time.Minute)}
	d := yaml.NewDecoder(bytes.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&u); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	order := map[string]int{}
	for i, name := range u.GroupEvalOrder {
		if _, ok := order[name]; ok {
			return fmt.Errorf("%s: group name repeated in evaluation order: %s", file, name)
		}
		order[name] = i
	}
	for i, f := range u.RuleFiles {
		if !filepath.IsAbs(f) {
			u.RuleFiles[i] = filepath.Join(filepath.Dir(file), f)
		}
	}
	sources, err := rules.LoadFiles(u.RuleFiles, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	var errs []error
	for i := range u.Tests {
		t := &u.Tests[i]
		if t.Interval == 0 {
			t.Interval = u.EvaluationInterval
		}
		name := cmp.Or(t.Name, fmt.Sprintf("unnamed#%d", i))
		if err := t.run(ctx, time.Duration(u.EvaluationInterval), order, u.FuzzyCompare, sources); err != nil {
			errs = append(errs, fmt.Errorf("%s: %s: %w", file, name, err))
		}
	}
	return errors.Join(errs...)
}

// input is the samples of a test, in order of time; they are seen once their time has come.
type input struct {
	store   *rules.SeriesStore
	samples []inputSample
}

type inputSample struct {
	l labels.Labels
	t int64 // Unix milliseconds
	v float64
	h *histogram.FloatHistogram
}

func (t *unitGroup) input(start time.Time) (*input, error) {
	in := &input{store: rules.NewSeriesStore(math.MaxInt64, math.MaxInt, math.MaxInt)}
	for _, s := range t.Series {
		l, values, err := query.NewParser().ParseSeriesDesc(s.Series + " " + s.Values)
		if err != nil {
			return nil, fmt.Errorf("series %s: %w", s.Series, err)
		}
		for i, v := range values {
			if !v.Omitted {
				at := start.Add(time.Duration(i) * time.Duration(t.Interval)).UnixMilli()
				in.samples = append(in.samples, inputSample{l, at, v.Value, v.Histogram})
			}
		}
	}
	slices.SortStableFunc(in.samples, func(a, b inputSample) int { return cmp.Compare(a.t, b.t) })
	return in, nil
}

func (in *input) until(ts time.Time) error {
	for len(in.samples) > 0 && in.samples[0].t <= ts.UnixMilli() {
		s := in.samples[0]
		if err := in.store.Append(s.l, s.t, s.v, s.h); err != nil {
			return err
		}
		in.samples = in.samples[1:]
	}
	return nil
}

func (t *unitGroup) run(ctx context.Context, interval time.Duration, order map[string]int, fuzzy bool, sources []rules.Source) error {
	start := t.Start.Time
	if start.IsZero() {
		start = time.Unix(0, 0).UTC()
	}
	in, err := t.input(start)
	if err != nil {
		return err
	}
	external, err := url.Parse(t.ExternalURL)
	if err != nil {
		return err
	}
	engine := query.NewEngine(query.EngineConfig{SubqueryInterval: interval}, nil, nil)
	e, err := rules.New(rules.Config{KV: storage.NewMem(storage.MemOptions{}), Queryable: in.store, Engine: engine,
		Interval: time.Duration(t.Interval), ExternalLabels: labels.FromMap(t.ExternalLabels), ExternalURL: external,
		RuleRetention: math.MaxInt64, MaxRuleSeries: math.MaxInt, MaxRuleSamples: math.MaxInt, Reader: noViews{}})
	if err != nil {
		return err
	}
	if err := e.Load(ctx, sources, start); err != nil {
		return err
	}
	e.SortGroups(func(a, b *promrules.Group) int { return cmp.Compare(order[a.Name()], order[b.Name()]) })
	slices.SortStableFunc(t.Alerts, func(a, b unitAlert) int { return cmp.Compare(a.EvalTime, b.EvalTime) })
	end := start
	for _, a := range t.Alerts {
		if a.Name == "" {
			return fmt.Errorf("an item under alert_rule_test misses required attribute alertname at eval_time %v", a.EvalTime)
		}
		end = later(end, start.Add(time.Duration(a.EvalTime)))
	}
	for _, x := range t.Exprs {
		end = later(end, start.Add(time.Duration(x.EvalTime)))
	}
	var errs []error
	alerts := t.Alerts
	for ts := start; !ts.After(end); ts = ts.Add(interval) {
		if err := in.until(ts); err != nil {
			return err
		}
		if err := e.EvaluateAll(ctx, ts); err != nil {
			return err
		}
		if err := e.Failed(); err != nil {
			return errors.Join(append(errs, fmt.Errorf("at %v: rule %w", ts.Sub(start), err))...)
		}
		for len(alerts) > 0 && time.Duration(alerts[0].EvalTime) < ts.Add(interval).Sub(start) {
			errs = append(errs, alerts[0].check(e))
			alerts = alerts[1:]
		}
	}
	for i := range t.Exprs {
		errs = append(errs, t.Exprs[i].check(ctx, engine, e.Queryable(), start, fuzzy))
	}
	return errors.Join(errs...)
}

func (a *unitAlert) check(e *rules.Evaluator) error {
	var want, got []string
	text := func(l, annotations labels.Labels) string {
		return "labels " + l.String() + " annotations " + annotations.String()
	}
	for _, w := range a.Want {
		b := labels.NewBuilder(labels.FromMap(w.Labels))
		b.Set(labels.AlertName, a.Name)
		want = append(want, text(b.Labels(), labels.FromMap(w.Annotations)))
	}
	for _, r := range e.AlertingRules() {
		if r.Name() != a.Name {
			continue
		}
		r.ForEachActiveAlert(func(x *promrules.Alert) {
			if x.State == promrules.StateFiring {
				got = append(got, text(x.Labels, x.Annotations))
			}
		})
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		return fmt.Errorf("alertname: %s, time: %v\n    exp: %s\n    got: %s", a.Name, a.EvalTime, listed(want), listed(got))
	}
	return nil
}

func listed(list []string) string {
	if len(list) == 0 {
		return "none"
	}
	return strings.Join(list, "\n         ")
}

func (x *unitExpr) check(ctx context.Context, engine promql.QueryEngine, q promstorage.Queryable, start time.Time, fuzzy bool) error {
	fail := func(err error) error { return fmt.Errorf("expr: %s, time: %v: %w", x.Expr, x.EvalTime, err) }
	want := promql.Vector{}
	for _, w := range x.Want {
		l, err := query.NewParser().ParseMetric(w.Labels)
		if err != nil {
			return fail(fmt.Errorf("labels %q: %w", w.Labels, err))
		}
		s := promql.Sample{Metric: l, F: w.Value}
		if w.Histogram != "" {
			if s.H, err = parseHistogram(w.Histogram); err != nil {
				return fail(err)
			}
		}
		want = append(want, s)
	}
	instant, err := engine.NewInstantQuery(ctx, q, nil, x.Expr, start.Add(time.Duration(x.EvalTime)))
	if err != nil {
		return fail(err)
	}
	defer instant.Close()
	res := instant.Exec(ctx)
	if res.Err != nil {
		return fail(res.Err)
	}
	var got promql.Vector
	switch v := res.Value.(type) {
	case promql.Vector:
		got = v
	case promql.Scalar:
		got = promql.Vector{{F: v.V}}
	default:
		return fail(fmt.Errorf("it gives a %s", res.Value.Type()))
	}
	for _, v := range []promql.Vector{want, got} {
		slices.SortFunc(v, func(a, b promql.Sample) int { return labels.Compare(a.Metric, b.Metric) })
	}
	if !slices.EqualFunc(want, got, func(a, b promql.Sample) bool { return sameSample(a, b, fuzzy) }) {
		return fail(fmt.Errorf("\n    exp: %s\n    got: %s", samplesText(want), samplesText(got)))
	}
	return nil
}

func parseHistogram(text string) (*histogram.FloatHistogram, error) {
	_, values, err := query.NewParser().ParseSeriesDesc("{} " + text)
	if err != nil {
		return nil, err
	}
	if len(values) != 1 || values[0].Histogram == nil {
		return nil, fmt.Errorf("%q is no histogram", text)
	}
	return values[0].Histogram, nil
}

// sameSample compares; fuzzy allows a neighbouring float.
func sameSample(a, b promql.Sample, fuzzy bool) bool {
	if !labels.Equal(a.Metric, b.Metric) || (a.H == nil) != (b.H == nil) {
		return false
	}
	if a.H != nil {
		return a.H.Copy().Compact(0).TestExpression() == b.H.Copy().Compact(0).TestExpression()
	}
	return a.F == b.F || fuzzy && (math.Nextafter(a.F, math.Inf(-1)) == b.F || math.Nextafter(a.F, math.Inf(1)) == b.F)
}

func samplesText(v promql.Vector) string {
	var out []string
	for _, s := range v {
		text := strconv.FormatFloat(s.F, 'E', -1, 64)
		if s.H != nil {
			text = s.H.TestExpression()
		}
		out = append(out, s.Metric.String()+" "+text)
	}
	return listed(out)
}

// noViews stands for views where rules read other series alone.
type noViews struct{ views.Reader }

// Frontier implements views.Reader.
func (noViews) Frontier() viewmodel.Frontier { return viewmodel.Frontier{} }
