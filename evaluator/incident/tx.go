package incident

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/storage"
)

// Tx is a change of incidents that is not committed yet. Nothing else changes or reads the book until Done.
type Tx struct {
	b       *Book
	changed map[string]*Incident
	gone    []string // that are kept no longer
	merged  []string // that became part of others
	newest  time.Time
}

// Begin starts a change. Done must follow.
func (b *Book) Begin() *Tx {
	b.mu.Lock()
	return &Tx{b: b, changed: map[string]*Incident{}}
}

// Fired adds an alert that begins to fire to the incident that it belongs to, and returns its id; "" when there are too many open ones.
func (t *Tx) Fired(r *alert.Record) string {
	i := t.home(r)
	if i == nil {
		if len(t.openOnes()) >= t.b.limits.OpenOnes {
			return ""
		}
		i = &Incident{Header: Header{ID: newID(r), FiredAt: r.FiredAt, Since: r.ActiveAt}}
		t.changed[i.ID] = i
	}
	i.fire(r)
	t.see(r.FiredAt)
	return i.ID
}

// home is the incident that an alert belongs to, for changing; nil if there is none.
func (t *Tx) home(r *alert.Record) *Incident {
	list := append(t.openOnes(), t.justResolved(r)...)
	for _, i := range t.changed {
		if !i.Open() {
			list = append(list, i)
		}
	}
	// The one whose alerts fired last, so that replicas decide alike.
	slices.SortFunc(list, func(x, y *Incident) int {
		if c := y.LastFired.Compare(x.LastFired); c != 0 {
			return c
		}
		return strings.Compare(x.ID, y.ID)
	})
	// Its own incident comes before those of its namespace, and these before others on its path.
	for _, fits := range []func(*Incident) bool{
		func(i *Incident) bool { return i.member(KeyOf(r)) != nil },
		func(i *Incident) bool { return beside(i, r.Labels) },
		func(*Incident) bool { return true },
	} {
		for _, i := range list {
			if fits(i) && i.takes(r) {
				return t.edit(i)
			}
		}
	}
	return nil
}

// justResolved reads the incidents that an alert could open again. One that cannot be read stays resolved.
func (t *Tx) justResolved(r *alert.Record) (out []*Incident) {
	for n := len(t.b.headers) - 1; n >= 0; n-- {
		h := &t.b.headers[n]
		if h.Open() || t.changed[h.ID] != nil || r.FiredAt.Sub(h.ResolvedAt) > ReopenWithin {
			continue
		}
		if i, err := t.b.read(h.ID); err == nil {
			out = append(out, i)
		}
	}
	return out
}

func (t *Tx) edit(i *Incident) *Incident {
	if c := t.changed[i.ID]; c != nil {
		return c
	}
	c := i.clone()
	t.changed[i.ID] = c
	return c
}

// Resolved notes that an alert no longer fires.
func (t *Tx) Resolved(r *alert.Record, at time.Time) {
	key := KeyOf(r)
	for _, i := range t.openOnes() {
		if m := i.member(key); m != nil && m.State == alert.StateFiring {
			t.edit(i).resolve(key, at, r.Value)
			t.see(at)
			return
		}
	}
}

// openOnes are the open incidents as the change leaves them, ordered by id.
func (t *Tx) openOnes() (out []*Incident) {
	for _, i := range t.changed {
		if i.Open() {
			out = append(out, i)
		}
	}
	for id, i := range t.b.open {
		if t.changed[id] == nil && !slices.Contains(t.merged, id) {
			out = append(out, i)
		}
	}
	slices.SortFunc(out, func(x, y *Incident) int { return strings.Compare(x.ID, y.ID) })
	return out
}

// Refresh takes newer evidence of an alert of an open incident.
func (t *Tx) Refresh(id, key string, v *alert.Evidence) {
	o := t.b.open[t.b.currentID(id)]
	if o == nil || v == nil {
		return
	}
	i := t.edit(o)
	m := i.member(key)
	if m == nil || m.State != alert.StateFiring {
		return
	}
	if i.Latest != nil && !clearer(v, i.evidence()) {
		return // what is wrong fades: the rest of it names another cause, or none
	}
	if v.Cause != nil {
		m.Cause, m.Share = v.Cause.Name, v.Cause.Share
	}
	if i.AtFiring == nil {
		i.AtFiring = v
	}
	i.Lead, i.Latest = key, v
	i.describe()
	t.mergeSame(i)
}

// clearer reports whether newer evidence says more than older: it names the same cause, or another one at which more is wrong.
func clearer(v, old *alert.Evidence) bool {
	switch {
	case old == nil || old.Cause == nil:
		return true
	case v.Cause == nil:
		return false
	case v.Cause.Name == old.Cause.Name:
		return true
	}
	wrong := func(v *alert.Evidence) float64 {
		if len(v.Path) == 0 {
			return 0
		}
		return v.Path[0].OwnExcessFailed + v.Path[0].OwnExcessSeconds
	}
	return wrong(v) > wrong(old)
}

// mergeSame joins the open incidents that name the cause of i into the oldest of them: the first evidence of some may have named another.
func (t *Tx) mergeSame(i *Incident) {
	if i.Cause == "" {
		return
	}
	for _, o := range t.openOnes() {
		other := slices.ContainsFunc(o.Members, func(m Member) bool { return apart(i, m.Labels) })
		if o.ID == i.ID || o.Cause != i.Cause || other {
			continue
		}
		older, newer := o, i
		if i.ID < o.ID {
			older, newer = i, o
		}
		older = t.edit(older)
		older.merge(newer)
		delete(t.changed, newer.ID)
		t.merged = append(t.merged, newer.ID)
		i = older
	}
}

// Reconcile resolves the alerts of open incidents that do not fire, as of when they fired last.
func (t *Tx) Reconcile(firing func(key string) bool) {
	for _, o := range t.b.open {
		for k := range o.Members {
			if m := &o.Members[k]; m.State == alert.StateFiring && !firing(m.Key) {
				t.edit(o).resolve(m.Key, m.FiredAt, m.Value)
			}
		}
	}
}

func (t *Tx) see(at time.Time) {
	if at.After(t.newest) {
		t.newest = at
	}
}

// Entries are the writes of the change, with the deletion of what is kept no longer.
func (t *Tx) Entries() ([]storage.Entry, error) {
	var out []storage.Entry
	for id, i := range t.changed {
		h, err := json.Marshal(i.Header)
		if err != nil {
			return nil, fmt.Errorf("evaluator: incident %s: %w", id, err)
		}
		body, err := json.Marshal(i)
		if err != nil {
			return nil, fmt.Errorf("evaluator: incident %s: %w", id, err)
		}
		out = append(out, storage.Entry{Key: key(keyHeader, id), Value: h}, storage.Entry{Key: key(keyBody, id), Value: body})
	}
	t.expire()
	for _, id := range append(t.merged, t.gone...) {
		out = append(out, storage.Entry{Key: key(keyHeader, id)}, storage.Entry{Key: key(keyBody, id)})
	}
	return out, nil
}

// expire lists the resolved incidents that are too old or too many.
func (t *Tx) expire() {
	t.gone = nil
	excess := len(t.b.headers) - t.b.limits.Incidents
	for id := range t.changed {
		if t.b.at(id) < 0 {
			excess++
		}
	}
	for n := range t.b.headers {
		h := &t.b.headers[n]
		if h.Open() || t.changed[h.ID] != nil {
			continue
		}
		if excess <= 0 && t.newest.Sub(h.ResolvedAt) <= t.b.limits.Retention {
			continue
		}
		t.gone = append(t.gone, h.ID)
		excess--
	}
}

// Done ends the change: memory follows it if it was committed.
func (t *Tx) Done(committed bool) {
	defer t.b.mu.Unlock()
	if !committed {
		return
	}
	for id, i := range t.changed {
		delete(t.b.open, id)
		if i.Open() {
			t.b.open[id] = i
		}
		if n := t.b.at(id); n >= 0 {
			t.b.headers[n] = i.Header
		} else {
			t.b.headers = append(t.b.headers, i.Header)
		}
	}
	for _, id := range t.merged {
		delete(t.b.open, id)
	}
	t.b.headers = slices.DeleteFunc(t.b.headers, func(h Header) bool {
		return slices.Contains(t.gone, h.ID) || slices.Contains(t.merged, h.ID)
	})
	slices.SortFunc(t.b.headers, func(x, y Header) int { return strings.Compare(x.ID, y.ID) })
}

// at is the place of a header, -1 if there is none.
func (b *Book) at(id string) int {
	n, ok := slices.BinarySearchFunc(b.headers, id, func(h Header, id string) int { return strings.Compare(h.ID, id) })
	if !ok {
		return -1
	}
	return n
}

// A Lead is the alert whose evidence an open incident shows.
type Lead struct {
	ID, Key  string
	AtFiring *alert.Evidence // nil: it had none
}

// Leads are the alerts of open incidents whose evidence is to be read again: of each that which names the cause most clearly among those
// that fire.
func (b *Book) Leads() (out []Lead) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for id, i := range b.open {
		var best *Member
		for k := range i.Members {
			m := &i.Members[k]
			if m.State == alert.StateFiring && (best == nil || m.Share > best.Share || m.Share == best.Share && m.Key == i.Lead) {
				best = m
			}
		}
		if best != nil {
			out = append(out, Lead{id, best.Key, i.AtFiring})
		}
	}
	slices.SortFunc(out, func(x, y Lead) int { return strings.Compare(x.ID, y.ID) })
	return out
}
