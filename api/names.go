package api

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views/model"
)

// Names of services and operations, and the calls between services, of the time before the views: the store of raw traces lists them.

// older asks the store of raw traces for what lies before the views; without one, and where the range does not begin before, ask is not
// called.
func (s *Server) older(ctx context.Context, m answer.Moment, r answer.Range, p *provenance, what string,
	ask func(from, to time.Time) error) error {
	p.sources = []string{answer.SourceView}
	to, ok := m.BeforeViews(r)
	store := s.cfg.Stores.Traces
	if !ok || store == nil {
		return nil
	}
	if err := ask(r.Start, to); err != nil {
		if ctx.Err() != nil {
			return err
		}
		p.fail(err, fmt.Sprintf("%s from before %s are missing", what, to.UTC().Format(time.RFC3339)))
		return nil
	}
	p.answered(store.Name(), r.Start)
	return nil
}

// olderServices are the names of services that the store knows, where a range begins before the views.
func (s *Server) olderServices(ctx context.Context, m answer.Moment, r answer.Range, p *provenance) (list []string, err error) {
	err = s.older(ctx, m, r, p, "services", func(time.Time, time.Time) (err error) {
		list, err = s.cfg.Stores.Traces.Services(ctx)
		for i := range list {
			list[i] = answer.ValidText(list[i])
		}
		return err
	})
	return list, err
}

// olderOperations are the operations of a service that the store knows, where a range begins before the views.
func (s *Server) olderOperations(ctx context.Context, m answer.Moment, r answer.Range, service string,
	p *provenance) (list []raw.Operation, err error) {
	err = s.older(ctx, m, r, p, "operations", func(time.Time, time.Time) (err error) {
		list, err = s.cfg.Stores.Traces.Operations(ctx, service)
		for i := range list {
			list[i] = raw.Operation{Name: answer.ValidText(list[i].Name), Kind: answer.ValidText(list[i].Kind)}
		}
		return err
	})
	return list, err
}

// olderCalls are the calls between services that the store counted in the part of a range before the views.
func (s *Server) olderCalls(ctx context.Context, m answer.Moment, r answer.Range, p *provenance) (list []raw.Dependency, err error) {
	err = s.older(ctx, m, r, p, "calls between services", func(from, to time.Time) (err error) {
		list, err = s.cfg.Stores.Traces.Dependencies(ctx, from, to)
		for i := range list {
			list[i].Parent, list[i].Child = answer.ValidText(list[i].Parent), answer.ValidText(list[i].Child)
		}
		return err
	})
	return list, err
}

// jaegerKnown is the time of which services and operations are listed to Jaeger's clients.
func jaegerKnown(m answer.Moment) answer.Range {
	end := answer.Later(m.Known(), m.Now)
	return answer.Range{Start: end.Add(-knownFor), End: end.Add(answer.Bucket)}
}

// missing are the warnings of an answer whose format has no meta.
func (p *provenance) missing(s *Server, m answer.Moment, r answer.Range) []string {
	r.Covered = r.Covered || p.covered || !p.since.IsZero()
	if why := s.Unread(m, r); why != "" {
		return append(slices.Clip(p.warnings), why)
	}
	return p.warnings
}

// serviceNames are those of the views and of the store.
func (s *Server) serviceNames(ctx context.Context, m answer.Moment) (names, warnings []string, err error) {
	r := jaegerKnown(m)
	list, err := m.Views.Services(r.Start, r.End)
	if err != nil {
		return nil, nil, err
	}
	var p provenance
	names, err = s.olderServices(ctx, m, r, &p)
	if err != nil {
		return nil, nil, err
	}
	names = append([]string{}, names...)
	for _, v := range list {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), p.missing(s, m, r), nil // a service has a row for each combination of dimensions
}

// operationNames are those of the views and of the store.
func (s *Server) operationNames(ctx context.Context, m answer.Moment, service, kind string) (out []jaegerOperation, warnings []string,
	err error) {
	r := jaegerKnown(m)
	list, _, err := m.Views.Operations(service, r.Start, r.End)
	if err != nil {
		return nil, nil, err
	}
	var p provenance
	old, err := s.olderOperations(ctx, m, r, service, &p)
	if err != nil {
		return nil, nil, err
	}
	out = []jaegerOperation{}
	for _, o := range list {
		out = append(out, jaegerOperation{o.Name, kindName(o.Kind)})
	}
	for _, o := range old {
		out = append(out, jaegerOperation{o.Name, cmp.Or(o.Kind, kindName(model.KindUnspecified))})
	}
	slices.SortStableFunc(out, func(a, b jaegerOperation) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SpanKind, b.SpanKind))
	})
	out = slices.Compact(out)
	out = slices.DeleteFunc(out, func(o jaegerOperation) bool { return kind != "" && kind != o.SpanKind })
	return out, p.missing(s, m, r), nil
}

// withOlderServices adds the services that the store alone knows: it counts no calls.
func withOlderServices(list []rest.Service, names []string) []rest.Service {
	if len(names) == 0 {
		return list
	}
	have := map[string]bool{}
	for i := range list {
		have[list[i].Name] = true
	}
	for _, name := range names {
		if !have[name] {
			have[name] = true
			list = append(list, service(model.Service{Name: name}, 1))
		}
	}
	slices.SortStableFunc(list, func(a, b rest.Service) int { return cmp.Compare(a.Name, b.Name) })
	return list
}

// spanKinds are the kinds of the views by the names that Jaeger gives them.
var spanKinds = map[string]model.Kind{}

func init() {
	for k := model.KindUnspecified; k <= model.KindConsumer; k++ {
		spanKinds[kindName(k)] = k
	}
}

// withOlderCalls adds to a map the calls that the store counted before the views began.
func withOlderCalls(out *rest.ServiceMap, list []raw.Dependency, since time.Time, name string) {
	if len(list) == 0 {
		return
	}
	answer.Warn(&out.Meta,
		"calls from before %s are those that %s counted, which knows neither failures nor latencies of calls between services",
		since.UTC().Format(time.RFC3339), name)
	type ends struct{ client, server string }
	at, nodes := map[ends]int{}, map[string]bool{}
	for i := range out.Edges {
		e := &out.Edges[i]
		if k := (ends{e.Client, e.Server}); e.ClientType == rest.EdgeClientType(model.NodeService) &&
			e.ServerType == rest.EdgeServerType(model.NodeService) && e.ConnectionType == "" {
			if _, ok := at[k]; !ok {
				at[k] = i
			}
		}
	}
	for _, n := range out.Nodes {
		if n.Type == rest.NodeType(model.NodeService) {
			nodes[n.Name] = true
		}
	}
	for _, d := range list {
		for _, n := range []string{d.Parent, d.Child} {
			if !nodes[n] {
				nodes[n] = true
				out.Nodes = append(out.Nodes, node(model.Node{Name: n, Type: model.NodeService}))
			}
		}
		if d.Parent == d.Child {
			continue // Jaeger counts the spans within a service too
		}
		k := ends{d.Parent, d.Child}
		i, ok := at[k]
		if !ok {
			i = len(out.Edges)
			out.Edges, at[k] = append(out.Edges, edge(model.EdgeKey{Client: d.Parent, Server: d.Child})), i
		}
		out.Edges[i].Calls += int64(min(d.CallCount, 1<<62))
	}
	slices.SortStableFunc(out.Nodes, func(a, b rest.Node) int { return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type)) })
	slices.SortStableFunc(out.Edges, func(a, b rest.Edge) int {
		return cmp.Or(cmp.Compare(a.Client, b.Client), cmp.Compare(a.Server, b.Server), cmp.Compare(a.ConnectionType, b.ConnectionType))
	})
}
