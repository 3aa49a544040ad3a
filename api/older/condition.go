package older

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/spans"
)

// longestExpression bounds the work of a regular expression.
const longestExpression = 500

var conditionText = regexp.MustCompile(`^([^=~<>]*?)(!=|>=|<=|=|~|>|<)((?s:.*))$`)

// ParseConditions reads conditions on attributes: key=value, which are returned by key, key!=value, key~expression, key>number,
// key>=number, key<number, key<=number, and key alone for an attribute with any value.
func ParseConditions(list []string) (equal map[string]string, others []attr.Condition, err error) {
	equal = map[string]string{}
	for _, text := range list {
		m := conditionText.FindStringSubmatch(text)
		if m == nil {
			m = []string{text, text, "", ""}
		}
		key, op, value := strings.TrimSpace(m[1]), m[2], m[3]
		if key == "" {
			return nil, nil, badCondition(text, "it names no attribute")
		}
		if op == "=" && key != spans.FieldName { // the name is no attribute for any store
			equal[key] = value
			continue
		}
		c := attr.Condition{Key: key}
		if c.Accepts, err = accepts(op, value); err != nil {
			return nil, nil, badCondition(text, err.Error())
		}
		others = append(others, c)
	}
	return equal, others, nil
}

func badCondition(text, why string) error {
	return answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_attribute", "attributes: %q cannot be used: %s", text, why),
		"Give key=value, key!=value, key~expression, key>number, key>=number, key<number, key<=number, or key.")
}

func accepts(op, value string) (func(string) bool, error) {
	switch op {
	case "":
		return func(string) bool { return true }, nil
	case "=":
		return func(v string) bool { return v == value }, nil
	case "!=":
		return func(v string) bool { return v != value }, nil
	case "~":
		if len(value) > longestExpression {
			return nil, fmt.Errorf("the regular expression has more than %d bytes", longestExpression)
		}
		re, err := regexp.Compile(value)
		if err != nil {
			return nil, err
		}
		return re.MatchString, nil
	}
	limit, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil {
		return nil, fmt.Errorf("%q is not a number", value)
	}
	compare := map[string]func(n float64) bool{
		">":  func(n float64) bool { return n > limit },
		">=": func(n float64) bool { return n >= limit },
		"<":  func(n float64) bool { return n < limit },
		"<=": func(n float64) bool { return n <= limit },
	}[op]
	return func(v string) bool {
		n, err := strconv.ParseFloat(v, 64)
		return err == nil && compare(n)
	}, nil
}

// holds reports whether an attribute of the span, its resource, its scope, its events or its links fulfils a condition, or the span's name
// under the key span.name.
func holds(c *attr.Condition, res pcommon.Resource, sc ptrace.ScopeSpans, sp ptrace.Span) bool {
	is := func(m pcommon.Map, key string) bool {
		v, ok := m.Get(key)
		return ok && c.Accepts(attr.Text(v))
	}
	if is(sp.Attributes(), c.Key) || is(res.Attributes(), c.Key) || is(sc.Scope().Attributes(), c.Key) {
		return true
	}
	if of, ok := strings.CutPrefix(c.Key, attr.ResourcePrefix); ok && is(res.Attributes(), of) {
		return true
	}
	if c.Key == spans.FieldName && c.Accepts(model.CleanName(sp.Name())) {
		return true
	}
	for _, e := range sp.Events().All() {
		if is(e.Attributes(), c.Key) {
			return true
		}
	}
	for _, l := range sp.Links().All() {
		if is(l.Attributes(), c.Key) {
			return true
		}
	}
	for _, t := range SpanTags(sc, sp) {
		if t.Key == c.Key && c.Accepts(fmt.Sprint(t.Value)) {
			return true
		}
	}
	return false
}
