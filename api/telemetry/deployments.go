package telemetry

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views/health"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

const (
	// maxVerdicts bounds the deployments of an answer that have verdicts, maxChanges the operations of one verdict.
	maxVerdicts = 50
	maxChanges  = 20
	// verdictBaseline is what a verdict compares with, before the first span.
	verdictBaseline = 30 * time.Minute
)

// verdictAfter is how long after the first span of a version a verdict is given.
var verdictAfter = []time.Duration{10 * time.Minute, 30 * time.Minute}

// ListDeployments implements rest.StrictServerInterface.
func (s *Services) ListDeployments(ctx context.Context, q rest.ListDeploymentsRequestObject) (rest.ListDeploymentsResponseObject, error) {
	m, p := s.Moment(ctx), q.Params
	r, err := m.RangeOf(p.Start, p.End, 24*time.Hour)
	if err != nil {
		return nil, err
	}
	window := answer.DefaultRange
	if p.Window != nil {
		if window, err = answer.ParseDuration("window", *p.Window); err != nil {
			return nil, err
		}
	}
	lines, err := m.Views.SelectTable(model.TableVersions, r.End, r.End, byService(p.Service))
	if err != nil {
		return nil, err
	}
	list := []rest.Deployment{}
	for i := range lines {
		l := &lines[i]
		first := time.Unix(0, int64(l.Base.First)).UTC()
		if first.Before(r.Start) || !first.Before(r.End) {
			continue
		}
		calls, failed := l.Base.Calls, l.Base.Failed
		for i := range l.Cells { // of the bucket that the range ends in
			calls, failed = calls+l.Cells[i].Calls, failed+l.Cells[i].Failed
		}
		list = append(list, rest.Deployment{Service: l.Labels[0], Dimensions: answer.Dims(l.Dims()), Version: l.Labels[1],
			FirstSeen: answer.TimeOrNil(first), LastSeen: answer.TimeOrNil(time.Unix(0, int64(l.Base.Last))),
			Calls: int64(calls), Errors: int64(failed)})
	}
	slices.SortFunc(list, func(a, b rest.Deployment) int {
		return cmp.Or(b.FirstSeen.Compare(*a.FirstSeen), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version))
	})
	list = list[:min(len(list), answer.LimitOf(p.Limit))]
	for i := range list {
		d := &list[i]
		edge := d.FirstSeen.Truncate(answer.Bucket)
		of := m
		of.Views = live.Narrow(m.Views, model.DimFilter(answer.Value(d.Dimensions)))
		if d.Before, err = s.serviceRED(of, d.Service, answer.Range{Start: edge.Add(-window), End: edge}); err != nil {
			return nil, err
		}
		if d.After, err = s.serviceRED(of, d.Service, answer.Range{Start: edge, End: edge.Add(window)}); err != nil {
			return nil, err
		}
		if i < maxVerdicts {
			if d.Verdicts, err = verdicts(of, d.Service, edge); err != nil {
				return nil, err
			}
		}
	}
	return rest.ListDeployments200JSONResponse{Deployments: list, Total: len(list), Meta: s.Meta(m, r)}, nil
}

// verdicts say how a service has changed since a version of it was first seen at edge.
func verdicts(m answer.Moment, service string, edge time.Time) (*[]rest.DeploymentVerdict, error) {
	of := func(k model.REDKey) bool { return k.Service == service }
	out := []rest.DeploymentVerdict{}
	var before []model.OperationLatency
	for _, after := range verdictAfter {
		if m.Known().Before(edge.Add(after)) {
			break
		}
		var err error
		if before == nil {
			if before, err = m.Views.Latencies(edge.Add(-verdictBaseline), edge, of); err != nil {
				return nil, err
			}
		}
		now, err := m.Views.Latencies(edge, edge.Add(after), of)
		if err != nil {
			return nil, err
		}
		change, list := health.Compare(before, now)
		v := rest.DeploymentVerdict{AfterS: int64(after / time.Second), Verdict: rest.Change(change), Operations: []rest.OperationChange{}}
		for i := range list {
			if o := &list[i]; o.Overall != health.Same && o.Overall != health.TooFew && len(v.Operations) < maxChanges {
				v.Operations = append(v.Operations, rest.OperationChange{Name: o.Name, Kind: o.Kind.String(), Change: rest.Change(o.Overall),
					Errors: rest.Change(o.Errors), Latency: rest.Change(o.Latency), Before: changeCalls(&o.Before), After: changeCalls(&o.After)})
			}
		}
		out = append(out, v)
	}
	return &out, nil
}

func changeCalls(c *health.Calls) rest.ChangeCalls {
	out := rest.ChangeCalls{Calls: int64(c.Calls), Errors: int64(c.Errors), P95Ms: answer.Millis(c.P95)}
	if c.Calls > 0 {
		out.ErrorRate = float64(c.Errors) / float64(c.Calls)
	}
	return out
}
