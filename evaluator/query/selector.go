package query

import (
	"slices"
	"strings"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/views/model"
)

// Selector is one selector of an expression and the metrics of the views that its matchers on the name accept.
type Selector struct {
	Matchers []*labels.Matcher
	metricsOf
}

// NewSelector resolves the matchers of a selector.
func NewSelector(ms []*labels.Matcher) Selector { return Selector{ms, candidates(ms)} }

// OfViews reports whether it may select series of the views.
func (s *Selector) OfViews() bool { return s.any() }

// OfRED reports whether it may select series of spans.
func (s *Selector) OfRED() bool { return len(s.red) > 0 }

// OfEdges reports whether it may select series of the service map.
func (s *Selector) OfEdges() bool { return len(s.edges) > 0 }

// TableSet is the tables whose series it may select.
func (s *Selector) TableSet() (out model.TableSet) {
	for _, m := range s.tables {
		out = out.With(m.table.table)
	}
	return out
}

// CountsCalls reports whether all series that it may select count calls of spans.
func (s *Selector) CountsCalls() bool {
	return len(s.red) > 0 && len(s.edges)+len(s.tables) == 0 &&
		!slices.ContainsFunc(s.red, func(m *metric) bool { return m.part != partCounter || m.field != fieldCalls })
}

// MatchRED reports whether it selects a series of a metric of spans with this key.
func (s *Selector) MatchRED(k model.REDKey) bool {
	for _, m := range s.red {
		if m.matchRED(s.Matchers, k) {
			return true
		}
	}
	return false
}

// MatchEdge reports whether it selects a series of a metric of edges with this key.
func (s *Selector) MatchEdge(k model.EdgeKey) bool {
	for _, m := range s.edges {
		if m.matchEdge(s.Matchers, k) {
			return true
		}
	}
	return false
}

// Text is equal for selectors with equal matchers.
func (s *Selector) Text() string { return selectorText(s.Matchers) }

func selectorText(ms []*labels.Matcher) string {
	var b strings.Builder
	for _, m := range ms {
		b.WriteString(m.Name)
		b.WriteString(m.Type.String())
		b.WriteString(m.Value)
		b.WriteByte(0xff)
	}
	return b.String()
}
