package telemetry

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// What is derived from spans and logs: exception groups, deployments, calls of databases, of messaging and of the outside.

// ListErrors implements rest.StrictServerInterface.
func (s *Services) ListErrors(ctx context.Context, q rest.ListErrorsRequestObject) (rest.ListErrorsResponseObject, error) {
	m, p := s.Moment(ctx), q.Params
	r, err := m.RangeOf(p.Start, p.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	since, err := newSince(p.NewSince)
	if err != nil {
		return nil, err
	}
	match := func(l []string) bool {
		return (p.Service == nil || l[0] == *p.Service) && (p.Type == nil || l[2] == *p.Type)
	}
	rows, err := m.Views.TableRows(model.TableErrors, r.Start, r.End, match)
	if err != nil {
		return nil, err
	}
	rows = slices.DeleteFunc(rows, func(v cells.TallyRow) bool { return v.FirstSeen.Before(since) })
	slices.SortStableFunc(rows, func(a, b cells.TallyRow) int { return cmp.Compare(b.Calls, a.Calls) })
	groups := make([]rest.ErrorGroup, 0, len(rows))
	for i := range rows {
		groups = append(groups, errorGroup(&rows[i]))
	}
	limit := answer.LimitOf(p.Limit)
	groups, next, err := answer.Page(groups, limit, p.Next, errorKey)
	if err != nil {
		return nil, err
	}
	out := rest.ListErrors200JSONResponse{Errors: groups, Total: len(groups), Next: next, Meta: s.Meta(m, r)}
	if p.Step == nil {
		return out, nil
	}
	step, err := m.StepOf(r, p.Step)
	if err != nil {
		return nil, err
	}
	width := int64(step / time.Second)
	out.StepS = &width
	return out, s.errorPoints(m, groups, r, width, match)
}

// newSince is the parameter of that name; zero where it is not given.
func newSince(text *string) (time.Time, error) {
	if text == nil {
		return time.Time{}, nil
	}
	return answer.ParseTime("new_since", *text)
}

// errorKey orders groups as their list: the most frequent first, then by name.
func errorKey(g rest.ErrorGroup) string {
	return fmt.Sprintf("%020d\x00%s\x00%s\x00%s\x00%s\x00%s\x00%s", ^uint64(g.Count), g.Service, g.Operation, g.Type, g.Message, g.Source,
		dimensionText(answer.Value(g.Dimensions)))
}

func errorGroup(v *cells.TallyRow) rest.ErrorGroup {
	g := rest.ErrorGroup{Service: v.Labels[0], Dimensions: answer.Dims(v.Dims()), Operation: v.Labels[1], Type: v.Labels[2],
		Message: v.Labels[3],
		Source:  rest.ErrorGroupSource(v.Labels[4]), Count: int64(v.Calls), FirstSeen: answer.TimeOrNil(v.FirstSeen),
		LastSeen: answer.TimeOrNil(v.LastSeen),
		Sample:   answer.ValidText(v.Text), Traces: []string{}}
	for _, e := range []model.Exemplar{v.Latest, v.Slowest} {
		if id := answer.HexOrEmpty(e.TraceID[:]); id != "" && !slices.Contains(g.Traces, id) {
			g.Traces = append(g.Traces, id)
		}
	}
	return g
}

func (s *Services) errorPoints(m answer.Moment, groups []rest.ErrorGroup, r answer.Range, width int64, match func([]string) bool) error {
	lines, err := m.Views.SelectTable(model.TableErrors, r.Start, r.End, match)
	if err != nil {
		return err
	}
	at := map[[6]string]*cells.TallyTimeline{}
	for i := range lines {
		key := [6]string(lines[i].Labels)
		key[5] = dimensionText(lines[i].Dims().Map())
		at[key] = &lines[i]
	}
	for i := range groups {
		g, points := &groups[i], []rest.CountPoint{}
		if l := at[[6]string{g.Service, g.Operation, g.Type, g.Message, string(g.Source),
			dimensionText(answer.Value(g.Dimensions))}]; l != nil {
			for _, c := range stepsOf(l.Cells, width) {
				points = append(points, rest.CountPoint{Time: time.Unix(c.Bucket, 0).UTC(), Count: int64(c.Calls)})
			}
		}
		g.Points = &points
	}
	return nil
}

func (s *Services) serviceRED(m answer.Moment, name string, r answer.Range) (rest.RED, error) {
	v, ok, err := m.Views.Service(name, r.Start, r.End)
	if err != nil || !ok {
		return rest.RED{}, err
	}
	return answer.RED(v.RED, m.Seconds(r)), nil
}

// ListDatabases implements rest.StrictServerInterface.
func (s *Services) ListDatabases(ctx context.Context, q rest.ListDatabasesRequestObject) (rest.ListDatabasesResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	rows, err := m.Views.TableRows(model.TableDatabases, r.Start, r.End, byService(q.Params.Service))
	if err != nil {
		return nil, err
	}
	out := rest.ListDatabases200JSONResponse{Databases: make([]rest.DatabaseCall, 0, len(rows)), Total: len(rows), Meta: s.Meta(m, r)}
	seconds := m.Seconds(r)
	for i := range rows {
		l, c := rows[i].Labels, tallyRED(&rows[i].Tally, seconds)
		out.Databases = append(out.Databases,
			rest.DatabaseCall{Service: l[0], Dimensions: answer.Dims(rows[i].Dims()), System: l[1], Namespace: l[2], Operation: l[3],
				Collection: l[4], Calls: c.Calls, Errors: c.Errors, Rate: c.Rate, ErrorRate: c.ErrorRate, P50Ms: c.P50Ms, P95Ms: c.P95Ms,
				P99Ms: c.P99Ms})
	}
	return out, nil
}

func tallyRED(t *cells.Tally, seconds float64) rest.RED {
	return answer.RED(model.RED{Calls: t.Calls, Errors: t.Failed, Latency: t.Hist.Latency()}, seconds)
}

// ListMessaging implements rest.StrictServerInterface.
func (s *Services) ListMessaging(ctx context.Context, q rest.ListMessagingRequestObject) (rest.ListMessagingResponseObject, error) {
	m, name := s.Moment(ctx), q.Params.Service
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	rows, err := m.Views.TableRows(model.TableMessaging, r.Start, r.End, byService(name))
	if err != nil {
		return nil, err
	}
	v, err := m.Views.ServiceMap(r.Start, r.End)
	if err != nil {
		return nil, err
	}
	out := rest.ListMessaging200JSONResponse{Clients: make([]rest.MessagingClient, 0, len(rows)), Edges: []rest.MessagingEdge{},
		Meta: s.Meta(m, r)}
	seconds := m.Seconds(r)
	for i := range rows {
		l, c := rows[i].Labels, tallyRED(&rows[i].Tally, seconds)
		out.Clients = append(out.Clients,
			rest.MessagingClient{Service: l[0], Dimensions: answer.Dims(rows[i].Dims()), System: l[1], Destination: l[2],
				Kind: rest.MessagingClientKind(l[3]), Calls: c.Calls, Errors: c.Errors, Rate: c.Rate, ErrorRate: c.ErrorRate,
				P50Ms: c.P50Ms, P95Ms: c.P95Ms, P99Ms: c.P99Ms})
	}
	for _, e := range v.Edges {
		if e.Connection != "messaging_system" || name != nil && e.Client != *name && e.Server != *name {
			continue
		}
		l := e.Transit.Latency()
		out.Edges = append(out.Edges, rest.MessagingEdge{Producer: e.Client, Consumer: e.Server, Messages: int64(e.Calls),
			Failed: int64(e.Failed), LatencyP50Ms: answer.Millis(l.P50), LatencyP95Ms: answer.Millis(l.P95),
			LatencyP99Ms: answer.Millis(l.P99)})
	}
	return out, nil
}

// ListExternal implements rest.StrictServerInterface.
func (s *Services) ListExternal(ctx context.Context, q rest.ListExternalRequestObject) (rest.ListExternalResponseObject, error) {
	m, name := s.Moment(ctx), q.Params.Service
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	v, err := m.Views.ServiceMap(r.Start, r.End)
	if err != nil {
		return nil, err
	}
	systems, err := m.Views.TableRows(model.TableDatabases, r.Start, r.End, byService(nil))
	if err != nil {
		return nil, err
	}
	database := map[string]bool{}
	for i := range systems {
		database[systems[i].Labels[1]] = true // a database without a name is shown by its system
	}
	out := rest.ListExternal200JSONResponse{External: []rest.ExternalCall{}, Meta: s.Meta(m, r)}
	seconds := m.Seconds(r)
	for _, e := range v.Edges {
		if e.Connection != "virtual_node" || e.Entry || database[e.Server] || name != nil && e.Client != *name {
			continue
		}
		c := answer.RED(model.RED{Calls: e.Calls, Errors: e.Failed}, seconds)
		out.External = append(out.External,
			rest.ExternalCall{Service: e.Client, Dimensions: answer.Dims(e.ClientDims), Target: e.Server, Calls: c.Calls, Errors: c.Errors,
				Rate: c.Rate, ErrorRate: c.ErrorRate, P95Ms: answer.Millis(e.ClientP95)})
	}
	out.Total = len(out.External)
	return out, nil
}
