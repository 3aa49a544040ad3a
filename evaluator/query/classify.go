package query

import (
	"fmt"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
)

// A Frontier names the event time at which a rule is evaluated.
type Frontier string

const (
	// Head is the newest event time: the result can only grow stronger when more data for the same time arrives.
	Head Frontier = "head"
	// Complete is the time up to which every partition has been read: nothing that arrives later changes the result.
	Complete Frontier = "complete"
)

// A Class says at which frontier an expression is evaluated, and why.
type Class struct {
	Frontier Frontier `json:"frontier"`
	Reason   string   `json:"reason"`
}

// Classify decides for an alert's condition. The simple version: walk the tree; a node "grows" when late data can only add
// elements to its result and raise their values. Counters grow, and so does what the table below makes of them. A condition
// that grows is notified at the head, since late data cannot take it back; every other waits until all data is there.
func Classify(e parser.Expr) Class {
	s := shapeOf(e)
	if s.grows {
		return Class{Head, "more data can only strengthen it"}
	}
	if s.constant {
		return Class{Complete, "it reads no series"}
	}
	return Class{Complete, s.reason}
}

// shape is what a node of the tree does when more data arrives.
type shape struct {
	grows    bool
	constant bool
	reason   string // why it does not grow
	// per is set for what may stand in a ratio: which services' counters over which window.
	per string
}

func falls(format string, args ...any) shape { return shape{reason: fmt.Sprintf(format, args...)} }

// growing functions give more when their last argument, or the one named, gives more.
var growing = map[string]int{
	"rate": 0, "increase": 0, "histogram_quantile": 1, "histogram_count": 0, "histogram_sum": 0,
	"ceil": 0, "floor": 0, "round": 0, "clamp_min": 0, "clamp_max": 0, "clamp": 0, "sqrt": 0, "exp": 0, "ln": 0, "log2": 0, "log10": 0,
	"label_replace": 0, "label_join": 0, "sort": 0, "sort_desc": 0,
}

func shapeOf(e parser.Expr) shape {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return shapeOf(e.Expr)
	case *parser.StepInvariantExpr:
		return shapeOf(e.Expr)
	case *parser.NumberLiteral:
		return shape{constant: true}
	case *parser.UnaryExpr:
		s := shapeOf(e.Expr)
		if s.grows && e.Op == parser.SUB {
			return falls("a negated value falls when more data arrives")
		}
		return s
	case *parser.VectorSelector:
		return selectorShape(e, 0)
	case *parser.MatrixSelector:
		return selectorShape(e.VectorSelector.(*parser.VectorSelector), e.Range)
	case *parser.Call:
		return callShape(e)
	case *parser.AggregateExpr:
		return aggregateShape(e)
	case *parser.BinaryExpr:
		return binaryShape(e)
	case *parser.SubqueryExpr:
		return falls("a subquery looks at several moments")
	}
	return falls("%s is not known to grow", e.Type())
}

func selectorShape(v *parser.VectorSelector, window time.Duration) shape {
	switch {
	case v.OriginalOffset != 0 || v.Offset != 0:
		return falls("offset compares with another moment")
	case v.Timestamp != nil || v.StartOrEnd != 0:
		return falls("@ compares with another moment")
	}
	if !growsByName(v) {
		return falls("%s is not a counter of the views", v)
	}
	return shape{grows: true, per: fmt.Sprintf("%s over %v", services(v), window)}
}

// growsByName reports whether every metric that v may select is a counter or histogram of the views.
func growsByName(v *parser.VectorSelector) bool {
	for _, m := range v.LabelMatchers {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			return counters[m.Value]
		}
	}
	return false
}

// services are the matchers that say whose calls are counted, as text.
func services(v *parser.VectorSelector) string {
	var b strings.Builder
	for _, m := range v.LabelMatchers {
		switch m.Name {
		case "service_name", "service", "client", "server":
			fmt.Fprintf(&b, "%s%s%q,", strings.TrimSuffix(m.Name, "_name"), m.Type, m.Value)
		}
	}
	return b.String()
}

func callShape(c *parser.Call) shape {
	i, ok := growing[c.Func.Name]
	if !ok {
		if len(c.Args) == 0 || c.Func.Name == "vector" && shapeOf(c.Args[0]).constant {
			return falls("%s() is no counter", c.Func.Name)
		}
		return falls("%s() may fall when more data arrives", c.Func.Name)
	}
	s := shapeOf(c.Args[i])
	for k, a := range c.Args {
		if k != i && a.Type() == parser.ValueTypeScalar && !shapeOf(a).constant {
			return falls("%s() has an argument that is no number", c.Func.Name)
		}
	}
	return s
}

func aggregateShape(a *parser.AggregateExpr) shape {
	s := shapeOf(a.Expr)
	if !s.grows {
		return s
	}
	switch a.Op {
	case parser.SUM:
		s.per += fmt.Sprintf(" by %v %v", !a.Without, a.Grouping)
		return s
	case parser.MAX, parser.COUNT, parser.GROUP:
		return shape{grows: true}
	}
	return falls("%s may fall when more data arrives", a.Op)
}

func binaryShape(b *parser.BinaryExpr) shape {
	l, r := shapeOf(b.LHS), shapeOf(b.RHS)
	if l.constant && r.constant {
		return shape{constant: true}
	}
	for _, s := range []shape{l, r} {
		if !s.grows && !s.constant {
			return s
		}
	}
	switch b.Op {
	case parser.GTR, parser.GTE:
		return compareShape(b, l, r)
	case parser.LSS, parser.LTE:
		return compareShape(b, r, l)
	case parser.LAND, parser.LOR, parser.ADD:
		return shape{grows: true}
	case parser.MUL:
		if positive(b.LHS) || positive(b.RHS) || l.grows && r.grows {
			return shape{grows: true}
		}
		return falls("the factor may be negative")
	case parser.SUB:
		if l.grows && r.constant {
			return shape{grows: true}
		}
		return falls("a difference falls when what is taken away grows")
	case parser.DIV:
		return ratioShape(b, l, r)
	}
	return falls("%s may turn false when more data arrives", b.Op)
}

// compareShape is of a condition that holds while high is above low.
func compareShape(b *parser.BinaryExpr, high, low shape) shape {
	switch {
	case b.ReturnBool:
		return falls("bool gives a result either way")
	case high.grows && low.constant:
		return shape{grows: true}
	case high.constant:
		return falls("more data may lift it over the limit")
	}
	return falls("it compares two series")
}

// ratioShape lets ratios of counters pass that count over the same window in the same services: both sides then miss the same
// records, so the head's ratio is one of a prefix of the stream and not one of two different times.
func ratioShape(b *parser.BinaryExpr, l, r shape) shape {
	switch {
	case l.grows && positive(b.RHS):
		return shape{grows: true}
	case !l.grows || !r.grows:
		return falls("a quotient falls when its divisor grows")
	case l.per == "" || l.per != r.per:
		return falls("a ratio of different services or windows")
	}
	return shape{grows: true}
}

// positive reports whether e is a number above zero.
func positive(e parser.Expr) bool {
	switch e := e.(type) {
	case *parser.ParenExpr:
		return positive(e.Expr)
	case *parser.StepInvariantExpr:
		return positive(e.Expr)
	case *parser.NumberLiteral:
		return e.Val > 0
	}
	return false
}
