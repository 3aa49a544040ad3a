package api

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
)

const (
	maxPoints     = 11_000 // as Prometheus bounds a range query
	defaultPoints = 90
)

func service(v views.Service, seconds float64) rest.Service {
	r := red(v.RED, seconds)
	return rest.Service{Name: v.Name, Calls: r.Calls, Errors: r.Errors, Rate: r.Rate, ErrorRate: r.ErrorRate,
		P50Ms: r.P50Ms, P95Ms: r.P95Ms, P99Ms: r.P99Ms, LastSeen: orNil(v.LastSeen), Entry: red(v.Entry, seconds)}
}

// services reads all services of a range.
func (s *Server) services(m moment, r timeRange) ([]rest.Service, error) {
	list, err := m.views.Services(r.start, r.end)
	if err != nil {
		return nil, err
	}
	seconds := m.seconds(r)
	out := make([]rest.Service, 0, len(list))
	for _, v := range list {
		out = append(out, service(v, seconds))
	}
	return out, nil
}

// ListServices implements rest.StrictServerInterface.
func (s *Server) ListServices(ctx context.Context, q rest.ListServicesRequestObject) (rest.ListServicesResponseObject, error) {
	m := s.moment(ctx)
	r, err := m.rangeOf(q.Params.Start, q.Params.End, defaultRange)
	if err != nil {
		return nil, err
	}
	list, err := s.services(m, r)
	if err != nil {
		return nil, err
	}
	list, next, err := page(list, value(q.Params.Limit), q.Params.Next, func(v rest.Service) string { return v.Name })
	if err != nil {
		return nil, err
	}
	return rest.ListServices200JSONResponse{Services: list, Total: len(list), Next: next, Meta: s.meta(m, r)}, nil
}

func unknownService(name string) error {
	return advise(problemf(errNotFound, "service_not_found", "no service %q is known", name), "GET /api/v1/services lists the services.")
}

// GetService implements rest.StrictServerInterface.
func (s *Server) GetService(ctx context.Context, q rest.GetServiceRequestObject) (rest.GetServiceResponseObject, error) {
	m := s.moment(ctx)
	r, err := m.rangeOf(q.Params.Start, q.Params.End, defaultRange)
	if err != nil {
		return nil, err
	}
	list, err := m.views.Services(r.start, r.end)
	if err != nil {
		return nil, err
	}
	for _, v := range list {
		if v.Name == q.Name {
			return rest.GetService200JSONResponse{Service: service(v, m.seconds(r)), Meta: s.meta(m, r)}, nil
		}
	}
	// Without spans in the range it may still be known.
	_, known, err := m.views.Operations(q.Name, r.end, r.end)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, unknownService(q.Name)
	}
	return rest.GetService200JSONResponse{Service: service(views.Service{Name: q.Name}, m.seconds(r)), Meta: s.meta(m, r)}, nil
}

// ListOperations implements rest.StrictServerInterface.
func (s *Server) ListOperations(ctx context.Context, q rest.ListOperationsRequestObject) (rest.ListOperationsResponseObject, error) {
	m := s.moment(ctx)
	r, err := m.rangeOf(q.Params.Start, q.Params.End, defaultRange)
	if err != nil {
		return nil, err
	}
	list, known, err := m.views.Operations(q.Name, r.start, r.end)
	if err != nil {
		return nil, err
	}
	if !known {
		return nil, unknownService(q.Name)
	}
	seconds := m.seconds(r)
	out := make([]rest.Operation, 0, len(list))
	for _, v := range list {
		if q.Params.Kind != nil && string(*q.Params.Kind) != v.Kind.String() {
			continue
		}
		c := red(v.RED, seconds)
		out = append(out, rest.Operation{Name: v.Name, Kind: v.Kind.String(), Calls: c.Calls, Errors: c.Errors, Rate: c.Rate,
			ErrorRate: c.ErrorRate, P50Ms: c.P50Ms, P95Ms: c.P95Ms, P99Ms: c.P99Ms})
	}
	// The views order kinds by number; a page's key needs the order of its text, which for one name only the kind decides.
	kindOrder := map[string]string{}
	for k := views.KindUnspecified; k <= views.KindConsumer; k++ {
		kindOrder[k.String()] = string('0' + rune(k))
	}
	out, next, err := page(out, value(q.Params.Limit), q.Params.Next, func(o rest.Operation) string { return o.Name + "\x00" + kindOrder[o.Kind] })
	if err != nil {
		return nil, err
	}
	return rest.ListOperations200JSONResponse{Operations: out, Total: len(out), Next: next, Meta: s.meta(m, r)}, nil
}

// stepOf is the width of points: whole buckets, as wide as those kept of the time where the range begins.
func (m moment) stepOf(r timeRange, asked *string) (time.Duration, error) {
	step := r.end.Sub(r.start) / defaultPoints
	if asked != nil {
		var err error
		if step, err = parseDuration("step", *asked); err != nil {
			return 0, err
		}
	}
	width := max(bucket, m.frontier.WidthAt(r.start))
	step = max(width, step.Truncate(width)+min(step%width, 1)*width)
	if r.end.Sub(r.start)/step > maxPoints {
		return 0, advise(problemf(errBadRequest, "too_many_points", "range and step make more than %d points", maxPoints), "Give a longer step or a shorter range.")
	}
	return step, nil
}

// GetServiceMetrics implements rest.StrictServerInterface.
func (s *Server) GetServiceMetrics(ctx context.Context, q rest.GetServiceMetricsRequestObject) (rest.GetServiceMetricsResponseObject, error) {
	m := s.moment(ctx)
	r, err := m.rangeOf(q.Params.Start, q.Params.End, defaultRange)
	if err != nil {
		return nil, err
	}
	step, err := m.stepOf(r, q.Params.Step)
	if err != nil {
		return nil, err
	}
	operation := value(q.Params.Operation)
	list, known, err := m.views.ServicePoints(q.Name, operation, r.start, r.end, step)
	if err != nil {
		return nil, err
	}
	if !known && operation != "" {
		return nil, advise(problemf(errNotFound, "operation_not_found", "no operation %q of service %q is known", operation, q.Name),
			"GET /api/v1/services/{name}/operations lists the operations.")
	}
	if !known {
		return nil, unknownService(q.Name)
	}
	out := make([]rest.Point, 0, len(list))
	for _, p := range list {
		c := red(p.RED, step.Seconds())
		out = append(out, rest.Point{Time: p.Time, Calls: c.Calls, Errors: c.Errors, P50Ms: c.P50Ms, P95Ms: c.P95Ms, P99Ms: c.P99Ms, Entry: red(p.Entry, step.Seconds())})
	}
	return rest.GetServiceMetrics200JSONResponse{Points: out, StepS: int64(step / time.Second), Meta: s.meta(m, r)}, nil
}

// serviceMap reads the map of a range.
func (s *Server) serviceMap(m moment, r timeRange) (rest.ServiceMap, error) {
	v, err := m.views.ServiceMap(r.start, r.end)
	if err != nil {
		return rest.ServiceMap{}, err
	}
	out := rest.ServiceMap{Nodes: make([]rest.Node, 0, len(v.Nodes)), Edges: make([]rest.Edge, 0, len(v.Edges)), Unpaired: make([]rest.Unpaired, 0, len(v.Unpaired))}
	for _, n := range v.Nodes {
		out.Nodes = append(out.Nodes, rest.Node{Name: n.Name, Type: rest.NodeType(n.Type)})
	}
	for _, e := range v.Edges {
		out.Edges = append(out.Edges, rest.Edge{Client: e.Client, Server: e.Server, ConnectionType: e.Connection, Calls: int64(e.Calls),
			Failed: int64(e.Failed), ClientP95Ms: millis(e.ClientP95), ServerP95Ms: millis(e.ServerP95)})
	}
	for _, u := range v.Unpaired {
		out.Unpaired = append(out.Unpaired, rest.Unpaired{Reason: u.Reason, Count: int64(u.Count)})
	}
	out.Meta = s.meta(m, r)
	return out, nil
}

// GetServiceMap implements rest.StrictServerInterface.
func (s *Server) GetServiceMap(ctx context.Context, q rest.GetServiceMapRequestObject) (rest.GetServiceMapResponseObject, error) {
	m := s.moment(ctx)
	r, err := m.rangeOf(q.Params.Start, q.Params.End, defaultRange)
	if err != nil {
		return nil, err
	}
	if q.Params.CompareEnd != nil && q.Params.CompareStart == nil {
		return nil, advise(problemf(errBadRequest, "invalid_range", "compare_end is given without compare_start"), "Give compare_start too.")
	}
	out, err := s.serviceMap(m, r)
	if err != nil || q.Params.CompareStart == nil {
		return rest.GetServiceMap200JSONResponse(out), err
	}
	c := timeRange{end: r.start, asked: true}
	if c.start, err = parseTime("compare_start", *q.Params.CompareStart); err != nil {
		return nil, err
	}
	if q.Params.CompareEnd != nil {
		if c.end, err = parseTime("compare_end", *q.Params.CompareEnd); err != nil {
			return nil, err
		}
	}
	if !c.start.Before(c.end) {
		return nil, advise(problemf(errBadRequest, "invalid_range", "the range to compare with is empty"), "Give a compare_start before compare_end.")
	}
	return rest.GetServiceMap200JSONResponse(out), s.compareMap(m, &out, r, c)
}

// compareMap puts on each edge of out how it differs from the range before, and adds those that are gone.
func (s *Server) compareMap(m moment, out *rest.ServiceMap, r, before timeRange) error {
	now, err := m.views.ServiceMap(r.start, r.end)
	if err != nil {
		return err
	}
	then, err := m.views.ServiceMap(before.start, before.end)
	if err != nil {
		return err
	}
	at := map[views.EdgeKey]*rest.Edge{}
	for i := range out.Edges {
		e := &out.Edges[i]
		at[views.EdgeKey{Client: e.Client, Server: e.Server, Connection: e.ConnectionType}] = e
	}
	t1, t2 := m.seconds(r), m.seconds(before)
	var gone []rest.Edge
	for _, c := range views.CompareEdges(now.Edges, then.Edges, time.Duration(t1*1e9), time.Duration(t2*1e9)) {
		change := rest.EdgeChange{What: []rest.EdgeChangeWhat{}, Before: edgeCounts(c.Before, t2)}
		for _, w := range c.What {
			change.What = append(change.What, rest.EdgeChangeWhat(w))
		}
		e := at[c.EdgeKey]
		if e == nil {
			gone = append(gone, rest.Edge{Client: c.Client, Server: c.Server, ConnectionType: c.Connection, Change: &change})
			continue
		}
		counts := edgeCounts(c.Now, t1)
		change.Now = &counts
		e.Change = &change
	}
	out.Edges = append(out.Edges, gone...)
	slices.SortFunc(out.Edges, func(a, b rest.Edge) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Server, b.Server), cmp.Compare(a.ConnectionType, b.ConnectionType))
	})
	known := map[string]bool{}
	for _, n := range out.Nodes {
		known[n.Name] = true
	}
	for _, n := range then.Nodes {
		if !known[n.Name] {
			out.Nodes = append(out.Nodes, rest.Node{Name: n.Name, Type: rest.NodeType(n.Type)})
		}
	}
	if since := m.frontier.Since; before.start.Before(since.Truncate(bucket)) {
		warn(&out.Meta, "the views begin at %s: the range compared with is cut there", since.UTC().Format(time.RFC3339))
	}
	return nil
}

func edgeCounts(e *views.Edge, seconds float64) rest.EdgeCounts {
	if e == nil {
		return rest.EdgeCounts{}
	}
	c := red(views.RED{Calls: e.Calls, Errors: e.Failed}, seconds)
	low, at, high := e.Latency.QuantileBounds(0.95, 3)
	return rest.EdgeCounts{Calls: c.Calls, Failed: c.Errors, Rate: c.Rate, ErrorRate: c.ErrorRate, P95Ms: millis(at), P95LowMs: millis(low), P95HighMs: millis(high)}
}
