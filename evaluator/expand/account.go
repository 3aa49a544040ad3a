package expand

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	html_template "html/template"
	"net/url"
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	text_template "text/template"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/timestamp"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/template"
	"github.com/prometheus/prometheus/util/strutil"
	"golang.org/x/text/cases"
	"golang.org/x/text/language"

	"github.com/gaurav/watchingcat/evaluator/query"
)

// Templates of labels and annotations are programs: they loop, call themselves and make texts longer. Prometheus expands them without a
// bound, within the evaluation of its rule.
//
// The simple version: before Prometheus does, each template that could grow is expanded here, by the same functions, with an account of
// what it does. A template that overdraws fails its rule, and Prometheus never sees it; of the others the expansion is known to be small.

// Bounds of templates.
const (
	MaxTemplate      = 64 << 10         // text of one template, bytes
	maxAnnotation    = 64 << 10         // one expanded annotation, bytes
	maxAlertLabel    = 4 << 10          // one expanded label, bytes
	maxExpanded      = 1 << 20          // what one function makes on the way, bytes
	maxExpandSteps   = 50_000           // actions and calls of one expansion
	maxTemplateDepth = 1000             // templates that call each other
	maxExpandQueries = 100              // PromQL queries of one expansion
	maxRuleExpanded  = 16 << 20         // labels and annotations of all alerts of a rule in one evaluation, bytes
	maxRuleSteps     = 5_000_000        // of all expansions of a rule in one evaluation
	maxRuleQueries   = 10_000           // of all expansions of a rule in one evaluation
	maxRegexpWork    = 100_000_000      // bytes times steps of regular expressions in one evaluation of a rule
	MaxQueryTime     = 30 * time.Second // all queries of a rule's templates in one evaluation
)

// ErrBound is wrapped by what goes beyond a bound.
var ErrBound = errors.New("beyond the bound")

// account is what the templates of one rule may still do in one evaluation.
type account struct {
	steps, queries, regexps int
	text                    int
}

func newAccount() *account {
	return &account{steps: maxRuleSteps, queries: maxRuleQueries, regexps: maxRegexpWork, text: maxRuleExpanded}
}

// meter counts what one expansion of one template does.
type meter struct {
	*account
	steps, queries, made int // so far
	out, most            int // bytes
	maxSteps, maxMade    int // 0: those of a label or an annotation
	depth                int // templates that are under way
	err                  error
}

func (x *meter) fail(format string, args ...any) error {
	if x.err == nil {
		x.err = fmt.Errorf("%w: "+format, append([]any{ErrBound}, args...)...)
	}
	return x.err
}

// step counts one action.
func (x *meter) step(n int) error {
	x.steps += n
	x.account.steps -= n
	switch {
	case x.err != nil:
		return x.err
	case x.steps > cmp.Or(x.maxSteps, maxExpandSteps):
		return x.fail("it takes more than %d steps: shorten its loops", cmp.Or(x.maxSteps, maxExpandSteps))
	case x.account.steps < 0:
		return x.fail("the templates of the rule take more than %d steps: shorten their loops", maxRuleSteps)
	}
	return nil
}

// emit counts output.
func (x *meter) emit(n int) error {
	if x.out += n; x.out > x.most {
		return x.fail("it expands to more than %d bytes: shorten it", x.most)
	}
	return x.step(1)
}

// make counts what a function is about to make.
func (x *meter) makes(n int) error {
	if n > maxExpanded {
		return x.fail("one of its functions makes more than %d bytes: shorten what it is given", maxExpanded)
	}
	if x.made += n; x.made > cmp.Or(x.maxMade, 8*maxExpanded) {
		return x.fail("its functions make more than %d bytes: shorten what they are given", cmp.Or(x.maxMade, 8*maxExpanded))
	}
	return x.step(1)
}

// sizeOf is about how long a value is once it is printed; it stops counting beyond most.
func sizeOf(v any, most int) int {
	switch v := v.(type) {
	case nil:
		return 8
	case string:
		return len(v)
	case html_template.HTML:
		return len(v)
	case error:
		return len(v.Error())
	case []any:
		n := 5
		for _, e := range v {
			if n += 2; n > most {
				break
			}
			n += sizeOf(e, most-n)
		}
		return n
	case map[string]any:
		n := 5
		for k, e := range v {
			if n += len(k) + 2; n > most {
				break
			}
			n += sizeOf(e, most-n)
		}
		return n
	case map[string]string:
		n := 5
		for k, e := range v {
			n += len(k) + len(e) + 2
		}
		return n
	case *histogram.FloatHistogram:
		if v == nil {
			return 8
		}
		return 256 + 128*(len(v.PositiveBuckets)+len(v.NegativeBuckets)+len(v.CustomValues))
	case bool, int, float64, *float64, time.Time, *time.Time, time.Duration, *time.Duration:
		return 64
	}
	return 20 * 1024 // a vector prints its addresses
}

func (x *meter) makesOf(factor int, args ...any) error {
	n := 0
	for _, a := range args {
		if n += factor * (sizeOf(a, maxExpanded) + 1); n > maxExpanded {
			break
		}
	}
	return x.makes(n)
}

// formatted bounds the length of what a format makes.
func formatted(format string, args []any) int {
	factor, pad := 1, 0
	if strings.ContainsAny(format, "qxXU+# ") {
		factor = 10
	}
	verbs := 0
	for i := 0; i < len(format); i++ {
		if format[i] != '%' {
			continue
		}
		verbs++
		for i++; i < len(format) && strings.IndexByte("+-# 0123456789.*[]", format[i]) >= 0; i++ {
			switch c := format[i]; {
			case c == '*':
				pad += widest(args)
			case c >= '1' && c <= '9':
				end := i
				for end < len(format) && format[end] >= '0' && format[end] <= '9' {
					end++
				}
				n, err := strconv.Atoi(format[i:end])
				if err != nil || n > 1_000_000 { // where fmt gives up
					n = 1_000_000
				}
				pad += n
				i = end - 1
			}
		}
	}
	n := len(format) + 64*verbs + pad
	longest, all := 0, 0
	for _, a := range args {
		s := sizeOf(a, maxExpanded)
		longest, all = max(longest, s), min(all+s, maxExpanded)
	}
	if strings.Contains(format, "[") { // which may name one argument often
		return n + factor*verbs*longest
	}
	return n + factor*(all+len(args)*32)
}

func widest(args []any) int {
	w := 0
	for _, a := range args {
		switch n := a.(type) {
		case int:
			w = max(w, n, -n)
		default:
			w = max(w, 64)
		}
	}
	return min(w, 1_000_000)
}

// compiled is a regular expression, if looking for it in a text costs no more than is left.
func (x *meter) compiled(pattern string, text int) (*regexp.Regexp, error) {
	size := 1
	if re, err := syntax.Parse(pattern, syntax.Perl); err == nil {
		size += query.StepsOf(re)
	}
	if size > query.MaxRegexp/10 {
		return nil, x.fail("a regular expression has more than %d steps: use fewer or smaller repetitions", query.MaxRegexp/10)
	}
	if x.regexps -= size * (text + 64); x.regexps < 0 {
		return nil, x.fail("the regular expressions of the rule's templates take too long: use fewer or smaller ones")
	}
	return regexp.Compile(pattern)
}

// replaced is what ReplaceAllString makes, within the bounds.
func (x *meter) replaced(pattern, repl, text string) (string, error) {
	if err := x.makesOf(1, text); err != nil {
		return "", err
	}
	re, err := x.compiled(pattern, len(text))
	if err != nil {
		return "", err
	}
	var out []byte
	at := 0
	for _, m := range re.FindAllStringSubmatchIndex(text, -1) {
		out = append(out, text[at:m[0]]...)
		if len(repl)+strings.Count(repl, "$")*(m[1]-m[0]) > maxExpanded {
			return "", x.makes(maxExpanded + 1)
		}
		out = re.ExpandString(out, repl, text, m)
		if at = m[1]; len(out) > maxExpanded {
			return "", x.makes(len(out))
		}
	}
	return string(append(out, text[at:]...)), x.makes(len(out))
}

// functions are those of templates that can make texts longer or take long, with what they cost counted before they do it. The others make
// short texts of numbers or parts of what they are given.
func (x *meter) functions() text_template.FuncMap {
	text := func(factor int, f func(string) string) func(string) (string, error) {
		return func(s string) (string, error) {
			if err := x.makesOf(factor, s); err != nil {
				return "", err
			}
			return f(s), nil
		}
	}
	printed := func(factor int, f func(...any) string) func(...any) (string, error) {
		return func(args ...any) (string, error) {
			if err := x.makesOf(factor, args...); err != nil {
				return "", err
			}
			return f(args...), nil
		}
	}
	return text_template.FuncMap{
		stepFunction: func() (string, error) { return "", x.step(1) },
		enterFunction: func() (string, error) {
			// Go gives up at 100,000, and then takes minutes where loops are on the way back.
			if x.depth++; x.depth > maxTemplateDepth {
				return "", x.fail("its templates call each other %d deep: end the recursion", maxTemplateDepth)
			}
			return "", x.step(1)
		},
		leaveFunction: func() string { x.depth--; return "" },
		textFunction:  func(s string) (string, error) { return s, x.emit(len(s)) },
		outFunction: func(v any) (any, error) {
			n := sizeOf(v, maxExpanded)
			return "", x.emit(n)
		},
		"print": printed(1, fmt.Sprint), "println": printed(1, fmt.Sprintln),
		"html": printed(6, text_template.HTMLEscaper), "js": printed(6, text_template.JSEscaper),
		"urlquery": printed(3, text_template.URLQueryEscaper),
		"printf": func(format string, args ...any) (string, error) {
			if err := x.makes(formatted(format, args)); err != nil {
				return "", err
			}
			return fmt.Sprintf(format, args...), nil
		},
		"reReplaceAll": x.replaced,
		"match": func(pattern, s string) (bool, error) {
			if err := x.step(1); err != nil {
				return false, err
			}
			re, err := x.compiled(pattern, len(s))
			if err != nil {
				return false, err
			}
			return re.MatchString(s), nil
		},
		"title":   text(3, cases.Title(language.AmericanEnglish, cases.NoLower).String),
		"toUpper": text(3, strings.ToUpper), "toLower": text(3, strings.ToLower), "urlQueryEscape": text(3, url.QueryEscape),
		"graphLink": text(4, strutil.GraphLinkForExpression), "tableLink": text(4, strutil.TableLinkForExpression),
		"args": func(args ...any) (map[string]any, error) {
			out := make(map[string]any, len(args))
			for i, a := range args {
				out["arg"+strconv.Itoa(i)] = a
			}
			return out, x.step(1 + len(args))
		},
	}
}

// check expands one template under account, with data if it is not plain. Its error wraps errBound; templates that fail otherwise are left
// to Prometheus.
func (a *account) check(ctx context.Context, name, text string, most int, data func() any, size int, ts time.Time, query rules.QueryFunc,
	external *url.URL) error {
	if len(text) > MaxTemplate {
		return fmt.Errorf("%w: the template has %d bytes, at most %d are expanded: shorten it", ErrBound, len(text), MaxTemplate)
	}
	actions, ok := plain(text)
	if upper := len(text) + actions*(size+64); ok && upper <= most {
		return a.spend(upper)
	}
	written, err := accountedText("account", templateDefs+text)
	if err != nil {
		return nil //nolint:nilerr // Prometheus shows what is wrong with it
	}
	x := &meter{account: a, most: most}
	t := template.NewTemplateExpander(ctx, written, "__alert_"+name, data(), model.Time(timestamp.FromTime(ts)),
		func(ctx context.Context, q string, ts time.Time) (promql.Vector, error) {
			if x.queries++; x.queries > maxExpandQueries {
				return nil, x.fail("it makes more than %d queries: make fewer", maxExpandQueries)
			}
			if a.queries--; a.queries < 0 {
				return nil, x.fail("the templates of the rule make more than %d queries: make fewer", maxRuleQueries)
			}
			v, err := query(ctx, q, ts)
			return v, errors.Join(err, x.step(1+len(v)))
		}, external, nil)
	t.Funcs(x.functions())
	if _, err := t.Expand(); err == nil || x.err == nil {
		return a.spend(x.out)
	}
	return x.err
}

func (a *account) spend(n int) error {
	if a.text -= n; a.text < 0 {
		return fmt.Errorf("%w: the labels and annotations of its alerts expand to more than %d bytes: shorten them", ErrBound,
			maxRuleExpanded)
	}
	return nil
}

// Alerts is what the templates of all alerts see beside their alert.
type Alerts struct {
	ExternalURL    *url.URL
	ExternalLabels labels.Labels
}

// Check expands the labels and annotations of a rule for every element of its condition's result.
func (t Alerts) Check(ctx context.Context, r *rules.AlertingRule, v promql.Vector, ts time.Time, query rules.QueryFunc) error {
	a := newAccount()
	external, link := t.ExternalURL, t.ExternalURL.String()
	for i := range v {
		data := sync.OnceValue(func() any { // few templates need it
			return template.AlertTemplateData(v[i].Metric.Map(), t.ExternalLabels.Map(), link, v[i])
		})
		size := int(v[i].Metric.ByteSize()) + len(link) + int(t.ExternalLabels.ByteSize()) + sizeOf(v[i].H, maxExpanded)
		check := func(what string, most int, ls labels.Labels) error {
			var err error
			ls.Range(func(x labels.Label) {
				if err == nil {
					if err = a.check(ctx, r.Name(), x.Value, most, data, size, ts, query, external); err != nil {
						err = fmt.Errorf("%s %q: %w", what, x.Name, err)
					}
				}
			})
			return err
		}
		if err := errors.Join(check("label", maxAlertLabel, r.Labels()), check("annotation", maxAnnotation, r.Annotations())); err != nil {
			return err
		}
	}
	return nil
}

// CheckWritten refuses templates that go beyond a bound whatever they are given.
func CheckWritten(r *rules.AlertingRule) error {
	none := func(context.Context, string, time.Time) (promql.Vector, error) { return nil, nil }
	return Alerts{ExternalURL: &url.URL{}}.Check(context.Background(), r, promql.Vector{{F: 1}}, time.Unix(0, 0), none)
}
