package incident

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/cespare/xxhash/v2"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

// What makes alerts one incident.
const (
	JoinWithin   = 2 * time.Minute // of the alert before, on the same path
	ReopenWithin = time.Minute     // after it resolved
)

// Bounds of one incident.
const (
	maxMembers = 200
	maxEvents  = 200
	maxTouched = 50
)

// Header is an incident without its evidence and its history: a row of a list.
type Header struct {
	ID         string    `json:"id"`
	Title      string    `json:"title"`
	Cause      string    `json:"cause"` // name of the service, database, ... where it begins; "" unknown
	Since      time.Time `json:"since"` // when what is wrong began, as far as that is known
	FiredAt    time.Time `json:"fired_at"`
	ResolvedAt time.Time `json:"resolved_at,omitzero"` // zero while one of its alerts fires
	Severity   string    `json:"severity"`             // the label of that name of its most severe alert; "" none has one
	Names      []string  `json:"names"`                // of its alerts, in the order in which they fired
	Services   []string  `json:"services"`             // that its alerts are about
	Alerts     int       `json:"alerts"`
	Fired      int       `json:"fired"` // how often alerts began to fire; more than Alerts when some flapped
	// Merged are the ids of incidents that became part of it when their cause was known.
	Merged []string `json:"merged,omitempty"`
}

// Open reports whether an alert of it fires.
func (h *Header) Open() bool { return h.ResolvedAt.IsZero() }

// Incident is alerts that fire for one reason.
type Incident struct {
	Header
	Members []Member `json:"members"`
	// Touched are the services on the paths to the cause, and those of the alerts: what an alert has to name to belong here.
	Touched []string `json:"touched"`
	Events  []Event  `json:"events"` // the newest ones, oldest first
	// Deliveries are the attempts to notify receivers of its alerts, the oldest first.
	Deliveries []Delivery `json:"deliveries"`
	Dropped    int        `json:"dropped"` // events and alerts that were too many
	// Lead is the key of the alert whose evidence this is: as of firing, and the newest of the time in which it fired.
	Lead     string          `json:"lead"`
	AtFiring *alert.Evidence `json:"at_firing,omitempty"`
	Latest   *alert.Evidence `json:"latest,omitempty"`
	// LastFired is when an alert began to fire last.
	LastFired time.Time `json:"last_fired"`
}

// Member is one alert of an incident.
type Member struct {
	Key         string        `json:"key"` // see KeyOf
	RuleID      string        `json:"rule_id"`
	Labels      labels.Labels `json:"labels"`
	Annotations labels.Labels `json:"annotations"`
	State       string        `json:"state"` // firing or resolved
	ActiveAt    time.Time     `json:"active_at"`
	FiredAt     time.Time     `json:"fired_at"` // last
	ResolvedAt  time.Time     `json:"resolved_at,omitzero"`
	Value       alert.Number  `json:"value"` // when it changed last
	Fired       int           `json:"fired"` // how often
	// Cause is what its evidence names, with Share as its weight.
	Cause string  `json:"cause"`
	Share float64 `json:"share"`
}

// The kinds of events.
const (
	EventFiring   = "firing"
	EventResolved = "resolved"
)

// Event is one change of an alert of an incident.
type Event struct {
	Time  time.Time    `json:"time"`
	Kind  string       `json:"kind"`
	Key   string       `json:"key"` // of the alert
	Value alert.Number `json:"value"`
}

// KeyOf is the identity of an alert as text: a hash of the key of its record.
func KeyOf(r *alert.Record) string { return fmt.Sprintf("%016x", xxhash.Sum64String(r.Key())) }

// clone is a copy that can be changed without changing i. Evidence is never changed.
func (i *Incident) clone() *Incident {
	c := *i
	c.Members, c.Touched, c.Events = slices.Clone(i.Members), slices.Clone(i.Touched), slices.Clone(i.Events)
	c.Deliveries = slices.Clone(i.Deliveries)
	c.Merged = slices.Clone(i.Merged)
	c.Names, c.Services = slices.Clone(i.Names), slices.Clone(i.Services)
	return &c
}

func (i *Incident) member(key string) *Member {
	if n := slices.IndexFunc(i.Members, func(m Member) bool { return m.Key == key }); n >= 0 {
		return &i.Members[n]
	}
	return nil
}

// fire notes that an alert of it begins to fire.
func (i *Incident) fire(r *alert.Record) {
	if !i.Open() && (r.Evidence == nil || r.Evidence.Cause == nil) {
		i.Latest = nil // it may have another cause this time: any evidence says more than that of the time before
	}
	i.ResolvedAt = time.Time{}
	i.Fired++
	if r.FiredAt.After(i.LastFired) {
		i.LastFired = r.FiredAt
	}
	i.note(Event{Time: r.FiredAt, Kind: EventFiring, Key: KeyOf(r), Value: r.Value})
	m := i.member(KeyOf(r))
	if m == nil {
		if len(i.Members) >= maxMembers {
			i.Dropped++
			return
		}
		i.Members = append(i.Members, Member{Key: KeyOf(r), RuleID: r.RuleID, Labels: r.Labels})
		m = &i.Members[len(i.Members)-1]
	}
	m.Annotations, m.State, m.ActiveAt, m.FiredAt, m.ResolvedAt, m.Value = r.Annotations, alert.StateFiring, r.ActiveAt, r.FiredAt,
		time.Time{}, r.Value
	m.Share = 0 // of the cause that it named before: any other weighs more
	m.Fired++
	i.weigh(m, r.Evidence)
	i.touch(r)
	i.describe()
}

// weigh takes what an alert's evidence says: the evidence of the alert with the clearest cause is that of the incident.
func (i *Incident) weigh(m *Member, v *alert.Evidence) {
	if v == nil || v.Cause == nil {
		if i.AtFiring == nil && v != nil {
			i.Lead, i.AtFiring, i.Latest = m.Key, v, v
		}
		return
	}
	clearest := 0.0
	for k := range i.Members {
		if o := &i.Members[k]; o.Key != m.Key && o.State == alert.StateFiring {
			clearest = max(clearest, o.Share)
		}
	}
	m.Cause, m.Share = v.Cause.Name, v.Cause.Share
	if m.Share > clearest || i.AtFiring == nil || i.AtFiring.Cause == nil {
		if i.Lead != m.Key {
			i.Lead, i.AtFiring = m.Key, v
		}
		i.Latest = v
	}
}

// touch adds what an alert is about and what lies on the way to its cause.
func (i *Incident) touch(r *alert.Record) {
	for _, s := range touchedBy(r) {
		if !slices.Contains(i.Touched, s) && len(i.Touched) < maxTouched {
			i.Touched = append(i.Touched, s)
		}
	}
}

// resolve notes that an alert no longer fires. The incident resolves with its last one.
func (i *Incident) resolve(key string, at time.Time, value alert.Number) {
	m := i.member(key)
	if m == nil || m.State != alert.StateFiring {
		return
	}
	m.State, m.ResolvedAt, m.Value = alert.StateResolved, at, value
	i.note(Event{Time: at, Kind: EventResolved, Key: key, Value: value})
	for k := range i.Members {
		if o := &i.Members[k]; o.State == alert.StateFiring {
			return
		} else if o.ResolvedAt.After(at) {
			at = o.ResolvedAt
		}
	}
	i.ResolvedAt = at
}

func (i *Incident) note(e Event) {
	i.Events = append(i.Events, e)
	if n := len(i.Events) - maxEvents; n > 0 {
		i.Events = append(i.Events[:0:0], i.Events[n:]...)
		i.Dropped += n
	}
}

// severities are the usual values of the label, the most severe first; others come after them.
var severities = []string{"page", "critical", "error", "warning", "ticket", "info"}

func severityRank(s string) int {
	if n := slices.Index(severities, s); n >= 0 {
		return n
	}
	if s == "" {
		return len(severities) + 1
	}
	return len(severities)
}

// describe makes the header from the rest.
func (i *Incident) describe() {
	i.Names, i.Services, i.Severity, i.Alerts = nil, nil, "", len(i.Members)
	shares, before := map[string]float64{}, map[string]float64{} // of what fires, and of what resolved
	for k := range i.Members {
		m := &i.Members[k]
		if name := m.Labels.Get(labels.AlertName); !slices.Contains(i.Names, name) {
			i.Names = append(i.Names, name)
		}
		if s := alert.ServiceOf(m.Labels); s != "" && !slices.Contains(i.Services, s) {
			i.Services = append(i.Services, s)
		}
		if s := m.Labels.Get("severity"); severityRank(s) < severityRank(i.Severity) {
			i.Severity = s
		}
		switch {
		case m.Cause == "":
		case m.State == alert.StateFiring:
			shares[m.Cause] += m.Share
		default:
			before[m.Cause] += m.Share
		}
		if m.ActiveAt.Before(i.Since) {
			i.Since = m.ActiveAt
		}
	}
	if len(shares) == 0 {
		shares = before
	}
	i.Cause = ""
	for name, share := range shares {
		if best := shares[i.Cause]; i.Cause == "" || share > best || share == best && name < i.Cause {
			i.Cause = name
		}
	}
	i.Title = i.title()
	if v := i.evidence(); v != nil && v.Cause != nil && !v.Cause.Since.IsZero() && v.Cause.Since.Before(i.Since) {
		i.Since = v.Cause.Since
	}
}

// evidence is the newest that names the cause, else the newest.
func (i *Incident) evidence() *alert.Evidence {
	for _, v := range []*alert.Evidence{i.Latest, i.AtFiring} {
		if v != nil && v.Cause != nil && v.Cause.Name == i.Cause {
			return v
		}
	}
	return i.Latest
}

// title is a sentence: what is wrong where it begins, else what its most severe alert says.
func (i *Incident) title() string {
	if v := i.evidence(); v != nil && v.Cause != nil {
		return v.Cause.Sentence()
	}
	m := &i.Members[0]
	for k := range i.Members {
		if o := &i.Members[k]; severityRank(o.Labels.Get("severity")) < severityRank(m.Labels.Get("severity")) {
			m = o
		}
	}
	text := cmp.Or(m.Annotations.Get("summary"), m.Annotations.Get("description"), m.Labels.Get(labels.AlertName), "alert")
	if n := len(i.Members) - 1; n > 0 {
		text = fmt.Sprintf("%s, and %d more", text, n)
	}
	return text
}

// touchedBy are the services that an alert is about or that lie on the way to its cause.
func touchedBy(r *alert.Record) []string {
	var out []string
	if s := alert.ServiceOf(r.Labels); s != "" {
		out = append(out, s)
	}
	if r.Evidence != nil {
		for _, e := range r.Evidence.Path {
			for _, name := range []string{e.Server, e.Client} {
				// What calls from outside is on everybody's path.
				if name != "" && (name == e.Server || r.Evidence.Service != "") && !slices.Contains(out, name) {
					out = append(out, name)
				}
			}
		}
	}
	return out
}

// takes reports whether an alert that begins to fire belongs to i.
func (i *Incident) takes(r *alert.Record) bool {
	open := i.Open() || r.FiredAt.Sub(i.ResolvedAt) <= ReopenWithin
	if !open || apart(i, r.Labels) {
		return false
	}
	cause := ""
	if v := r.Evidence; v != nil && v.Cause != nil {
		cause = v.Cause.Name
	}
	if !i.Open() && cause != "" && i.Cause != "" && cause != i.Cause {
		return false // another thing broke soon after
	}
	if i.member(KeyOf(r)) != nil {
		return true
	}
	touched := touchedBy(r)
	if cause != "" && cause == i.Cause {
		return true
	}
	if r.FiredAt.Sub(i.LastFired) > JoinWithin {
		return false
	}
	if len(touched) == 0 {
		return len(i.Touched) == 0 && slices.ContainsFunc(i.Members, func(m Member) bool { return m.RuleID == r.RuleID })
	}
	return slices.ContainsFunc(touched, func(s string) bool { return slices.Contains(i.Touched, s) })
}

// merge makes another incident part of i, which began before it.
func (i *Incident) merge(o *Incident) {
	for _, m := range o.Members {
		switch {
		case i.member(m.Key) != nil:
			*i.member(m.Key) = m // it fired again later
		case len(i.Members) >= maxMembers:
			i.Dropped++
		default:
			i.Members = append(i.Members, m)
		}
	}
	events := slices.Concat(i.Events, o.Events)
	slices.SortStableFunc(events, func(a, b Event) int { return a.Time.Compare(b.Time) })
	i.Events = nil
	for _, e := range events {
		i.note(e)
	}
	for _, d := range o.Deliveries {
		if !i.delivered(&d) {
			i.deliver(d)
		}
	}
	for _, s := range o.Touched {
		if !slices.Contains(i.Touched, s) && len(i.Touched) < maxTouched {
			i.Touched = append(i.Touched, s)
		}
	}
	i.Merged = append(append(i.Merged, o.ID), o.Merged...)
	i.Fired += o.Fired
	i.Dropped += o.Dropped
	if o.LastFired.After(i.LastFired) {
		i.LastFired = o.LastFired
	}
	if i.AtFiring == nil || i.AtFiring.Cause == nil {
		i.Lead, i.AtFiring, i.Latest = o.Lead, o.AtFiring, o.Latest
	}
	i.describe()
}

// apart reports whether an alert is of another system than i: it names another environment or cluster than all alerts of i, or a
// service that alerts of i are about, in other namespaces. Namespaces alone keep nothing apart: the services of one path are in several.
func apart(i *Incident, l labels.Labels) bool {
	other := func(name string, of func(*Member) bool) bool {
		v, some := l.Get(name), false
		if v == "" {
			return false
		}
		for k := range i.Members {
			if m := &i.Members[k]; of(m) {
				if has := m.Labels.Get(name); has == v || has == "" {
					return false
				}
				some = true
			}
		}
		return some
	}
	service := alert.ServiceOf(l)
	return slices.ContainsFunc(systems, func(name string) bool { return other(name, func(*Member) bool { return true }) }) ||
		slices.ContainsFunc(namespaces, func(name string) bool {
			return other(name, func(m *Member) bool { return alert.ServiceOf(m.Labels) == service })
		})
}

// beside reports whether an alert of i is in the namespace that l names.
func beside(i *Incident, l labels.Labels) bool {
	return slices.ContainsFunc(namespaces, func(name string) bool {
		v := l.Get(name)
		return v != "" && slices.ContainsFunc(i.Members, func(m Member) bool { return m.Labels.Get(name) == v })
	})
}

// Labels whose values distinguish systems, and services of the same name.
var (
	systems    = []string{"deployment_environment_name", "deployment_environment", "environment", "env", "cluster", "k8s_cluster_name"}
	namespaces = []string{"service_namespace", "namespace", "k8s_namespace_name"}
)
