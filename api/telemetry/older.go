package telemetry

import (
	"cmp"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views/model"
)

// addServices adds the services that the store alone knows: it counts no calls.
func addServices(list []rest.Service, names []string) []rest.Service {
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

// addCalls adds to a map the calls that the store counted before the views began.
func addCalls(out *rest.ServiceMap, list []raw.Dependency, since time.Time, name string) {
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
