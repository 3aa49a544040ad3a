package telemetry

import (
	"context"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// trendSteps is how many steps a trend has where the request names none: a sparkline is 96 pixels wide.
const trendSteps = 48

// ListServiceTrends implements rest.StrictServerInterface.
func (s *Services) ListServiceTrends(ctx context.Context,
	q rest.ListServiceTrendsRequestObject) (rest.ListServiceTrendsResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	asked := q.Params.Step
	if asked == nil {
		text := max(answer.Bucket, (r.End.Sub(r.Start) / trendSteps).Truncate(time.Second)).String()
		asked = &text
	}
	step, err := m.StepOf(r, asked)
	if err != nil {
		return nil, err
	}
	list, err := m.Views.ServiceTrends(r.Start, r.End, step)
	if err != nil {
		return nil, err
	}
	means, err := m.Views.ServiceCounts(r.Start, r.End)
	if err != nil {
		return nil, err
	}
	mean := make(map[serviceID]*rest.ServiceNumbers, len(means))
	seconds := m.Seconds(r)
	for i := range means {
		mean[serviceID{means[i].Name, means[i].Dims}] = numbers(&means[i].Entry, time.Duration(seconds*1e9))
	}
	from := views.RangeOf(r.Start, r.End).From
	t := trendShape{start: time.Unix(from-from%int64(step/time.Second), 0), step: step, since: m.Frontier.Since, end: r.End}
	if k := m.Known(); !k.IsZero() && k.Before(t.end) {
		t.end = k
	}
	out := rest.ServiceTrends{Services: make([]rest.ServiceTrend, 0, len(list)), Start: t.start.UTC(), StepS: int64(step / time.Second),
		Meta: s.Meta(m, r)}
	for _, v := range list {
		x := t.show(v.Points)
		x.Name, x.Dimensions, x.Mean = v.Name, answer.Dims(v.Dims), answer.Value(mean[serviceID{v.Name, v.Dims}])
		out.Services = append(out.Services, x)
	}
	return rest.ListServiceTrends200JSONResponse(out), nil
}

type trendShape struct {
	start, since, end time.Time
	step              time.Duration
}

// show leaves out the newest step until half of it has passed: what is known of less is noise.
func (t *trendShape) show(points []model.TrendPoint) (out rest.ServiceTrend) {
	for i, p := range points {
		from := t.start.Add(time.Duration(i) * t.step)
		known := min(t.step, t.end.Sub(from))
		if i > 0 && known < t.step/2 {
			break
		}
		var rate, share, p95 *float64
		if from.Add(t.step).After(t.since) {
			v := digits(float64(p.Calls) / max(known, time.Second).Seconds())
			rate = &v
		}
		if p.Calls > 0 {
			e, d := digits(float64(p.Errors)/float64(p.Calls)), digits(answer.Millis(p.P95))
			share, p95 = &e, &d
		}
		out.Rate, out.ErrorRate, out.P95Ms = append(out.Rate, rate), append(out.ErrorRate, share), append(out.P95Ms, p95)
	}
	return out
}
