package rules

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/strutil"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/views/model"
)

// group is one rule group: Prometheus' own, and when its rules are evaluated. Rules that may be notified at the head and rules that
// wait for all data are evaluated apart, at their own times.
type group struct {
	*rules.Group
	key      string
	floor    time.Duration // least time between two evaluations
	passes   []*pass
	alerting []*alertRule
	reaches  []*reach // of the group's rules; nil where a rule has none
	subset   *subset
	infos    []Info // what is fixed of each rule, in order
	disabled []Info // rules that are switched off
}

type alertRule struct {
	*rules.AlertingRule
	id, ident, url string
	frontier       query.Frontier
	// selects says that the condition selects series, calls that these may count calls: of the views, or recorded from them.
	selects, calls bool
}

// A pass is the rules of a group that are evaluated at the same frontier.
type pass struct {
	frontier  query.Frontier
	rules     []int
	selectors []ruleSelector
	records   []string // names of series it writes
	readers   []*pass  // other passes that read those
	watchers  []*pass  // other passes that read ALERTS
	// spans and samples say what it reads: views, or samples of OTLP metrics.
	spans, samples bool

	last   time.Time      // event time of the last evaluation
	ran    time.Time      // wall clock of it
	gap    time.Duration  // by the wall clock, since the evaluation before
	cost   time.Duration  // of it
	tables model.TableSet // that its selectors may select
	fresh  bool           // touched since
	since  time.Time      // wall clock when it became due, zero while it is not
	// dirty is the head when it was touched last: only an evaluation at or after it has seen everything.
	dirty time.Time
}

// ruleSelector is one selector of a rule.
type ruleSelector struct {
	query.Selector
	// reach is that of its rule, which is evaluated only when it may hold; nil: whenever something it selects changes. counts says that it
	// is the selector whose calls the reach counts.
	reach  *reach
	counts bool
}

// subset lets Prometheus' Group evaluate some of its rules only: its seam for splitting a group into concurrent batches. It
// allows no concurrency, so rules run in order.
type subset struct{ rules []int }

func (s *subset) SplitGroupIntoBatches(context.Context, *rules.Group) []rules.ConcurrentRules {
	return []rules.ConcurrentRules{s.rules}
}
func (*subset) Allow(context.Context, *rules.Group, rules.Rule) bool { return false }
func (*subset) Done(context.Context)                                 {}

// newGroup makes the group number n of a source.
func (e *Evaluator) newGroup(src Source, n int, recorded map[string]bool) (*group, error) {
	rg := src.Groups[n]
	g := &group{key: rules.GroupKey(src.Name, rg.Name), floor: max(src.Floor, e.cfg.Floor), subset: &subset{}}
	passes := map[query.Frontier]*pass{}
	var list []rules.Rule
	ids := map[string]int{}
	for i, r := range rg.Rules {
		expr, err := e.parser.ParseExpr(r.Expr)
		if err != nil {
			return nil, fmt.Errorf("%s: group %q, rule %d: %w", src.Name, rg.Name, i+1, err)
		}
		id := ""
		if src.IDs != nil {
			id = src.IDs[n][i]
		}
		rule, info := e.newRule(g, src, rg, r, expr, ids, id)
		if src.Disabled[info.ID] {
			info.Enabled, info.State, info.Health = false, "inactive", "unknown"
			g.disabled = append(g.disabled, info)
			continue
		}
		about, _ := rule.(*alertRule)
		if ar := about; ar != nil {
			g.alerting = append(g.alerting, ar)
			rule = ar.AlertingRule
		}
		list = append(list, rule)
		g.infos = append(g.infos, info)
		p := passes[info.Class.Frontier]
		if p == nil {
			p = &pass{frontier: info.Class.Frontier, fresh: true}
			passes[info.Class.Frontier] = p
			g.passes = append(g.passes, p)
		}
		p.rules = append(p.rules, len(list)-1)
		var within *reach
		if info.Type == "alerting" && info.Class.Frontier == query.Head && rg.QueryOffset == nil {
			within = reachOf(expr)
		}
		g.reaches = append(g.reaches, within)
		for _, ms := range parser.ExtractSelectors(expr) {
			s := query.NewSelector(ms)
			if about != nil {
				about.selects, about.calls = true, about.calls || s.OfViews() || !selectsSamples(ms, recorded)
			}
			p.selectors = append(p.selectors, ruleSelector{s, within, within != nil && within.selector == s.Text()})
			p.spans = p.spans || s.OfViews()
			p.tables |= s.TableSet()
			p.samples = p.samples || selectsSamples(ms, recorded)
		}
		if r.Record != "" {
			p.records = append(p.records, r.Record)
		}
	}
	opts := e.options
	opts.RuleConcurrencyController = g.subset
	interval := time.Duration(rg.Interval)
	if interval == 0 {
		interval = e.cfg.Interval
	}
	g.Group = rules.NewGroup(rules.GroupOptions{
		Name: rg.Name, File: src.Name, Interval: interval, Limit: rg.Limit, Rules: list, Opts: &opts,
		QueryOffset: (*time.Duration)(rg.QueryOffset),
	})
	return g, nil
}

// RecordedNames are the names of series that rules write, and whether those are made of samples of OTLP metrics alone: then they
// are as complete as the samples are.
func RecordedNames(p parser.Parser, sources []Source) map[string]bool {
	names := map[string]bool{"ALERTS": false, "ALERTS_FOR_STATE": false}
	var records []rulefmt.Rule
	for _, src := range sources {
		for _, rg := range src.Groups {
			for _, r := range rg.Rules {
				if r.Record != "" {
					names[r.Record] = false
					records = append(records, r)
				}
			}
		}
	}
	for changed := true; changed; { // a rule may read what another one writes
		changed = false
		for _, r := range records {
			if !names[r.Record] && readsSamplesOnly(p, r.Expr, names) {
				names[r.Record], changed = true, true
			}
		}
	}
	return names
}

func readsSamplesOnly(p parser.Parser, text string, recorded map[string]bool) bool {
	expr, err := p.ParseExpr(text)
	if err != nil {
		return false // newGroup returns the error
	}
	selectors := parser.ExtractSelectors(expr)
	for _, ms := range selectors {
		if s := query.NewSelector(ms); s.OfViews() || !selectsSamples(ms, recorded) {
			return false
		}
	}
	return len(selectors) > 0
}

// selectsSamples reports whether a selector may select samples of OTLP metrics, or what is made of them.
func selectsSamples(ms []*labels.Matcher, recorded map[string]bool) bool {
	for _, m := range ms {
		if m.Name == labels.MetricName && m.Type == labels.MatchEqual {
			samples, written := recorded[m.Value]
			return samples || !written && (!query.IsView(m.Value) || query.NotOfViews(ms))
		}
	}
	return true
}

// newRule makes Prometheus' rule, for an alert within an *alertRule. ids counts rules of the same name and labels within the group;
// id is empty where it follows from these.
func (e *Evaluator) newRule(g *group, src Source, rg rulefmt.RuleGroup, r rulefmt.Rule, expr parser.Expr, ids map[string]int,
	id string) (rules.Rule, Info) {
	l := rules.FromMaps(rg.Labels, r.Labels)
	ident := r.Alert + r.Record + l.String()
	if ids[ident]++; ids[ident] > 1 {
		ident = fmt.Sprintf("%s#%d", ident, ids[ident])
	}
	info := Info{
		ID: cmp.Or(id, fmt.Sprintf("%016x", xxhash.Sum64String(g.key+"\xff"+ident))), Name: r.Alert + r.Record, Type: "recording",
		Expr: r.Expr, For: time.Duration(r.For), KeepFiringFor: time.Duration(r.KeepFiringFor), Labels: l,
		Annotations: labels.FromMap(r.Annotations), Enabled: true, Source: src.Name, Editable: src.Editable, Group: rg.Name,
		Class: query.Class{Frontier: query.Complete, Reason: "a recorded sample is never written again"},
	}
	if r.Alert == "" {
		return rules.NewRecordingRule(r.Record, expr, l), info
	}
	info.Type, info.Class = "alerting", query.Classify(expr)
	ar := rules.NewAlertingRule(r.Alert, expr, info.For, info.KeepFiringFor, l, info.Annotations, e.cfg.ExternalLabels,
		e.cfg.ExternalURL.String(), true, e.ruleLogger.With("alert", r.Alert))
	info.GeneratorURL = e.cfg.ExternalURL.String() + strutil.TableLinkForExpression(expr.String())
	return &alertRule{AlertingRule: ar, id: info.ID, ident: ident, url: info.GeneratorURL, frontier: info.Class.Frontier}, info
}

// target is the event time at which p may be evaluated, zero while unknown. The head follows the complete frontier, which moves
// on with the clock when no data comes, so that windows drain and alerts resolve. What reads samples of OTLP metrics is evaluated
// where those are complete, beside spans where both are; no rule waits for metrics that are not there.
func (p *pass) target(fr, metrics model.Frontier) time.Time {
	t := fr.Complete
	if p.frontier == query.Head && fr.Head.After(t) {
		t = fr.Head
	}
	if m := metrics.Complete; p.samples && !m.IsZero() && (!p.spans || m.Before(t)) {
		t = m
	}
	return roundUp(t)
}

// roundUp is t in whole milliseconds, as PromQL's times are.
func roundUp(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return time.UnixMilli(query.CeilMillis(t)).UTC()
}

// due reports whether p has a reason to be evaluated at ts.
func (p *pass) due(g *group, ts, now time.Time) bool {
	switch {
	case ts.Before(p.last):
		return false
	case p.fresh:
		return true
	case !ts.After(p.last):
		return false
	case p.dirty.After(p.last):
		return true
	case now.Sub(p.ran) >= g.Interval():
		return true
	}
	return g.deadline(p).Before(ts)
}

// deadline is the first event time at which one of p's alerts changes without new data.
func (g *group) deadline(p *pass) time.Time {
	first := time.Unix(1<<40, 0)
	for _, i := range p.rules {
		r, ok := g.Rules()[i].(*rules.AlertingRule)
		if !ok {
			continue
		}
		r.ForEachActiveAlert(func(a *rules.Alert) {
			t := first
			switch {
			case a.State == rules.StatePending:
				t = a.ActiveAt.Add(r.HoldDuration())
			case a.State == rules.StateFiring && !a.KeepFiringSince.IsZero():
				t = a.KeepFiringSince.Add(r.KeepFiringFor())
			}
			if t.Before(first) {
				first = t
			}
		})
	}
	return first.Add(-time.Millisecond)
}

// evaluated is the event time of the last evaluation at f.
func (g *group) evaluated(f query.Frontier) time.Time {
	for _, p := range g.passes {
		if p.frontier == f {
			return p.last
		}
	}
	return time.Time{}
}

func (p *pass) touch(head time.Time) {
	p.fresh = true
	if head.After(p.dirty) {
		p.dirty = head
	}
}

// findReaders notes for every pass who reads what it writes.
func findReaders(gs []*group) {
	writers := map[string][]*pass{}
	for _, g := range gs {
		for _, p := range g.passes {
			for _, name := range p.records {
				writers[name] = append(writers[name], p)
			}
		}
	}
	for _, g := range gs {
		for _, q := range g.passes {
			if !q.names("ALERTS") && !q.names("ALERTS_FOR_STATE") {
				continue
			}
			for _, w := range gs {
				for _, p := range w.passes {
					if p != q {
						p.watchers = append(p.watchers, q)
					}
				}
			}
		}
	}
	for name, list := range writers {
		for _, g := range gs {
			for _, q := range g.passes {
				if !q.reads(name) {
					continue
				}
				for _, p := range list {
					if p != q && !slices.Contains(p.readers, q) {
						p.readers = append(p.readers, q)
					}
				}
			}
		}
	}
}

// names reports whether a selector of p says that it wants series of this name.
func (p *pass) names(name string) bool {
	for _, s := range p.selectors {
		for _, m := range s.Matchers {
			if m.Name == labels.MetricName && m.Matches(name) {
				return true
			}
		}
	}
	return false
}

// reads reports whether p selects a series of this name.
func (p *pass) reads(name string) bool {
	for _, s := range p.selectors {
		ok := true
		for _, m := range s.Matchers {
			ok = ok && (m.Name != labels.MetricName || m.Matches(name))
		}
		if ok {
			return true
		}
	}
	return false
}

// recentOfRules holds what the rules of groups select.
func recentOfRules(gs []*group) *query.Recent {
	var exprs []parser.Expr
	var selectors []query.Selector
	for _, g := range gs {
		for _, r := range g.Rules() {
			exprs = append(exprs, r.Query())
		}
		for _, p := range g.passes {
			for _, s := range p.selectors {
				selectors = append(selectors, s.Selector)
			}
		}
	}
	return query.NewRecent(exprs, selectors)
}
