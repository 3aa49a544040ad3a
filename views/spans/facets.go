package spans

import (
	"cmp"
	"slices"
)

// A Facet is an attribute with its most frequent values.
type Facet struct {
	Scope, Key      string
	Spans, Overflow uint64 // spans that have it, and those of them with a value beyond the bounds
	Distinct        int
	Values          []FacetValue
}

// A FacetValue is a value with the spans that have it, and those of them that failed.
type FacetValue struct {
	Value, Condition string
	Spans, Failed    uint64
}

// Facets returns at most limit attributes with at most so many values each, of a Contrast that is not by operation and selects the spans that failed. Those that most spans have with few different values come first.
func (c *Contrast) Facets(limit, values int) []Facet {
	c.flush()
	s := c.strata[operation{}]
	if s == nil {
		return nil
	}
	out := make([]Facet, 0, len(s.by))
	for k, at := range s.by {
		f := Facet{Scope: k.scope, Key: k.name, Spans: at.all.total(), Overflow: at.dropped.total(), Distinct: len(at.values)}
		for text, n := range at.values {
			f.Values = append(f.Values, FacetValue{text, k.condition(IsEqual, text), n.total(), n.selected})
		}
		slices.SortFunc(f.Values, func(a, b FacetValue) int { return cmp.Or(cmp.Compare(b.Spans, a.Spans), cmp.Compare(a.Value, b.Value)) })
		f.Values = f.Values[:min(len(f.Values), values)]
		out = append(out, f)
	}
	slices.SortFunc(out, func(a, b Facet) int {
		return cmp.Or(cmp.Compare(b.useful(), a.useful()), cmp.Compare(a.Key, b.Key), cmp.Compare(a.Scope, b.Scope))
	})
	return out[:min(len(out), limit)]
}

// useful is greater for attributes that divide many spans into few groups: for ids, of which each span has its own, it is nearly 0, as
// for those that have one value everywhere.
func (f *Facet) useful() float64 {
	if f.Distinct <= 1 {
		return 0
	}
	return float64(f.Spans-f.Overflow) / float64(max(10, f.Distinct))
}
