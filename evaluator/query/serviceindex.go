package query

import "github.com/prometheus/prometheus/model/labels"

// ServiceIndex finds what may select a series by the service that the series is of. Most rules name a service, and there are thousands of
// both.
type ServiceIndex[T any] struct {
	by   map[string][]T
	rest []T // whatever names none
}

// Put adds v, which selects by ms; names are the labels that hold services.
func (k *ServiceIndex[T]) Put(ms []*labels.Matcher, v T, names ...string) {
	for _, m := range ms {
		for _, name := range names {
			if m.Name == name && m.Type == labels.MatchEqual && m.Value != "" {
				if k.by == nil {
					k.by = map[string][]T{}
				}
				k.by[m.Value] = append(k.by[m.Value], v)
				return
			}
		}
	}
	k.rest = append(k.rest, v)
}

// Each calls fn for what may select a series of one of the services.
func (k *ServiceIndex[T]) Each(fn func(T), services ...string) {
	for i, s := range services {
		if i > 0 && s == services[0] {
			continue
		}
		for _, v := range k.by[s] {
			fn(v)
		}
	}
	for _, v := range k.rest {
		fn(v)
	}
}
