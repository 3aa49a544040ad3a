package spans

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Contrast finds which attributes some spans have more often than others: slow ones, failed ones, those of a region of a heatmap.
//
// The simple version: for each value of an attribute it counts the selected spans that have it, and the others. A value says as much about
// the selection as the information that having it has about being selected, in bits; the values of one key are ranked by it, and the keys by
// their best value. A difference that chance explains is left out.
//
// Spans of different operations have different attributes, and fail differently often, so that every attribute of an operation that fails
// would differ. A Contrast by operation compares the spans of each operation with each other: the shares of the others are those that there
// would be if they were spread over the operations as the selected spans are.
type Contrast struct {
	byOperation bool
	strata      map[operation]*stratum
	bounds      bounds
	resource    pcommon.Resource
	pending     map[*stratum]split // spans of resource that are not yet counted under its attributes
}

// operation is whose spans are compared with each other.
type operation struct {
	service, name string
	kind          ptrace.SpanKind
}

// stratum is what was counted of one operation, or of all.
type stratum struct {
	attributes
	spans split
}

// NewContrast returns an empty Contrast.
func NewContrast(byOperation bool) *Contrast {
	return &Contrast{byOperation: byOperation, strata: map[operation]*stratum{}, pending: map[*stratum]split{}}
}

// Add counts a span of a service. Spans of one resource should come one after the other.
func (c *Contrast) Add(res pcommon.Resource, sp ptrace.Span, selected bool) {
	n := split{others: 1}
	if selected {
		n = split{selected: 1}
	}
	if res != c.resource {
		c.flush()
		c.resource = res
	}
	at := operation{}
	if c.byOperation {
		at = operation{ServiceOf(res), sp.Name(), sp.Kind()}
	}
	s := c.strata[at]
	if s == nil {
		if len(c.strata) >= maxStrata {
			c.bounds.dropped++
			return
		}
		s = &stratum{attributes: newAttributes(&c.bounds)}
		c.strata[at] = s
	}
	c.pending[s] = c.pending[s].plus(n)
	s.spans.add(n)
	s.attributes.add(ScopeSpan, sp.Attributes(), n)
	if !c.byOperation {
		s.str(key{ScopeField, FieldName}, sp.Name(), n)
		s.str(key{ScopeField, FieldKind}, strings.ToLower(sp.Kind().String()), n)
	}
}

// Fields of spans that are counted as attributes are.
const (
	FieldName = "span.name"
	FieldKind = "span.kind"
)

func (c *Contrast) flush() {
	for s, n := range c.pending {
		s.attributes.add(ScopeResource, c.resource.Attributes(), n)
	}
	clear(c.pending)
}

// Differences is how the selected spans differ from the others.
type Differences struct {
	Selected uint64       `json:"selected"`
	Others   uint64       `json:"others"`
	List     []Difference `json:"list"`
}

// A Difference is an attribute whose values the selected spans have more or less often than the others.
type Difference struct {
	Scope string `json:"scope"` // one of the Scope constants
	Key   string `json:"key"`
	// Information is how much the first value says about whether a span is selected, 0 to 1: as a share of what there is to know.
	Information float64 `json:"information"`
	// Outcome is set for attributes that say how a span ended, which follow from a failure rather than explain it.
	Outcome  bool    `json:"outcome"`
	Distinct int     `json:"distinct"` // values that were counted
	Overflow uint64  `json:"overflow"` // spans with a value beyond the bounds
	Values   []Value `json:"values"`   // the most informative first
}

// Sentence is the attribute with its first value.
func (d *Difference) Sentence() string {
	switch v := &d.Values[0]; v.Is {
	case IsAtLeast:
		return d.Key + " is at least " + v.Text
	case IsMissing:
		return d.Key + " is not set"
	default:
		return d.Key + " is " + v.Text
	}
}

// A Value is one value of an attribute, or all numbers from a threshold on, or no value.
type Value struct {
	Text          string  `json:"value"`
	Is            string  `json:"is"` // one of the Is constants
	Selected      uint64  `json:"selected"`
	Others        uint64  `json:"others"`
	SelectedShare float64 `json:"selected_share"` // 0 to 1
	OthersShare   float64 `json:"others_share"`   // 0 to 1
	Condition     string  `json:"condition"`      // by which a search finds such spans; "": by none
}

// How the text of a Value is meant.
const (
	IsEqual   = "equal"    // the value is Text
	IsAtLeast = "at_least" // it is a number, Text or more
	IsMissing = "missing"  // the span has no such attribute
)

const (
	leastSpans  = 5    // that are selected, and others
	leastSure   = 4    // standard errors between the shares
	leastShare  = 0.05 // between the shares
	mostValues  = 5    // of a difference
	manyNumbers = 12   // different numbers, from which on a threshold says more than single ones
)

// Differences returns at most limit of them, the one with the most information first, those that are an outcome last.
func (c *Contrast) Differences(limit int) Differences {
	c.flush()
	w := weigh(c.strata)
	out := Differences{Selected: w.spans.selected, Others: w.spans.others, List: []Difference{}}
	if w.spans.selected < leastSpans || w.spans.others < leastSpans {
		return out
	}
	whole := entropy(float64(w.spans.selected) / float64(w.spans.total()))
	for k, at := range w.by {
		list := w.valuesOf(k, at)
		slices.SortFunc(list, func(a, b Value) int {
			return cmp.Or(cmp.Compare(w.information(b), w.information(a)), cmp.Compare(a.Is, b.Is), cmp.Compare(a.Text, b.Text))
		})
		if len(list) == 0 || !w.differs(list[0]) {
			continue
		}
		// Of two values that say the same, the one that the selected spans have comes first.
		if len(list) > 1 && !list[0].over() && list[1].over() && w.information(list[1]) > 0.9*w.information(list[0]) {
			list[0], list[1] = list[1], list[0]
		}
		information := w.information(list[0]) / whole
		for i := range list {
			list[i].SelectedShare, list[i].OthersShare = rounded(list[i].SelectedShare), rounded(list[i].OthersShare)
		}
		out.List = append(out.List, Difference{Scope: k.scope, Key: k.name, Information: rounded(information), Outcome: isOutcome(k.name),
			Values: list[:min(len(list), mostValues)], Distinct: len(at.values), Overflow: at.dropped.total()})
	}
	slices.SortFunc(out.List, func(a, b Difference) int {
		if a.Outcome != b.Outcome {
			if b.Outcome {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(b.Information, a.Information), cmp.Compare(a.Scope, b.Scope), cmp.Compare(a.Key, b.Key))
	})
	out.List = out.List[:min(len(out.List), limit)]
	return out
}

// weighed is what all strata that can be compared have counted.
type weighed struct {
	spans split
	by    map[key]*weighedAttribute
}

type weighedAttribute struct {
	values      map[string]weight
	numbers     map[int16]weight
	all, number weight
	dropped     split
	onlyNumbers bool
}

// weight is how many spans have a value, and the share of the others that would have it, were they spread over the strata as the selected
// ones are.
type weight struct {
	split
	share float64
}

func (w weight) plus(o weight) weight { return weight{w.split.plus(o.split), w.share + o.share} }
func (w weight) less(o weight) weight { return weight{w.split.less(o.split), w.share - o.share} }

// weigh adds up the strata that have spans of both kinds.
func weigh(strata map[operation]*stratum) *weighed {
	w := &weighed{by: map[key]*weighedAttribute{}}
	for _, s := range strata {
		if s.spans.selected > 0 && s.spans.others > 0 {
			w.spans.add(s.spans)
		}
	}
	for _, s := range strata {
		if s.spans.selected == 0 || s.spans.others == 0 {
			continue
		}
		each := float64(s.spans.selected) / float64(w.spans.selected) / float64(s.spans.others)
		of := func(n split) weight { return weight{n, float64(n.others) * each} }
		for k, at := range s.by {
			x := w.by[k]
			if x == nil {
				x = &weighedAttribute{values: map[string]weight{}, numbers: map[int16]weight{}, onlyNumbers: true}
				w.by[k] = x
			}
			for text, n := range at.values {
				x.values[text] = x.values[text].plus(of(n))
			}
			for p, n := range at.numbers {
				x.numbers[p] = x.numbers[p].plus(of(n))
			}
			x.all, x.number = x.all.plus(of(at.all)), x.number.plus(of(at.number))
			x.onlyNumbers = x.onlyNumbers && at.number.total() == at.all.total()
			x.dropped.add(at.dropped)
		}
	}
	return w
}

// valuesOf are the values of an attribute, thresholds in place of many numbers, and the absence of any.
func (w *weighed) valuesOf(k key, at *weighedAttribute) (list []Value) {
	add := func(text, is string, n weight) {
		list = append(list, Value{Text: text, Is: is, Selected: n.selected, Others: n.others, Condition: k.condition(is, text),
			SelectedShare: float64(n.selected) / float64(w.spans.selected), OthersShare: n.share})
	}
	if len(at.values) >= manyNumbers && at.onlyNumbers {
		at.thresholds(func(text string, n weight) { add(text, IsAtLeast, n) })
	} else {
		for text, n := range at.values {
			add(text, IsEqual, n)
		}
	}
	if without := (weight{w.spans, 1}).less(at.all); without.total() > 0 {
		add("", IsMissing, without)
	}
	return list
}

// thresholds calls fn for the numbers from each power of two on.
func (at *weighedAttribute) thresholds(fn func(text string, n weight)) {
	powers := slices.Sorted(maps.Keys(at.numbers))
	left := at.number
	for i, p := range powers {
		if i > 0 {
			fn(strconv.FormatFloat(least(p), 'f', -1, 64), left)
		}
		left = left.less(at.numbers[p])
	}
}

func (v *Value) over() bool { return v.SelectedShare > v.OthersShare }

// differs reports whether chance does not explain how much more or less often the selected spans have a value.
func (w *weighed) differs(v Value) bool {
	n, m := float64(w.spans.selected), float64(w.spans.others)
	p, by := (v.SelectedShare*n+v.OthersShare*m)/(n+m), math.Abs(v.SelectedShare-v.OthersShare)
	return by >= leastShare && by >= leastSure*math.Sqrt(max(0, p*(1-p))*(1/n+1/m))
}

// information is how much less uncertain it is whether a span is selected once it is known whether it has a value, in bits.
func (w *weighed) information(v Value) float64 {
	n, m := float64(w.spans.selected), float64(w.spans.others)
	selected, others := v.SelectedShare*n, v.OthersShare*m
	h := entropy(n / (n + m))
	if with := selected + others; with > 0 {
		h -= with / (n + m) * entropy(selected/with)
	}
	if without := n + m - selected - others; without > 1e-9 {
		h -= without / (n + m) * entropy((n-selected)/without)
	}
	return max(0, h)
}

// rounded is a share as it is shown.
func rounded(f float64) float64 { return math.Round(f*1e4) / 1e4 }

func entropy(p float64) float64 {
	if p <= 0 || p >= 1 {
		return 0
	}
	return -p*math.Log2(p) - (1-p)*math.Log2(1-p)
}

// isOutcome reports whether an attribute says how a span ended, by the semantic conventions.
func isOutcome(name string) bool {
	return slices.Contains(outcomes, name) || strings.HasPrefix(name, "exception.") || strings.HasPrefix(name, "http.response.") ||
		strings.HasPrefix(name, "rpc.response.") || strings.HasPrefix(name, "otel.status")
}

var outcomes = []string{"error", "error.type", "error.message", "http.status_code", "http.status_text", "rpc.grpc.status_code", "grpc.status_code",
	"rpc.connect_rpc.error_code", "rpc.jsonrpc.error_code", "rpc.jsonrpc.error_message", "db.response.status_code", "db.response.returned_rows"}
