package telemetry

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/util/annotations"
	webapi "github.com/prometheus/prometheus/web/api/v1"
	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage/raw"
)

// lookback is how far back PromQL looks for a series' value at an instant.
const lookback = 5 * time.Minute

// Metrics answers queries in PromQL, and what there is to query.
type Metrics struct {
	*answer.Moments
	Samples      Samples // nil: no OTLP metrics are kept
	Engine       promql.QueryEngine
	Queryable    promstorage.Queryable
	QueryTimeout time.Duration
	Logger       zerolog.Logger
}

// Families describes every metric family, those of the views first where a name is in both.
func (s *Metrics) Families() []query.Metadata {
	list := query.MetricMetadata()
	if s.Samples != nil {
		list = append(list, query.FamilyMetadata(s.Samples.Families())...)
	}
	slices.SortFunc(list, func(a, b query.Metadata) int { return strings.Compare(a.Name, b.Name) })
	return list
}

// metricsMeta is meta for answers from views and samples together.
func (s *Metrics) metricsMeta(m answer.Moment, r answer.Range, query string, stores []string, warnings annotations.Annotations) rest.Meta {
	texts, _ := warnings.AsStrings(query, 10, 0)
	r.Covered = len(stores)+len(texts) > 0 // a query's own warnings say what is missing of it
	out := s.Meta(m, r)
	if s.Samples != nil {
		if from, to, ok := s.Samples.Range(); ok {
			from = answer.Later(from, r.Start)
			if out.Since == nil || from.Before(*out.Since) {
				out.Since = &from
			}
			if out.UpTo == nil || to.After(*out.UpTo) {
				out.UpTo = &to
			}
		}
	}
	if out.Source = append(out.Source, stores...); len(stores) > 0 && !r.Start.IsZero() {
		out.Since = answer.TimeOrNil(r.Start)
	}
	out.Partial = out.Partial || len(texts) > 0
	out.Warnings = append(out.Warnings, texts...)
	return out
}

// ListMetrics implements rest.StrictServerInterface.
func (s *Metrics) ListMetrics(ctx context.Context, q rest.ListMetricsRequestObject) (rest.ListMetricsResponseObject, error) {
	m := s.Moment(ctx)
	counts, err := (&query.Queryable{Reader: m.Views}).SeriesCounts()
	if err != nil {
		return nil, err
	}
	if s.Samples != nil {
		for name, n := range s.Samples.SeriesCounts() {
			counts[name] += n
		}
	}
	out := []rest.Metric{}
	for _, f := range s.Families() {
		v := rest.Metric{Name: f.Name, Type: string(f.Type), Unit: f.Unit, Help: f.Help}
		names := []string{f.Name}
		if f.Type == model.MetricTypeHistogram || f.Type == model.MetricTypeSummary {
			names = append(names, f.Name+"_bucket", f.Name+"_sum", f.Name+"_count")
		}
		for _, name := range names {
			v.Series += int64(counts[name])
		}
		if v.Series > 0 {
			out = append(out, v)
		}
	}
	out, next, err := answer.Page(out, answer.Value(q.Params.Limit), q.Params.Next, func(v rest.Metric) string { return v.Name })
	if err != nil {
		return nil, err
	}
	return rest.ListMetrics200JSONResponse{Metrics: out, Total: len(out), Next: next, Meta: s.metricsMeta(m, answer.Range{}, "", nil, nil)},
		nil
}

// ListMetricLabels implements rest.StrictServerInterface.
func (s *Metrics) ListMetricLabels(ctx context.Context, q rest.ListMetricLabelsRequestObject) (rest.ListMetricLabelsResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	var ms []*labels.Matcher
	if q.Params.Match != nil {
		if ms, err = query.NewParser().ParseMetricSelector(*q.Params.Match); err != nil {
			return nil, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_match", "match: %v", err),
				`Give a series selector, as up{job="shop/cart"}.`)
		}
	}
	querier, err := s.Queryable.Querier(r.Start.UnixMilli(), r.End.UnixMilli())
	if err != nil {
		return nil, err
	}
	defer func() {
		if err := querier.Close(); err != nil {
			s.Logger.Debug().Err(err).Msg("closing a querier failed")
		}
	}()
	ctx, answered := raw.WithAnswered(ctx)
	list, warnings, err := labelsOf(ctx, querier, q.Params.Name, ms)
	if err != nil {
		return nil, err
	}
	list, next, err := answer.Page(list, answer.Value(q.Params.Limit), q.Params.Next, func(v string) string { return v })
	if err != nil {
		return nil, err
	}
	return rest.ListMetricLabels200JSONResponse{Name: q.Params.Name, Values: list, Total: len(list), Next: next,
		Meta: s.metricsMeta(m, r, "", answered.Names(), warnings)}, nil
}

func labelsOf(ctx context.Context, q promstorage.Querier, name *string, ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
	var list []string
	var warnings annotations.Annotations
	var err error
	if name != nil {
		list, warnings, err = q.LabelValues(ctx, *name, nil, ms...)
	} else {
		list, warnings, err = q.LabelNames(ctx, nil, ms...)
	}
	if list == nil {
		list = []string{}
	}
	return list, warnings, err
}

// QueryMetrics implements rest.StrictServerInterface.
func (s *Metrics) QueryMetrics(ctx context.Context, q rest.QueryMetricsRequestObject) (rest.QueryMetricsResponseObject, error) {
	m := s.Moment(ctx)
	ctx, cancel := context.WithTimeout(ctx, s.QueryTimeout)
	defer cancel()
	query, r, err := s.promQuery(ctx, m, q.Body)
	if err != nil {
		return nil, err
	}
	defer query.Close()
	ctx, answered := raw.WithAnswered(ctx)
	res := query.Exec(ctx)
	if res.Err != nil {
		return nil, answer.QueryError(res.Err)
	}
	var out rest.QueryMetrics200JSONResponse
	// Prometheus' own encoding, so that clients read it as they read Prometheus.
	b, err := webapi.JSONCodec{}.Encode(&webapi.Response{Status: "success",
		Data: &webapi.QueryData{ResultType: res.Value.Type(), Result: res.Value}})
	if err == nil {
		err = json.Unmarshal(b, &out)
	}
	if err != nil {
		return nil, fmt.Errorf("api: encode the result of a query: %w", err)
	}
	out.Meta = s.metricsMeta(m, r, q.Body.Query, answered.Names(), res.Warnings)
	return out, nil
}

// promQuery reads what is asked for: an instant, or a range.
func (s *Metrics) promQuery(ctx context.Context, m answer.Moment, b *rest.MetricQuery) (promql.Query, answer.Range, error) {
	if b.Start == nil && b.End == nil && b.Step == nil {
		at := s.newest(m)
		var err error
		if b.Time != nil {
			if at, err = answer.ParseTime("time", *b.Time); err != nil {
				return nil, answer.Range{}, err
			}
		}
		q, err := s.Engine.NewInstantQuery(ctx, s.Queryable, nil, b.Query, at)
		return q, answer.Range{Start: at.Add(-lookback), End: at, Asked: b.Time != nil}, answer.QueryError(err)
	}
	if b.Time != nil {
		return nil, answer.Range{}, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_range",
			"time and a range exclude each other"),
			"Give time, or start, end and step.")
	}
	r, err := m.RangeOf(b.Start, b.End, answer.DefaultRange)
	if err != nil {
		return nil, r, err
	}
	step := max(r.End.Sub(r.Start)/answer.DefaultPoints, time.Second).Truncate(time.Second)
	if b.Step != nil {
		if step, err = answer.ParseDuration("step", *b.Step); err != nil {
			return nil, r, err
		}
	}
	if step < time.Millisecond || r.End.Sub(r.Start)/step > answer.MaxPoints {
		return nil, r, answer.Advise(answer.Problemf(answer.ErrBadRequest, "too_many_points", "range and step make more than %d points",
			answer.MaxPoints),
			"Give a longer step or a shorter range.")
	}
	q, err := s.Engine.NewRangeQuery(ctx, s.Queryable, nil, b.Query, r.Start, r.End, step)
	return q, r, answer.QueryError(err)
}

// newest is the newest time that views or samples know.
func (s *Metrics) newest(m answer.Moment) time.Time {
	at := m.Known()
	if s.Samples != nil {
		at = answer.Later(at, s.Samples.Frontier().Head)
	}
	if at.IsZero() {
		return m.Now
	}
	return at
}
