package telemetry

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/jaeger"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
)

// ServiceRow identifies a service, ordered as their list: the name, and the dimensions where it has any.
func ServiceRow(v rest.Service) string {
	if v.Dimensions == nil {
		return v.Name
	}
	return v.Name + "\x00" + dimensionText(*v.Dimensions)
}

// Services answers for services, the map and what is derived from spans and logs.
type Services struct {
	*answer.Moments
	Older      *older.Traces
	Configured []string // dimensions by the settings; the views may have others until a replay
}

func service(v model.Service, seconds float64) rest.Service {
	r := answer.RED(v.RED, seconds)
	return rest.Service{Name: v.Name, Dimensions: answer.Dims(v.Dims), Calls: r.Calls, Errors: r.Errors, Rate: r.Rate,
		ErrorRate: r.ErrorRate,
		P50Ms:     r.P50Ms, P95Ms: r.P95Ms, P99Ms: r.P99Ms, LastSeen: answer.TimeOrNil(v.LastSeen), Entry: answer.RED(v.Entry, seconds)}
}

// List reads all services of a range.
func (s *Services) List(m answer.Moment, r answer.Range) ([]rest.Service, error) {
	list, err := m.Views.Services(r.Start, r.End)
	if err != nil {
		return nil, err
	}
	seconds := m.Seconds(r)
	out := make([]rest.Service, 0, len(list))
	for _, v := range list {
		out = append(out, service(v, seconds))
	}
	return out, nil
}

// ListServices implements rest.StrictServerInterface.
func (s *Services) ListServices(ctx context.Context, q rest.ListServicesRequestObject) (rest.ListServicesResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	list, err := s.List(m, r)
	if err != nil {
		return nil, err
	}
	var from older.Provenance
	if r.Asked {
		names, err := s.Older.Services(ctx, m, r, &from)
		if err != nil {
			return nil, err
		}
		list = addServices(list, names)
	}
	list, next, err := answer.Page(list, answer.Value(q.Params.Limit), q.Params.Next, ServiceRow)
	if err != nil {
		return nil, err
	}
	return rest.ListServices200JSONResponse{Services: list, Total: len(list), Next: next, Meta: from.Meta(s.Moments, m, r)}, nil
}

// dimensionText is dimensions as one text, ordered by name.
func dimensionText(d rest.Dimensions) string {
	var b strings.Builder
	for _, name := range slices.Sorted(maps.Keys(d)) {
		b.WriteString(name + "=" + d[name] + ",")
	}
	return b.String()
}

func unknownService(name string) error {
	return answer.Advise(answer.Problemf(answer.ErrNotFound, "service_not_found", "no service %q is known", name),
		"GET /api/v1/services lists the services.")
}

// GetService implements rest.StrictServerInterface.
func (s *Services) GetService(ctx context.Context, q rest.GetServiceRequestObject) (rest.GetServiceResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	v, ok, err := m.Views.Service(q.Name, r.Start, r.End)
	if err != nil {
		return nil, err
	}
	if ok {
		return rest.GetService200JSONResponse{Service: service(v, m.Seconds(r)), Meta: s.Meta(m, r)}, nil
	}
	// Without spans in the range it may still be known.
	_, known, err := m.Views.Operations(q.Name, r.End, r.End)
	if err != nil {
		return nil, err
	}
	var from older.Provenance
	if !known && r.Asked {
		names, err := s.Older.Services(ctx, m, r, &from)
		if err != nil {
			return nil, err
		}
		known = slices.Contains(names, q.Name)
	}
	if !known {
		return nil, unknownService(q.Name)
	}
	out := rest.GetService200JSONResponse{Service: service(model.Service{Name: q.Name}, m.Seconds(r)), Meta: from.Meta(s.Moments, m, r)}
	return out, nil
}

// ListOperations implements rest.StrictServerInterface.
func (s *Services) ListOperations(ctx context.Context, q rest.ListOperationsRequestObject) (rest.ListOperationsResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	list, known, err := m.Views.Operations(q.Name, r.Start, r.End)
	if err != nil {
		return nil, err
	}
	var from older.Provenance
	var old []raw.Operation
	if r.Asked {
		if old, err = s.Older.Operations(ctx, m, r, q.Name, &from); err != nil {
			return nil, err
		}
	}
	if !known && len(old) == 0 {
		return nil, unknownService(q.Name)
	}
	for _, o := range old { // the store alone knows them, and counts no calls
		kind := jaeger.Kinds[o.Kind]
		if !slices.ContainsFunc(list, func(v model.Operation) bool { return v.Name == o.Name && (v.Kind == kind || o.Kind == "") }) {
			list = append(list, model.Operation{Name: o.Name, Kind: kind})
		}
	}
	slices.SortStableFunc(list, func(a, b model.Operation) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Kind, b.Kind))
	})
	seconds := m.Seconds(r)
	out := make([]rest.Operation, 0, len(list))
	for _, v := range list {
		if q.Params.Kind != nil && string(*q.Params.Kind) != v.Kind.String() {
			continue
		}
		c := answer.RED(v.RED, seconds)
		out = append(out, rest.Operation{Name: v.Name, Kind: v.Kind.String(), Calls: c.Calls, Errors: c.Errors, Rate: c.Rate,
			ErrorRate: c.ErrorRate, P50Ms: c.P50Ms, P95Ms: c.P95Ms, P99Ms: c.P99Ms})
	}
	// The views order kinds by number; a page's key needs the order of its text, which for one name only the kind decides.
	kindOrder := map[string]string{}
	for k := model.KindUnspecified; k <= model.KindConsumer; k++ {
		kindOrder[k.String()] = string('0' + rune(k))
	}
	out, next, err := answer.Page(out, answer.Value(q.Params.Limit), q.Params.Next,
		func(o rest.Operation) string { return o.Name + "\x00" + kindOrder[o.Kind] })
	if err != nil {
		return nil, err
	}
	return rest.ListOperations200JSONResponse{Operations: out, Total: len(out), Next: next, Meta: from.Meta(s.Moments, m, r)}, nil
}

// GetServiceMetrics implements rest.StrictServerInterface.
func (s *Services) GetServiceMetrics(ctx context.Context,
	q rest.GetServiceMetricsRequestObject) (rest.GetServiceMetricsResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	step, err := m.StepOf(r, q.Params.Step)
	if err != nil {
		return nil, err
	}
	operation := answer.Value(q.Params.Operation)
	list, known, err := m.Views.ServicePoints(q.Name, operation, r.Start, r.End, step)
	if err != nil {
		return nil, err
	}
	if !known && operation != "" {
		return nil, answer.Advise(answer.Problemf(answer.ErrNotFound, "operation_not_found", "no operation %q of service %q is known",
			operation, q.Name),
			"GET /api/v1/services/{name}/operations lists the operations.")
	}
	if !known {
		return nil, unknownService(q.Name)
	}
	out := make([]rest.Point, 0, len(list))
	for _, p := range list {
		c := answer.RED(p.RED, step.Seconds())
		out = append(out, rest.Point{Time: p.Time, Calls: c.Calls, Errors: c.Errors, P50Ms: c.P50Ms, P95Ms: c.P95Ms, P99Ms: c.P99Ms,
			Entry: answer.RED(p.Entry, step.Seconds())})
	}
	return rest.GetServiceMetrics200JSONResponse{Points: out, StepS: int64(step / time.Second), Meta: s.Meta(m, r)}, nil
}

// Map reads the map of a range.
func (s *Services) Map(m answer.Moment, r answer.Range) (rest.ServiceMap, error) {
	v, err := m.Views.ServiceMap(r.Start, r.End)
	if err != nil {
		return rest.ServiceMap{}, err
	}
	return s.showMap(m, r, &v), nil
}

func (s *Services) showMap(m answer.Moment, r answer.Range, v *model.Map) rest.ServiceMap {
	out := rest.ServiceMap{Nodes: make([]rest.Node, 0, len(v.Nodes)), Edges: make([]rest.Edge, 0, len(v.Edges)),
		Unpaired: make([]rest.Unpaired, 0, len(v.Unpaired))}
	for _, n := range v.Nodes {
		out.Nodes = append(out.Nodes, node(n))
	}
	for _, e := range v.Edges {
		x := edge(e.EdgeKey)
		x.Calls, x.Failed, x.ClientP95Ms, x.ServerP95Ms = int64(e.Calls), int64(e.Failed), answer.Millis(e.ClientP95),
			answer.Millis(e.ServerP95)
		out.Edges = append(out.Edges, x)
	}
	for _, u := range v.Unpaired {
		out.Unpaired = append(out.Unpaired, rest.Unpaired{Reason: u.Reason, Count: int64(u.Count)})
	}
	out.Meta = s.Meta(m, r)
	return out
}

func node(n model.Node) rest.Node {
	return rest.Node{Name: n.Name, Type: rest.NodeType(n.Type), System: answer.TextOrNil(n.System), Dimensions: answer.Dims(n.Dims)}
}

// edge is an edge without its numbers.
func edge(k model.EdgeKey) rest.Edge {
	client, server := k.ClientNode(), k.ServerNode()
	return rest.Edge{Client: k.Client, Server: k.Server, ConnectionType: k.Connection, ClientType: rest.EdgeClientType(client.Type),
		ServerType: rest.EdgeServerType(server.Type), ClientDimensions: answer.Dims(client.Dims),
		ServerDimensions: answer.Dims(server.Dims),
		ServerSystem:     answer.TextOrNil(server.System)}
}

// GetServiceMap implements rest.StrictServerInterface.
func (s *Services) GetServiceMap(ctx context.Context, q rest.GetServiceMapRequestObject) (rest.GetServiceMapResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	before, err := answer.ParseBaseline(q.Params.CompareStart, q.Params.CompareEnd, r)
	if err != nil {
		return nil, err
	}
	now, err := m.Views.ServiceMap(r.Start, r.End)
	if err != nil {
		return nil, err
	}
	var from older.Provenance
	var old []raw.Dependency
	if r.Asked {
		if old, err = s.Older.Calls(ctx, m, r, &from); err != nil {
			return nil, err
		}
	}
	out := s.showMap(m, r, &now)
	out.Meta = from.Meta(s.Moments, m, r)
	add := func() {
		if to, ok := m.BeforeViews(r); ok && len(old) > 0 {
			addCalls(&out, old, to, s.Older.Store.Name())
		}
	}
	if before == nil {
		add()
		return rest.GetServiceMap200JSONResponse(out), nil
	}
	err = s.compareMap(m, &out, &now, r, *before)
	add()
	return rest.GetServiceMap200JSONResponse(out), err
}

// compareMap puts on each edge of out how it differs from the range before, and adds those that are gone.
func (s *Services) compareMap(m answer.Moment, out *rest.ServiceMap, now *model.Map, r, before answer.Range) error {
	then, err := m.Views.ServiceMap(before.Start, before.End)
	if err != nil {
		return err
	}
	at := map[model.EdgeKey]*rest.Edge{}
	for i, e := range now.Edges { // out was made of them
		at[e.EdgeKey] = &out.Edges[i]
	}
	t1, t2 := m.Seconds(r), m.Seconds(before)
	var gone []rest.Edge
	for _, c := range edges.Compare(now.Edges, then.Edges, time.Duration(t1*1e9), time.Duration(t2*1e9)) {
		change := rest.EdgeChange{What: []rest.EdgeChangeWhat{}, Before: edgeCounts(c.Before, t2)}
		for _, w := range c.What {
			change.What = append(change.What, rest.EdgeChangeWhat(w))
		}
		e := at[c.EdgeKey]
		if e == nil {
			x := edge(c.EdgeKey)
			x.Change = &change
			gone = append(gone, x)
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
	still := make(map[model.Node]bool, len(now.Nodes))
	for _, n := range now.Nodes {
		still[n] = true
	}
	for _, n := range then.Nodes {
		if !still[n] {
			out.Nodes = append(out.Nodes, node(n))
		}
	}
	if since := m.Frontier.Since; before.Start.Before(since.Truncate(answer.Bucket)) {
		answer.Warn(&out.Meta, "the views begin at %s: the range compared with is cut there", since.UTC().Format(time.RFC3339))
	}
	return nil
}

func edgeCounts(e *model.Edge, seconds float64) rest.EdgeCounts {
	if e == nil {
		return rest.EdgeCounts{}
	}
	c := answer.RED(model.RED{Calls: e.Calls, Errors: e.Failed}, seconds)
	low, at, high := e.Latency.QuantileBounds(0.95, 3)
	return rest.EdgeCounts{Calls: c.Calls, Failed: c.Errors, Rate: c.Rate, ErrorRate: c.ErrorRate, P95Ms: answer.Millis(at),
		P95LowMs:  answer.Millis(low),
		P95HighMs: answer.Millis(high)}
}
