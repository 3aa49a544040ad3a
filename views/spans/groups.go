package spans

import (
	"cmp"
	"slices"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/model"
)

// Groups counts spans by the value of one attribute.
type Groups struct {
	by       map[string]*Group
	bounds   bounds
	Overflow uint64 // spans whose value is beyond the bounds
}

// A Group is the spans with one value.
type Group struct {
	Value   string
	Missing bool // they have no such attribute
	Spans   uint64
	Failed  uint64
	Hist    model.Histogram
}

// NewGroups returns empty groups.
func NewGroups() *Groups { return &Groups{by: map[string]*Group{}} }

// missing is the key of spans without the attribute: no text is equal to it.
const missing = "\xff"

// Add counts a span under the value of an attribute.
func (g *Groups) Add(name string, res pcommon.Resource, sp ptrace.Span) {
	value, ok := valueOf(name, res, sp)
	if !ok {
		value = missing
	}
	at := g.by[value]
	if at == nil {
		if len(g.by) >= maxValues || !g.bounds.takes(value) || len(value) > maxText {
			g.Overflow++
			return
		}
		at = &Group{Value: value, Missing: !ok}
		if !ok {
			at.Value = ""
		}
		g.by[value] = at
		g.bounds.take(value)
	}
	at.Spans++
	if Failed(sp) {
		at.Failed++
	}
	at.Hist.Add(Duration(sp), 1)
}

// valueOf is the value of an attribute of a span, else of its resource; fields under their names.
func valueOf(name string, res pcommon.Resource, sp ptrace.Span) (string, bool) {
	switch name {
	case FieldName:
		return attr.ValidUTF8(sp.Name()), true
	case FieldKind:
		return strings.ToLower(sp.Kind().String()), true
	}
	v, ok := sp.Attributes().Get(name)
	if !ok {
		if v, ok = res.Attributes().Get(name); !ok {
			if rest, cut := strings.CutPrefix(name, attr.ResourcePrefix); cut {
				v, ok = res.Attributes().Get(rest)
			}
		}
	}
	if !ok {
		return "", false
	}
	return attr.Text(v), true
}

// List returns at most limit groups, those with most spans first.
func (g *Groups) List(limit int) []*Group {
	out := make([]*Group, 0, len(g.by))
	for _, at := range g.by {
		out = append(out, at)
	}
	slices.SortFunc(out, func(a, b *Group) int { return cmp.Or(cmp.Compare(b.Spans, a.Spans), cmp.Compare(a.Value, b.Value)) })
	return out[:min(len(out), limit)]
}
