package books

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
)

// RuleBook is the rules that users make: over REST one by one, over the ruler API in groups. They stand beside those of files, whose
// rules it can only switch off.
type RuleBook struct {
	KV      storage.KV
	Objects storage.Editor

	mu sync.Mutex // one change at a time: each is made of what is stored
}

// Errors of a RuleBook.
var (
	ErrRuleUnknown = errors.New("there is no such rule")
	ErrRuleInvalid = errors.New("the rule is not valid")
	ErrRuleOfFile  = errors.New("the rule comes from a file")
	ErrChanged     = errors.New("it was changed meanwhile")
)

// PageNamespace is where rules are that are made one by one.
const PageNamespace = "page"

// RuleSpec is a rule as a user writes it.
type RuleSpec struct {
	Name          string
	Recording     bool
	Expr          string
	For           time.Duration
	KeepFiringFor time.Duration
	Labels        map[string]string
	Annotations   map[string]string
	Disabled      bool
	Group         string // "" means page
}

// IfMatch are the tags of what a change was made of, or "*"; nil: it may be of anything.
type IfMatch []string

// check takes what made the tag, too.
func (m IfMatch) check(tag string, err error) error {
	if err != nil {
		return err
	}
	if m == nil || slices.Contains(m, "*") || slices.Contains(m, tag) {
		return nil
	}
	return ErrChanged
}

// tagOf names what was written: it is another where something else was.
func tagOf(v any) (string, error) {
	b, err := json.Marshal(v)
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8]), err
}

// Tag is that of a rule as it is stored. A rule of a file, which ofFile is, has that of what can be seen of it.
func (b *RuleBook) Tag(id string, ofFile *rules.Info) (string, error) {
	if ofFile != nil {
		return tagOfInfo(ofFile)
	}
	groups, err := b.groups()
	if err != nil {
		return "", err
	}
	g, i := ruleOf(groups, id)
	if g == nil {
		return "", ErrRuleUnknown
	}
	return g.tag(i)
}

func (g *storedGroup) tag(i int) (string, error) {
	return tagOf([]any{g.Namespace, g.Name, g.Rules[i]})
}

// tagOfInfo names a rule of a file.
func tagOfInfo(r *rules.Info) (string, error) {
	return tagOf([]any{r.Source, r.Group, r.ID, r.Name, r.Type, r.Expr, r.For, r.KeepFiringFor, r.Labels.Map(), r.Annotations.Map(),
		r.Enabled})
}

// storedGroup is the value of an object of KindRuleGroup; its id is namespace/name.
type storedGroup struct {
	Namespace   string            `json:"namespace"`
	Name        string            `json:"name"`
	Interval    model.Duration    `json:"interval,omitempty"`
	QueryOffset *model.Duration   `json:"query_offset,omitempty"`
	Limit       int               `json:"limit,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Rules       []storedRule      `json:"rules"`
}

type storedRule struct {
	ID            string            `json:"id"`
	Disabled      bool              `json:"disabled,omitempty"`
	Record        string            `json:"record,omitempty"`
	Alert         string            `json:"alert,omitempty"`
	Expr          string            `json:"expr"`
	For           model.Duration    `json:"for,omitempty"`
	KeepFiringFor model.Duration    `json:"keep_firing_for,omitempty"`
	Labels        map[string]string `json:"labels,omitempty"`
	Annotations   map[string]string `json:"annotations,omitempty"`
}

func (r *storedRule) rule() rulefmt.Rule {
	return rulefmt.Rule{Record: r.Record, Alert: r.Alert, Expr: r.Expr, For: r.For, KeepFiringFor: r.KeepFiringFor, Labels: r.Labels,
		Annotations: r.Annotations}
}

func storedOf(r rulefmt.Rule) storedRule {
	return storedRule{Record: r.Record, Alert: r.Alert, Expr: r.Expr, For: r.For, KeepFiringFor: r.KeepFiringFor, Labels: r.Labels,
		Annotations: r.Annotations}
}

func (g *storedGroup) group() rulefmt.RuleGroup {
	out := rulefmt.RuleGroup{Name: g.Name, Interval: g.Interval, QueryOffset: g.QueryOffset, Limit: g.Limit, Labels: g.Labels,
		Rules: []rulefmt.Rule{}}
	for i := range g.Rules {
		out.Rules = append(out.Rules, g.Rules[i].rule())
	}
	return out
}

func (g *storedGroup) object() (storage.Object, error) {
	o := storage.Object{Kind: storage.KindRuleGroup, ID: g.Namespace + "/" + g.Name}
	if len(g.Rules) == 0 {
		return o, nil // a group without rules is none
	}
	var err error
	o.Value, err = json.Marshal(g)
	return o, err
}

// check says what is wrong with a group, by rule.
func (g *storedGroup) check() error {
	if g.Name == "" || g.Namespace == "" {
		return fmt.Errorf("%w: namespace and group need a name", ErrRuleInvalid)
	}
	if !utf8.ValidString(g.Namespace) || !utf8.ValidString(g.Name) {
		return fmt.Errorf("%w: the names of namespace and group are not UTF-8", ErrRuleInvalid)
	}
	if g.Namespace == SLONamespace {
		return fmt.Errorf("%w: the namespace %s belongs to SLOs, whose rules follow from them", ErrRuleInvalid, SLONamespace)
	}
	text, err := yaml.Marshal(rulefmt.RuleGroups{Groups: []rulefmt.RuleGroup{g.group()}})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrRuleInvalid, err)
	}
	if _, errs := rulefmt.Parse(text, false, model.UTF8Validation, query.NewParser(), slog.New(slog.DiscardHandler)); len(errs) > 0 {
		return fmt.Errorf("%w: %w", ErrRuleInvalid, errors.Join(errs...))
	}
	if err := rules.CheckGroups([]rulefmt.RuleGroup{g.group()}); err != nil {
		return fmt.Errorf("%w: %w", ErrRuleInvalid, err)
	}
	return nil
}

func newRuleID() string {
	var b [8]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

func (b *RuleBook) groups() ([]*storedGroup, error) {
	list, err := storage.Objects(b.KV, storage.KindRuleGroup)
	if err != nil {
		return nil, err
	}
	var out []*storedGroup
	for _, o := range list {
		g := &storedGroup{}
		if err := json.Unmarshal(o.Value, g); err != nil {
			return nil, fmt.Errorf("evaluator: rule group %s: %w", o.ID, err)
		}
		out = append(out, g)
	}
	return out, nil
}

// Sources returns the users' rules, a source for each namespace.
func (b *RuleBook) Sources() ([]rules.Source, error) {
	groups, err := b.groups()
	if err != nil {
		return nil, err
	}
	byName := map[string]*rules.Source{}
	for _, g := range groups {
		s := byName[g.Namespace]
		if s == nil {
			s = &rules.Source{Name: g.Namespace, Editable: true, Disabled: map[string]bool{}}
			byName[g.Namespace] = s
		}
		var ids []string
		for _, r := range g.Rules {
			ids = append(ids, r.ID)
			if r.Disabled {
				s.Disabled[r.ID] = true
			}
		}
		s.Groups, s.IDs = append(s.Groups, g.group()), append(s.IDs, ids)
	}
	var out []rules.Source
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		out = append(out, *byName[name])
	}
	return out, nil
}

// SwitchedOff are the ids of rules of files that are switched off.
func (b *RuleBook) SwitchedOff() (map[string]bool, error) {
	list, err := storage.Objects(b.KV, storage.KindRuleSwitch)
	out := map[string]bool{}
	for _, o := range list {
		out[o.ID] = true
	}
	return out, err
}

// edit writes the change that `of` makes of the groups that are stored.
func (b *RuleBook) edit(ctx context.Context, now time.Time, of func(groups []*storedGroup) (storage.Edit, error)) error {
	return edit(ctx, &b.mu, b.Objects, now, func() (storage.Edit, error) {
		groups, err := b.groups()
		if err != nil {
			return storage.Edit{}, err
		}
		return of(groups)
	})
}

// groupEdit is the edit that stores groups, and deletes those without rules.
func groupEdit(by, action string, groups ...*storedGroup) (storage.Edit, error) {
	e := storage.Edit{By: by, Action: action}
	for _, g := range groups {
		o, err := g.object()
		if err != nil {
			return e, fmt.Errorf("evaluator: rule group %s: %w", g.Name, err)
		}
		e.Objects = append(e.Objects, o)
	}
	return e, nil
}

// validGroupEdit is the same, of groups that are valid.
func validGroupEdit(by, action string, groups ...*storedGroup) (storage.Edit, error) {
	for _, g := range groups {
		if err := g.check(); err != nil {
			return storage.Edit{}, err
		}
	}
	return groupEdit(by, action, groups...)
}

func (s *RuleSpec) stored(id string) storedRule {
	r := storedRule{ID: id, Disabled: s.Disabled, Expr: s.Expr, For: model.Duration(s.For), KeepFiringFor: model.Duration(s.KeepFiringFor),
		Labels: s.Labels, Annotations: s.Annotations}
	if s.Recording {
		r.Record = s.Name
	} else {
		r.Alert = s.Name
	}
	return r
}

// Source is the rule alone, for a backtest.
func (s *RuleSpec) Source() (rules.Source, error) {
	g := storedGroup{Namespace: PageNamespace, Name: PageNamespace, Rules: []storedRule{s.stored("")}}
	return rules.Source{Name: PageNamespace, Groups: []rulefmt.RuleGroup{g.group()}}, g.check()
}

// Create adds a rule and returns its id.
func (b *RuleBook) Create(ctx context.Context, by string, s RuleSpec, now time.Time) (string, error) {
	id := newRuleID()
	return id, b.edit(ctx, now, func(groups []*storedGroup) (storage.Edit, error) {
		g := pageGroup(groups, s.Group)
		g.Rules = append(g.Rules, s.stored(id))
		return validGroupEdit(by, "create", g)
	})
}

// pageGroup is a group of the page's namespace; a new one if it is not stored.
func pageGroup(groups []*storedGroup, name string) *storedGroup {
	if name == "" {
		name = PageNamespace
	}
	if g := groupOf(groups, PageNamespace, name); g != nil {
		return g
	}
	return &storedGroup{Namespace: PageNamespace, Name: name}
}

// groupOf is nil where no user made such a group.
func groupOf(groups []*storedGroup, namespace, name string) *storedGroup {
	if i := slices.IndexFunc(groups, func(g *storedGroup) bool { return g.Namespace == namespace && g.Name == name }); i >= 0 {
		return groups[i]
	}
	return nil
}

// ruleOf returns the group that holds a rule and its index there; a nil group where no user made the rule.
func ruleOf(groups []*storedGroup, id string) (*storedGroup, int) {
	for _, g := range groups {
		if i := slices.IndexFunc(g.Rules, func(r storedRule) bool { return r.ID == id }); i >= 0 {
			return g, i
		}
	}
	return nil, 0
}

// Update replaces a rule. One of another namespace than the page's stays in its group whatever s.Group says. A rule of a file, which
// ofFile is, can only be switched on and off: everything else must be as it is.
func (b *RuleBook) Update(ctx context.Context, by, id string, s RuleSpec, ofFile *rules.Info, match IfMatch, now time.Time) error {
	return b.edit(ctx, now, func(groups []*storedGroup) (storage.Edit, error) {
		g, i := ruleOf(groups, id)
		if g == nil && ofFile != nil {
			if err := match.check(tagOfInfo(ofFile)); err != nil {
				return storage.Edit{}, err
			}
			return switchEdit(by, s, ofFile)
		}
		if g == nil {
			return storage.Edit{}, ErrRuleUnknown
		}
		if err := match.check(g.tag(i)); err != nil {
			return storage.Edit{}, err
		}
		if g.Namespace != PageNamespace || s.Group == "" || s.Group == g.Name {
			g.Rules[i] = s.stored(id)
			return validGroupEdit(by, "update", g)
		}
		to := pageGroup(groups, s.Group)
		g.Rules = slices.Delete(g.Rules, i, i+1)
		to.Rules = append(to.Rules, s.stored(id))
		return validGroupEdit(by, "update", g, to)
	})
}

// switchEdit is the edit that switches a rule of a file on or off.
func switchEdit(by string, s RuleSpec, r *rules.Info) (storage.Edit, error) {
	same := s.Name == r.Name && s.Recording == (r.Type == "recording") && s.Expr == r.Expr && s.For == r.For &&
		s.KeepFiringFor == r.KeepFiringFor &&
		maps.Equal(s.Labels, r.Labels.Map()) && maps.Equal(s.Annotations, r.Annotations.Map()) && (s.Group == "" || s.Group == r.Group)
	if !same {
		return storage.Edit{}, ErrRuleOfFile
	}
	o, action := storage.Object{Kind: storage.KindRuleSwitch, ID: r.ID}, "enable"
	if s.Disabled {
		o.Value, action = []byte(`{"disabled":true}`), "disable"
	}
	return storage.Edit{By: by, Action: action, Objects: []storage.Object{o}}, nil
}

// Delete removes a rule that a user made.
func (b *RuleBook) Delete(ctx context.Context, by, id string, match IfMatch, now time.Time) error {
	return b.edit(ctx, now, func(groups []*storedGroup) (storage.Edit, error) {
		g, i := ruleOf(groups, id)
		if g == nil {
			return storage.Edit{}, ErrRuleUnknown
		}
		if err := match.check(g.tag(i)); err != nil {
			return storage.Edit{}, err
		}
		g.Rules = slices.Delete(g.Rules, i, i+1)
		return groupEdit(by, "delete", g)
	})
}

// Namespaces returns the users' groups by namespace, as they would stand in files.
func (b *RuleBook) Namespaces() (map[string][]rulefmt.RuleGroup, error) {
	groups, err := b.groups()
	out := map[string][]rulefmt.RuleGroup{}
	for _, g := range groups {
		out[g.Namespace] = append(out[g.Namespace], g.group())
	}
	return out, err
}

// SetGroup replaces a whole group. A rule that keeps its name and labels keeps its id, and stays switched off if it was.
func (b *RuleBook) SetGroup(ctx context.Context, by, namespace string, rg rulefmt.RuleGroup, now time.Time) error {
	if len(rg.Rules) == 0 {
		return fmt.Errorf("%w: the group %q has no rules; delete it to be without", ErrRuleInvalid, rg.Name)
	}
	g := &storedGroup{Namespace: namespace, Name: rg.Name, Interval: rg.Interval, QueryOffset: rg.QueryOffset, Limit: rg.Limit,
		Labels: rg.Labels}
	return b.edit(ctx, now, func(groups []*storedGroup) (storage.Edit, error) {
		var was []storedRule
		if o := groupOf(groups, namespace, rg.Name); o != nil {
			was = o.Rules
		}
		for _, r := range rg.Rules {
			n := storedOf(r)
			n.ID = newRuleID()
			if i := slices.IndexFunc(was, func(o storedRule) bool {
				return o.Alert == r.Alert && o.Record == r.Record && maps.Equal(o.Labels, r.Labels)
			}); i >= 0 {
				n.ID, n.Disabled = was[i].ID, was[i].Disabled
				was = slices.Delete(slices.Clone(was), i, i+1)
			}
			g.Rules = append(g.Rules, n)
		}
		return validGroupEdit(by, "set", g)
	})
}

// DeleteGroups removes a group, or with an empty name all of a namespace.
func (b *RuleBook) DeleteGroups(ctx context.Context, by, namespace, name string, now time.Time) error {
	return b.edit(ctx, now, func(groups []*storedGroup) (storage.Edit, error) {
		var gone []*storedGroup
		for _, g := range groups {
			if g.Namespace == namespace && (name == "" || g.Name == name) {
				g.Rules = nil
				gone = append(gone, g)
			}
		}
		if len(gone) == 0 {
			return storage.Edit{}, ErrRuleUnknown
		}
		return groupEdit(by, "delete", gone...)
	})
}
