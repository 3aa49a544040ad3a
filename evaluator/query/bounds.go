package query

import (
	"cmp"
	"context"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/util/annotations"
	"github.com/prometheus/prometheus/util/strutil"
)

// Bounds of one PromQL query, beside those of Prometheus' engine. What can be counted before the query runs is refused with the number and
// the bound; the rest stops when the query's context ends.
const (
	// maxQuery bounds the text of a query in bytes: the longer, the more than proportionally long the engine prepares it.
	maxQuery = 64 << 10
	// maxSubquerySteps bounds the steps of one subquery: the engine makes lists of as many numbers before it reads the first sample, and a
	// query of a few letters would take all memory of the machine.
	maxSubquerySteps = 1_000_000
	// maxSubqueryWork bounds how many steps of subqueries the functions around them look at, for each series. A function looks at its whole
	// window at each step of its own, so nested subqueries multiply.
	maxSubqueryWork = 1_000_000_000
	// MaxRegexp and maxReplaceRegexp bound the size of regular expressions in steps of their program: repetitions multiply.
	// label_replace matches one after another series without looking at the query's context.
	MaxRegexp        = 100_000
	maxReplaceRegexp = 2_000
	// maxLabelText bounds the texts that label_replace and label_join write into each series, in bytes.
	maxLabelText = 4 << 10
	// maxLabelGrowth bounds how often nested label_replace and label_join repeat the value of a label.
	maxLabelGrowth = 64
)

// NewParser returns the PromQL parser that the engine, the rules and the API share. It refuses texts whose parsing would already cost more
// than a query may.
func NewParser() parser.Parser { return boundedParser{parser.NewParser(parser.Options{})} }

type boundedParser struct{ parser.Parser }

// ParseExpr implements parser.Parser.
func (p boundedParser) ParseExpr(text string) (parser.Expr, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	return p.Parser.ParseExpr(text)
}

// ParseMetricSelector implements parser.Parser.
func (p boundedParser) ParseMetricSelector(text string) ([]*labels.Matcher, error) {
	if err := checkText(text); err != nil {
		return nil, err
	}
	return p.Parser.ParseMetricSelector(text)
}

// ParseMetricSelectors implements parser.Parser.
func (p boundedParser) ParseMetricSelectors(texts []string) ([][]*labels.Matcher, error) {
	for _, t := range texts {
		if err := checkText(t); err != nil {
			return nil, err
		}
	}
	return p.Parser.ParseMetricSelectors(texts)
}

// checkText bounds a text and the regular expressions in it, before the parser compiles these.
func checkText(text string) error {
	if len(text) > maxQuery {
		return fmt.Errorf("the query has %d bytes, at most %d are evaluated: shorten it or split it", len(text), maxQuery)
	}
	if !strings.Contains(text, "{") { // neither a matcher nor a repetition
		return nil
	}
	lex := parser.Lex(text)
	total := 0
	for {
		var item parser.Item
		lex.NextItem(&item)
		switch item.Typ {
		case parser.EOF, parser.ERROR:
			return nil
		case parser.STRING:
			s, err := strutil.Unquote(item.Val)
			if err != nil {
				return nil //nolint:nilerr // the parser reports it
			}
			if total += regexpSize(s); total > MaxRegexp {
				return fmt.Errorf("the regular expressions of the query have more than %d steps: use fewer or smaller repetitions",
					MaxRegexp)
			}
		}
	}
}

// regexpSize is about how many steps the program of a regular expression has, 0 where it is none.
func regexpSize(text string) int {
	re, err := syntax.Parse(text, syntax.Perl|syntax.DotNL)
	if err != nil {
		return 0
	}
	return StepsOf(re)
}

// StepsOf is about how many steps the program of a regular expression has, at most 1<<40.
func StepsOf(re *syntax.Regexp) int {
	n := 1 + len(re.Rune)/2
	if re.Op == syntax.OpLiteral {
		n = 1 + len(re.Rune)
	}
	for _, s := range re.Sub {
		n += StepsOf(s)
	}
	if re.Op == syntax.OpRepeat {
		n *= max(re.Max, re.Min, 1)
	}
	return min(n, 1<<40)
}

// CheckExpr refuses an expression that costs too much, however few samples it selects.
func CheckExpr(e parser.Expr, start, end time.Time, interval, subqueryInterval time.Duration) error {
	w := weigher{subqueryInterval: subqueryInterval}
	step := interval.Seconds()
	if step <= 0 {
		step = 1
	}
	w.weigh(e, end.Sub(start).Seconds(), step, 1)
	if w.err == nil && w.work > maxSubqueryWork {
		return fmt.Errorf("the functions over subqueries look at %.0f steps, at most %d are evaluated: give them wider steps or shorter ranges, or record the inner one by a rule",
			w.work, maxSubqueryWork)
	}
	return w.err
}

// weigher adds up what an expression costs.
type weigher struct {
	subqueryInterval time.Duration
	work             float64
	err              error
}

// weigh looks at a node that is evaluated over covers seconds at steps of step seconds. growth is how often the label functions around it
// repeat a label.
func (w *weigher) weigh(n parser.Node, covers, step float64, growth int) {
	if w.err != nil {
		return
	}
	switch n := n.(type) {
	case *parser.StepInvariantExpr:
		w.weigh(n.Expr, 0, 1, growth)
		return
	case *parser.SubqueryExpr:
		covers, step = covers+n.Range.Seconds(), w.stepOf(n).Seconds() // durations end at 292 years
		if steps := covers / step; steps > maxSubquerySteps {
			w.err = fmt.Errorf("the subquery [%s:%s] has %.0f steps, at most %d are evaluated: give it a wider step or a shorter range",
				model.Duration(n.Range), model.Duration(w.stepOf(n)), steps, maxSubquerySteps)
			return
		}
	case *parser.Call:
		for _, a := range n.Args {
			if sub, ok := bare(a).(*parser.SubqueryExpr); ok {
				w.work += (covers/step + 1) * (sub.Range.Seconds()/w.stepOf(sub).Seconds() + 1)
			}
		}
		var times int
		if times, w.err = labelGrowth(n); w.err == nil && times > 0 {
			if growth *= times; growth > maxLabelGrowth {
				w.err = fmt.Errorf("nested label_replace and label_join repeat a label more than %d times: nest fewer of them",
					maxLabelGrowth)
			}
		}
	}
	for _, c := range parser.Children(n) {
		w.weigh(c, covers, step, growth)
	}
}

func (w *weigher) stepOf(n *parser.SubqueryExpr) time.Duration {
	return cmp.Or(n.Step, w.subqueryInterval)
}

// bare is an expression without what only surrounds it.
func bare(e parser.Expr) parser.Expr {
	for {
		switch x := e.(type) {
		case *parser.ParenExpr:
			e = x.Expr
		case *parser.StepInvariantExpr:
			e = x.Expr
		default:
			return e
		}
	}
}

// labelGrowth is how often a label function repeats a value in the label that it writes, 0 where it is no such function. A function whose
// texts or regular expression are too long is an error.
func labelGrowth(c *parser.Call) (int, error) {
	var texts []string
	for _, a := range c.Args {
		if s, ok := bare(a).(*parser.StringLiteral); ok {
			texts = append(texts, s.Val)
		}
	}
	var written, times int
	switch {
	case c.Func.Name == "label_replace" && len(texts) == 4:
		written = len(texts[1])
		if size := regexpSize(texts[3]); size > maxReplaceRegexp {
			return 0, fmt.Errorf("the regular expression of label_replace has %d steps, at most %d are evaluated: use fewer or smaller repetitions", size, maxReplaceRegexp)
		}
		times = max(1, strings.Count(texts[1], "$"))
		if re, err := syntax.Parse(texts[3], syntax.Perl|syntax.DotNL); err == nil && apart(re, texts[1]) {
			times = 1
		}
	case c.Func.Name == "label_join" && len(texts) >= 2:
		written = len(texts[1]) * max(1, len(texts)-3)
		times = max(1, len(texts)-2)
	default:
		return 0, nil
	}
	if written > maxLabelText {
		return 0, fmt.Errorf("%s writes a text of %d bytes, at most %d are evaluated: shorten it", c.Func.Name, written, maxLabelText)
	}
	return times, nil
}

// apart reports whether what a replacement puts together are different parts of the value: no group is within another and none is used
// twice, so that the result is no longer than the value.
func apart(re *syntax.Regexp, replacement string) bool {
	flat := true
	var walk func(re *syntax.Regexp, within bool)
	walk = func(re *syntax.Regexp, within bool) {
		if re.Op == syntax.OpCapture {
			flat = flat && !within
			within = true
		}
		for _, s := range re.Sub {
			walk(s, within)
		}
	}
	walk(re, false)
	if !flat {
		return false
	}
	var used []string
	for _, part := range strings.Split(replacement, "$")[1:] {
		name := strings.TrimPrefix(part, "{")
		if end := strings.IndexFunc(name, func(r rune) bool {
			return r != '_' && (r < '0' || r > '9') && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z')
		}); end >= 0 {
			name = name[:end]
		}
		if name == "0" || slices.Contains(used, name) {
			return len(used) == 0 && name == "0" && strings.Count(replacement, "$") == 1
		}
		used = append(used, name)
	}
	return true
}

// work is what the functions over ranges have done for one query. Prometheus' engine looks at the query's context once a series; a series
// with many steps, each over many samples, would go on long after.
type work struct {
	ctx  context.Context
	seen int64 // samples
	look int64 // when the context is looked at next
}

// lookEvery is after how many samples the context is looked at.
const lookEvery = 1 << 16

func (w *work) add(n int) {
	if w.seen += int64(n) + 1; w.seen < w.look {
		return
	}
	w.look = w.seen + lookEvery
	switch w.ctx.Err() {
	case nil:
	case context.DeadlineExceeded:
		panic(promql.ErrQueryTimeout("expression evaluation")) // the engine returns it as the query's error
	default:
		panic(promql.ErrQueryCanceled("expression evaluation"))
	}
}

// working are the queries that run, by the arguments of their functions over ranges: all that the engine hands to a function that says
// whose it is.
var working sync.Map // *parser.Expr to *work

func init() {
	for name, f := range promql.FunctionCalls {
		if def := parser.Functions[name]; f != nil && def != nil && slices.Contains(def.ArgTypes, parser.ValueTypeMatrix) {
			promql.FunctionCalls[name] = watched(f)
		}
	}
}

// watched is a function over ranges that ends with its query's context.
func watched(f promql.FunctionCall) promql.FunctionCall {
	return func(v []promql.Vector, m promql.Matrix, args parser.Expressions, enh *promql.EvalNodeHelper) (promql.Vector,
		annotations.Annotations) {
		if len(args) > 0 {
			if w, ok := working.Load(&args[0]); ok {
				n := 0
				for i := range m {
					n += len(m[i].Floats) + len(m[i].Histograms)
				}
				w.(*work).add(n)
			}
		}
		return f(v, m, args, enh)
	}
}

// watchedQuery ends with its context, in the midst of a series too.
type watchedQuery struct {
	promql.Query
	timeout time.Duration

	mu     sync.Mutex
	cancel context.CancelFunc
	over   bool
	work   work
}

// Exec implements promql.Query.
func (q *watchedQuery) Exec(ctx context.Context) *promql.Result {
	ctx, cancel := context.WithTimeout(ctx, q.timeout)
	defer cancel()
	q.mu.Lock()
	if q.cancel = cancel; q.over {
		cancel()
	}
	q.mu.Unlock()
	q.work.ctx = ctx
	if stmt, ok := q.Statement().(*parser.EvalStmt); ok {
		ctx = withLookback(ctx, stmt.LookbackDelta)
		var args []*parser.Expr
		parser.Inspect(stmt.Expr, func(n parser.Node, _ []parser.Node) error {
			if c, ok := n.(*parser.Call); ok && len(c.Args) > 0 && slices.Contains(c.Func.ArgTypes, parser.ValueTypeMatrix) {
				args = append(args, &c.Args[0])
				working.Store(&c.Args[0], &q.work)
			}
			return nil
		})
		defer func() {
			for _, a := range args {
				working.Delete(a)
			}
		}()
	}
	return q.Query.Exec(ctx)
}

// Cancel implements promql.Query.
func (q *watchedQuery) Cancel() {
	q.mu.Lock()
	q.over = true
	if q.cancel != nil {
		q.cancel()
	}
	q.mu.Unlock()
	q.Query.Cancel()
}
