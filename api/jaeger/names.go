package jaeger

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/views/model"
)

const knownFor = 24 * time.Hour // how far back services and operations are listed

func kindName(k model.Kind) string {
	return strings.ToLower(strings.TrimPrefix(k.String(), "SPAN_KIND_"))
}

// known is the time of which services and operations are listed to Jaeger's clients.
func known(m answer.Moment) answer.Range {
	end := answer.Later(m.Known(), m.Now)
	return answer.Range{Start: end.Add(-knownFor), End: end.Add(answer.Bucket)}
}

// serviceNames are those of the views and of the store.
func (s *API) serviceNames(ctx context.Context, m answer.Moment) (names, warnings []string, err error) {
	r := known(m)
	list, err := m.Views.Services(r.Start, r.End)
	if err != nil {
		return nil, nil, err
	}
	var p older.Provenance
	names, err = s.Traces.Services(ctx, m, r, &p)
	if err != nil {
		return nil, nil, err
	}
	names = append([]string{}, names...)
	for _, v := range list {
		names = append(names, v.Name)
	}
	slices.Sort(names)
	return slices.Compact(names), p.Missing(s.Moments, m, r), nil // a service has a row for each combination of dimensions
}

// operationNames are those of the views and of the store.
func (s *API) operationNames(ctx context.Context, m answer.Moment, service, kind string) (out []operation, warnings []string,
	err error) {
	r := known(m)
	list, _, err := m.Views.Operations(service, r.Start, r.End)
	if err != nil {
		return nil, nil, err
	}
	var p older.Provenance
	old, err := s.Traces.Operations(ctx, m, r, service, &p)
	if err != nil {
		return nil, nil, err
	}
	out = []operation{}
	for _, o := range list {
		out = append(out, operation{o.Name, kindName(o.Kind)})
	}
	for _, o := range old {
		out = append(out, operation{o.Name, cmp.Or(o.Kind, kindName(model.KindUnspecified))})
	}
	slices.SortStableFunc(out, func(a, b operation) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.SpanKind, b.SpanKind))
	})
	out = slices.Compact(out)
	out = slices.DeleteFunc(out, func(o operation) bool { return kind != "" && kind != o.SpanKind })
	return out, p.Missing(s.Moments, m, r), nil
}

// Kinds are the kinds of the views by the names that Jaeger gives them.
var Kinds = map[string]model.Kind{}

func init() {
	for k := model.KindUnspecified; k <= model.KindConsumer; k++ {
		Kinds[kindName(k)] = k
	}
}
