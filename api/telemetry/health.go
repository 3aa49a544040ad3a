package telemetry

import (
	"cmp"
	"context"
	"math"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views/health"
	"github.com/gaurav/watchingcat/views/model"
)

// How long the windows of health are, in minutes, or in buckets where only wider ones are kept.
const (
	recentUnits    = 5
	baselineUnits  = 60
	fewestBaseline = 5
)

// healthWindows are the stretches that health is computed from. Each begins where the one before ends; Baseline is empty where the views
// hold less than five minutes of it.
type healthWindows struct {
	base, recent, minute, end time.Time // starts, and the end of the minute
	bucket                    time.Duration
}

func (m *healthWindows) hasBaseline() bool { return m.base.Before(m.recent) }

func windowsOf(m answer.Moment, r answer.Range) healthWindows {
	w := healthWindows{end: r.End, bucket: time.Minute}
	if k := m.Known(); !k.IsZero() && k.Before(w.end) {
		w.end = k
	}
	width := max(answer.Bucket, m.Frontier.WidthAt(w.end.Add(-time.Minute)))
	w.bucket = max(time.Minute, width)
	w.minute = w.end.Truncate(width).Add(-w.bucket)
	w.recent = w.minute.Add(-(recentUnits - 1) * w.bucket).Truncate(w.bucket)
	w.base = answer.Later(w.recent.Add(-baselineUnits*w.bucket), m.Frontier.Since.Truncate(answer.Bucket))
	if w.recent.Sub(w.base) < fewestBaseline*w.bucket {
		w.base = w.recent
	}
	return w
}

// A serviceID names a service with its dimensions.
type serviceID struct {
	name string
	dims model.Dims
}

// Health judges all services at the end of a range.
func (s *Services) Health(m answer.Moment, r answer.Range) (rest.ServiceHealthList, error) {
	w := windowsOf(m, r)
	by := map[serviceID]*health.Input{}
	at := func(c *model.ServiceCounts) *health.Input {
		id := serviceID{c.Name, c.Dims}
		if by[id] == nil {
			by[id] = &health.Input{Bucket: w.bucket}
		}
		return by[id]
	}
	read := func(from, to time.Time, add func(in *health.Input, c *model.ServiceCounts)) error {
		if !from.Before(to) {
			return nil
		}
		list, err := m.Views.ServiceCounts(from, to)
		for i := range list {
			in := at(&list[i])
			add(in, &list[i])
			in.Quiet = max(0, w.end.Sub(list[i].LastSeen)) // what is read last was last
		}
		return err
	}
	err := cmp.Or(
		read(r.Start, w.base, func(*health.Input, *model.ServiceCounts) {}),
		read(w.base, w.recent, func(in *health.Input, c *model.ServiceCounts) { in.Baseline.ServiceCounts = *c }),
		read(w.recent, w.minute, func(in *health.Input, c *model.ServiceCounts) { in.Recent.ServiceCounts = *c }),
		read(w.minute, w.end, func(in *health.Input, c *model.ServiceCounts) {
			in.Minute.ServiceCounts = *c
			in.Recent.Merge(c)
		}))
	if err != nil {
		return rest.ServiceHealthList{}, err
	}
	since := m.Frontier.Since.Truncate(answer.Bucket)
	out := rest.ServiceHealthList{Services: make([]rest.ServiceHealth, 0, len(by)), Now: timeRange(answer.Later(w.minute, since), w.end)}
	if w.hasBaseline() {
		base := timeRange(w.base, w.recent)
		out.Baseline = &base
	}
	for id, in := range by {
		in.Minute.Span = max(answer.Bucket, w.end.Sub(answer.Later(w.minute, since)))
		in.Recent.Span = max(answer.Bucket, w.end.Sub(answer.Later(w.recent, since)))
		in.Baseline.Span = w.recent.Sub(w.base)
		out.Services = append(out.Services, serviceHealth(id, in, w.end))
	}
	slices.SortFunc(out.Services, func(a, b rest.ServiceHealth) int { return cmp.Compare(HealthRow(a), HealthRow(b)) })
	out.Total = len(out.Services)
	return out, nil
}

func timeRange(from, to time.Time) rest.TimeRange {
	return rest.TimeRange{Start: from.UTC(), End: answer.Later(from, to).UTC()}
}

// HealthRow identifies a service, ordered as their list.
func HealthRow(v rest.ServiceHealth) string {
	return ServiceRow(rest.Service{Name: v.Name, Dimensions: v.Dimensions})
}

func serviceHealth(id serviceID, in *health.Input, end time.Time) rest.ServiceHealth {
	v := health.Judge(in)
	return rest.ServiceHealth{Name: id.name, Dimensions: answer.Dims(id.dims), Health: rest.ServiceHealthHealth(v.State), Reason: v.Reason,
		Now: numbers(&in.Minute.Entry, in.Minute.Span), Before: numbers(&in.Baseline.Entry, in.Baseline.Span),
		LastSeen: answer.TimeOrNil(end.Add(-in.Quiet).Truncate(time.Second))}
}

func numbers(c *model.SpanCounts, span time.Duration) *rest.ServiceNumbers {
	if c.Calls == 0 {
		return nil
	}
	return &rest.ServiceNumbers{Rate: digits(float64(c.Calls) / span.Seconds()), ErrorRate: digits(c.Share()),
		P95Ms: digits(answer.Millis(c.Hist.Quantile(0.95)))}
}

// digits rounds to four significant digits: lists of hundreds of services are sent several times a second.
func digits(v float64) float64 {
	if v == 0 {
		return 0
	}
	scale := math.Pow(10, 3-math.Floor(math.Log10(math.Abs(v))))
	if scale >= 1 {
		return math.Round(v*scale) / scale
	}
	return math.Round(v)
}

// ListServiceHealth implements rest.StrictServerInterface.
func (s *Services) ListServiceHealth(ctx context.Context,
	q rest.ListServiceHealthRequestObject) (rest.ListServiceHealthResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	out, err := s.Health(m, r)
	if err != nil {
		return nil, err
	}
	var from older.Provenance
	if r.Asked {
		names, err := s.Older.Services(ctx, m, r, &from)
		if err != nil {
			return nil, err
		}
		out.Services = addUnjudged(out.Services, names)
	}
	if out.Services, out.Next, err = answer.Page(out.Services, answer.Value(q.Params.Limit), q.Params.Next, HealthRow); err != nil {
		return nil, err
	}
	out.Total, out.Meta = len(out.Services), from.Meta(s.Moments, m, r)
	return rest.ListServiceHealth200JSONResponse(out), nil
}

// addUnjudged adds the services that the store of older data alone knows: it counts no calls.
func addUnjudged(list []rest.ServiceHealth, names []string) []rest.ServiceHealth {
	have := map[string]bool{}
	for i := range list {
		have[list[i].Name] = true
	}
	for _, name := range names {
		if !have[name] {
			have[name] = true
			list = append(list, rest.ServiceHealth{Name: name, Health: rest.HealthNoData, Reason: "known from older data only"})
		}
	}
	slices.SortStableFunc(list, func(a, b rest.ServiceHealth) int { return cmp.Compare(HealthRow(a), HealthRow(b)) })
	return list
}
