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

func (m IfMatch) check(tag string) error {
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
	g, i, err := b.find(id)
	if err == nil && g == nil {
		err = ErrRuleUnknown
	}
	if err != nil {
		return "", err
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

// begin locks the book and brings the store up to date.
func (b *RuleBook) begin(ctx context.Context) (done func(), err error) {
	b.mu.Lock()
	if err := b.Objects.Sync(ctx); err != nil {
		b.mu.Unlock()
		return nil, err
	}
	return b.mu.Unlock, nil
}

func (b *RuleBook) write(ctx context.Context, by, action string, now time.Time, gs ...*storedGroup) error {
	e := storage.Edit{By: by, Action: action}
	for _, g := range gs {
		o, err := g.object()
		if err != nil {
			return fmt.Errorf("evaluator: rule group %s: %w", g.Name, err)
		}
		e.Objects = append(e.Objects, o)
	}
	return b.Objects.Write(ctx, e, now)
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
	done, err := b.begin(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	g, err := b.pageGroup(s.Group)
	if err != nil {
		return "", err
	}
	id := newRuleID()
	g.Rules = append(g.Rules, s.stored(id))
	if err := g.check(); err != nil {
		return "", err
	}
	return id, b.write(ctx, by, "create", now, g)
}

func (b *RuleBook) pageGroup(name string) (*storedGroup, error) {
	if name == "" {
		name = PageNamespace
	}
	groups, err := b.groups()
	if err != nil {
		return nil, err
	}
	if i := slices.IndexFunc(groups, func(g *storedGroup) bool { return g.Namespace == PageNamespace && g.Name == name }); i >= 0 {
		return groups[i], nil
	}
	return &storedGroup{Namespace: PageNamespace, Name: name}, nil
}

// find returns the group that holds a rule and its index there; a nil group where no user made it.
func (b *RuleBook) find(id string) (*storedGroup, int, error) {
	groups, err := b.groups()
	for _, g := range groups {
		if i := slices.IndexFunc(g.Rules, func(r storedRule) bool { return r.ID == id }); i >= 0 {
			return g, i, nil
		}
	}
	return nil, 0, err
}

// Update replaces a rule. One of another namespace than the page's stays in its group whatever s.Group says. A rule of a file, which
// ofFile is, can only be switched on and off: everything else must be as it is.
func (b *RuleBook) Update(ctx context.Context, by, id string, s RuleSpec, ofFile *rules.Info, match IfMatch, now time.Time) error {
	done, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	g, i, err := b.find(id)
	switch {
	case err != nil:
		return err
	case g == nil && ofFile == nil:
		return ErrRuleUnknown
	case g == nil:
		tag, err := tagOfInfo(ofFile)
		if err = errors.Join(err, match.check(tag)); err != nil {
			return err
		}
		return b.turn(ctx, by, s, ofFile, now)
	}
	tag, err := g.tag(i)
	if err = errors.Join(err, match.check(tag)); err != nil {
		return err
	}
	changed := []*storedGroup{g}
	if g.Namespace == PageNamespace && s.Group != "" && s.Group != g.Name {
		to, err := b.pageGroup(s.Group)
		if err != nil {
			return err
		}
		g.Rules = slices.Delete(g.Rules, i, i+1)
		to.Rules = append(to.Rules, s.stored(id))
		changed = append(changed, to)
	} else {
		g.Rules[i] = s.stored(id)
	}
	for _, g := range changed {
		if err := g.check(); err != nil {
			return err
		}
	}
	return b.write(ctx, by, "update", now, changed...)
}

// turn switches a rule of a file on or off.
func (b *RuleBook) turn(ctx context.Context, by string, s RuleSpec, r *rules.Info, now time.Time) error {
	same := s.Name == r.Name && s.Recording == (r.Type == "recording") && s.Expr == r.Expr && s.For == r.For &&
		s.KeepFiringFor == r.KeepFiringFor &&
		maps.Equal(s.Labels, r.Labels.Map()) && maps.Equal(s.Annotations, r.Annotations.Map()) && (s.Group == "" || s.Group == r.Group)
	if !same {
		return ErrRuleOfFile
	}
	o, action := storage.Object{Kind: storage.KindRuleSwitch, ID: r.ID}, "enable"
	if s.Disabled {
		o.Value, action = []byte(`{"disabled":true}`), "disable"
	}
	return b.Objects.Write(ctx, storage.Edit{By: by, Action: action, Objects: []storage.Object{o}}, now)
}

// Delete removes a rule that a user made.
func (b *RuleBook) Delete(ctx context.Context, by, id string, match IfMatch, now time.Time) error {
	done, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	g, i, err := b.find(id)
	if err != nil {
		return err
	}
	if g == nil {
		return ErrRuleUnknown
	}
	tag, err := g.tag(i)
	if err = errors.Join(err, match.check(tag)); err != nil {
		return err
	}
	g.Rules = slices.Delete(g.Rules, i, i+1)
	return b.write(ctx, by, "delete", now, g)
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
	done, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	groups, err := b.groups()
	if err != nil {
		return err
	}
	g := &storedGroup{Namespace: namespace, Name: rg.Name, Interval: rg.Interval, QueryOffset: rg.QueryOffset, Limit: rg.Limit,
		Labels: rg.Labels}
	var was []storedRule
	if i := slices.IndexFunc(groups, func(o *storedGroup) bool { return o.Namespace == namespace && o.Name == rg.Name }); i >= 0 {
		was = groups[i].Rules
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
	if err := g.check(); err != nil {
		return err
	}
	return b.write(ctx, by, "set", now, g)
}

// DeleteGroups removes a group, or with an empty name all of a namespace.
func (b *RuleBook) DeleteGroups(ctx context.Context, by, namespace, name string, now time.Time) error {
	done, err := b.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	groups, err := b.groups()
	if err != nil {
		return err
	}
	var gone []*storedGroup
	for _, g := range groups {
		if g.Namespace == namespace && (name == "" || g.Name == name) {
			g.Rules = nil
			gone = append(gone, g)
		}
	}
	if len(gone) == 0 {
		return ErrRuleUnknown
	}
	return b.write(ctx, by, "delete", now, gone...)
}
