package expand

import (
	"encoding/base64"
	"encoding/json"
	"slices"
	"strings"
	text_template "text/template"
	"text/template/parse"
	"time"
)

// Expansion counts what one expansion of a template does, for templates that are expanded elsewhere: those of notifications.
type Expansion struct{ x meter }

// Bounds of the templates of one notification, which may be about thousands of alerts.
const (
	maxNotificationSteps = 1_000_000
	maxNotificationText  = 32 << 20
)

// New begins an expansion.
func New() *Expansion {
	a := &account{steps: maxNotificationSteps, regexps: 10 * maxRegexpWork}
	return &Expansion{meter{account: a, most: maxNotificationText, maxSteps: maxNotificationSteps, maxMade: maxNotificationText}}
}

// Err is what went beyond a bound, or nil.
func (e *Expansion) Err() error { return e.x.err }

// Functions are those that an accounted template calls: they count before they do something. Add them after all others.
func (e *Expansion) Functions() text_template.FuncMap {
	f := e.x.functions()
	delete(f, "args") // not of notifications
	delete(f, "graphLink")
	delete(f, "tableLink")
	f["join"] = func(sep string, s []string) (string, error) {
		n := 0
		for _, v := range s {
			n += len(v) + len(sep)
		}
		if err := e.x.makes(n); err != nil {
			return "", err
		}
		return strings.Join(s, sep), nil
	}
	f["base64encode"] = func(s string) (string, error) {
		if err := e.x.makesOf(2, s); err != nil {
			return "", err
		}
		return base64.URLEncoding.EncodeToString([]byte(s)), nil
	}
	f["toJson"] = func(v any) (string, error) {
		if err := e.x.makesOf(6, v); err != nil {
			return "", err
		}
		b, err := json.Marshal(v)
		return string(b), err
	}
	f["date"] = func(format string, t time.Time) (string, error) {
		if err := e.x.makesOf(16, format); err != nil { // a character may become the name of a month
			return "", err
		}
		return t.Format(format), nil
	}
	f["stringSlice"] = func(s ...string) ([]string, error) { return s, e.x.step(1 + len(s)) }
	f["list"] = func(args ...any) ([]any, error) {
		if args == nil {
			args = []any{}
		}
		return args, e.x.step(1 + len(args))
	}
	f["append"] = func(list []any, args ...any) ([]any, error) {
		return append(slices.Clip(list), args...), e.x.step(1 + len(list) + len(args))
	}
	return f
}

// Accounted is a copy of a parsed template that calls Functions.
func Accounted(t *parse.Tree) *parse.Tree {
	out := t.Copy()
	insert(out.Root)
	enter, leave := call(parse.NewIdentifier(enterFunction)), call(parse.NewIdentifier(leaveFunction))
	out.Root.Nodes = slices.Concat([]parse.Node{enter}, out.Root.Nodes, []parse.Node{leave})
	return out
}
