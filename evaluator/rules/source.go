package rules

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"path/filepath"
	"slices"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/rules"

	"github.com/gaurav/watchingcat/evaluator/expand"
	"github.com/gaurav/watchingcat/evaluator/query"
)

// Source is where rule groups come from: a file, or the page.
type Source struct {
	Name   string // path of the file; it names the groups in the API and their state in the store
	Groups []rulefmt.RuleGroup
	// IDs are those of the rules of each group where they were given; nil: they follow from group, name and labels.
	IDs [][]string
	// Disabled are ids of rules that are not evaluated.
	Disabled map[string]bool
	Editable bool // users made it over HTTP and may change it there
	// Floor is the least time between two evaluations of its groups, where that is more than the evaluator's.
	Floor time.Duration
}

// LoadFiles reads Prometheus rule files by globs. All errors are reported together, each with file, line and rule; a pattern
// that matches nothing is none, as in Prometheus.
func LoadFiles(patterns []string, log *slog.Logger) ([]Source, error) {
	var out []Source
	var errs []error
	seen := map[string]bool{}
	for _, p := range patterns {
		files, err := filepath.Glob(p)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", p, err))
		}
		slices.Sort(files)
		for _, f := range files {
			if seen[f] {
				continue
			}
			seen[f] = true
			groups, fails := rulefmt.ParseFile(f, false, model.UTF8Validation, query.NewParser(), log)
			errs = append(errs, fails...)
			if len(fails) == 0 {
				out = append(out, Source{Name: f, Groups: groups.Groups})
			}
		}
	}
	return out, errors.Join(errs...)
}

// ParseSource reads one Prometheus rule file from memory; log may be nil.
func ParseSource(name string, text []byte, log *slog.Logger) (Source, error) {
	log = cmp.Or(log, slog.New(slog.DiscardHandler)) // Prometheus logs some mistakes
	groups, fails := rulefmt.Parse(text, false, model.UTF8Validation, query.NewParser(), log)
	if len(fails) > 0 {
		for i, err := range fails {
			fails[i] = fmt.Errorf("%s: %w", name, err)
		}
		return Source{}, errors.Join(fails...)
	}
	if err := CheckGroups(groups.Groups); err != nil {
		return Source{}, fmt.Errorf("%s: %w", name, err)
	}
	return Source{Name: name, Groups: groups.Groups}, nil
}

// Check refuses rules that CheckGroups does.
func Check(sources []Source) error {
	var errs []error
	for _, s := range sources {
		if err := CheckGroups(s.Groups); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", s.Name, err))
		}
	}
	return errors.Join(errs...)
}

// CheckGroups refuses expressions and templates that go beyond a bound at every evaluation. What goes beyond one only at some is refused
// then.
func CheckGroups(groups []rulefmt.RuleGroup) error {
	for _, g := range groups {
		for i, r := range g.Rules {
			expr, err := query.NewParser().ParseExpr(r.Expr)
			if err == nil {
				err = query.CheckExpr(expr, time.Time{}, time.Time{}, 0, time.Minute)
			}
			if err == nil && r.Alert != "" {
				l := rules.FromMaps(g.Labels, r.Labels)
				err = expand.CheckWritten(rules.NewAlertingRule(r.Alert, expr, 0, 0, l, labels.FromMap(r.Annotations), labels.EmptyLabels(),
					"", true, slog.New(slog.DiscardHandler)))
			}
			if err != nil {
				return fmt.Errorf("group %q, rule %d, %q: %w", g.Name, i+1, r.Alert+r.Record, err)
			}
		}
	}
	return nil
}

// AllRules are all rules of the sources.
func AllRules(sources []Source) iter.Seq[rulefmt.Rule] {
	return func(yield func(rulefmt.Rule) bool) {
		for _, s := range sources {
			for _, g := range s.Groups {
				for _, r := range g.Rules {
					if !yield(r) {
						return
					}
				}
			}
		}
	}
}
