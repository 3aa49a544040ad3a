package backtest

import (
	"cmp"
	"slices"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/evaluator/rules"
)

// RuleDiff is one difference between two sets of rules.
type RuleDiff struct {
	Change              string // added, removed or changed
	Source, Group, Name string
	What                []string // of a changed rule: expr, for, keep_firing_for, labels, annotations, enabled
}

// DiffRules says what differs, ordered by source, group and name. Rules are the same by their ids; one whose name or labels changed has
// another id where it comes from a file, and is then removed and added.
func DiffRules(before, after []rules.Info) []RuleDiff {
	old := map[string]rules.Info{}
	for _, r := range before {
		old[r.ID] = r
	}
	var out []RuleDiff
	for _, r := range after {
		o, ok := old[r.ID]
		delete(old, r.ID)
		if !ok {
			out = append(out, RuleDiff{"added", r.Source, r.Group, r.Name, nil})
		} else if what := changed(&o, &r); len(what) > 0 {
			out = append(out, RuleDiff{"changed", r.Source, r.Group, r.Name, what})
		}
	}
	for _, r := range old {
		out = append(out, RuleDiff{"removed", r.Source, r.Group, r.Name, nil})
	}
	slices.SortFunc(out, func(a, b RuleDiff) int {
		return cmp.Or(cmp.Compare(a.Source, b.Source), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Name, b.Name),
			cmp.Compare(a.Change, b.Change))
	})
	return out
}

func changed(a, b *rules.Info) (what []string) {
	for _, x := range []struct {
		name string
		same bool
	}{
		{"name", a.Name == b.Name}, {"expr", a.Expr == b.Expr}, {"for", a.For == b.For},
		{"keep_firing_for", a.KeepFiringFor == b.KeepFiringFor}, {"labels", labels.Equal(a.Labels, b.Labels)},
		{"annotations", labels.Equal(a.Annotations, b.Annotations)}, {"enabled", a.Enabled == b.Enabled},
	} {
		if !x.same {
			what = append(what, x.name)
		}
	}
	return what
}
