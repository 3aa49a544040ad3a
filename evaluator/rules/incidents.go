package rules

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/incident"
	"github.com/gaurav/watchingcat/storage"
)

const (
	// refreshEvery is how often the evidence of open incidents is read again, by the wall clock; refreshAtOnce of how many at a time.
	refreshEvery  = 15 * time.Second
	refreshAtOnce = 20
)

// begins reports whether an alert begins to fire, or fires and belongs to no incident yet.
func (c *change) begins() bool {
	return c.new != nil && c.new.State == alert.StateFiring && c.new.Incident == ""
}

// ends reports whether an alert of an incident fires no longer.
func (c *change) ends() bool {
	return c.old != nil && c.old.State == alert.StateFiring && c.old.Incident != "" && (c.new == nil || c.new.State != alert.StateFiring)
}

// end is when an alert that ends stopped to fire.
func (c *change) end() time.Time {
	switch {
	case c.new != nil:
		return c.new.ResolvedAt
	case c.notice != nil:
		return c.notice.ResolvedAt
	}
	return c.gone
}

// assign plans which incidents the alerts of a batch belong to; nil where that changes for none. Done must be called on what it returns.
func (e *Evaluator) assign(batch []change) *incident.Tx {
	if e.cfg.Incidents == nil || !slices.ContainsFunc(batch, func(c change) bool { return c.begins() || c.ends() }) {
		return nil
	}
	tx := e.cfg.Incidents.Begin()
	var fired []*alert.Record
	for i := range batch {
		c := &batch[i]
		if c.ends() {
			tx.Resolved(c.old, c.end())
		}
		if c.begins() {
			fired = append(fired, c.new)
		}
	}
	slices.SortFunc(fired, func(a, b *alert.Record) int { // replicas come to the same incidents
		return cmp.Or(a.FiredAt.Compare(b.FiredAt), cmp.Compare(a.Key(), b.Key()))
	})
	for _, r := range fired {
		if r.Incident = tx.Fired(r); r.Incident == "" {
			e.metrics.apart.Inc()
			continue
		}
		r.GeneratorURL = e.incidentURL(r.Incident)
	}
	return tx
}

func (e *Evaluator) incidentURL(id string) string {
	return strings.TrimSuffix(e.cfg.ExternalURL.String(), "/") + "/incidents/" + id
}

// reconcile resolves what is open in the incidents of alerts that are no more, as after a backup was restored.
func (e *Evaluator) reconcile() error {
	if e.cfg.Incidents == nil {
		return nil
	}
	firing := map[string]bool{}
	for _, r := range e.records {
		if r.State == alert.StateFiring && r.Incident != "" {
			firing[incident.KeyOf(r)] = true
		}
	}
	tx := e.cfg.Incidents.Begin()
	tx.Reconcile(func(key string) bool { return firing[key] })
	return e.commitIncidents(tx)
}

func (e *Evaluator) commitIncidents(tx *incident.Tx) (err error) {
	defer func() { tx.Done(err == nil) }()
	entries, err := tx.Entries()
	if err == nil && len(entries) > 0 {
		err = e.cfg.KV.Commit(storage.Commit{Entries: entries})
	}
	return err
}

// RunIncidents reads the evidence of open incidents again until ctx ends. It is a loop with a clock.
func (e *Evaluator) RunIncidents(ctx context.Context) error {
	t := time.NewTicker(refreshEvery)
	defer t.Stop()
	for round := 0; ; round++ {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if err := e.RefreshIncidents(ctx, round); err != nil && ctx.Err() == nil {
			e.ruleLogger.Error("storing evidence of incidents failed, will be tried again", "err", err)
		}
	}
}

// RefreshIncidents reads the evidence of open incidents as of now: of all where they are few, else in turn by round.
func (e *Evaluator) RefreshIncidents(ctx context.Context, round int) error {
	if e.cfg.Incidents == nil || e.cfg.Evidence == nil {
		return nil
	}
	if err := e.noteDeliveries(); err != nil {
		return err
	}
	leads := e.cfg.Incidents.Leads()
	if n := len(leads); n > refreshAtOnce {
		first := round * refreshAtOnce % n
		leads = append(leads[first:], leads[:first]...)[:refreshAtOnce]
	}
	q := e.gatherer().Inquire(ctx)
	for _, l := range leads {
		r, rule := e.lead(l)
		if rule == nil || ctx.Err() != nil {
			continue
		}
		v := e.caught(rule.Name(), func() *alert.Evidence {
			return q.Again(rule.condition(), r, l.AtFiring, e.cfg.Reader.Frontier().Head)
		})
		tx := e.cfg.Incidents.Begin()
		tx.Refresh(l.ID, l.Key, v)
		if err := e.commitIncidents(tx); err != nil {
			return err
		}
	}
	if len(leads) > 0 {
		e.changed.Send()
	}
	return nil
}

// noteDeliveries adds to incidents which receivers were notified of their alerts.
func (e *Evaluator) noteDeliveries() error {
	if e.cfg.Deliveries == nil || e.cfg.Sent == nil {
		return nil
	}
	tx := e.cfg.Incidents.Begin()
	tx.Deliver(e.cfg.Deliveries(), e.cfg.Sent)
	return e.commitIncidents(tx)
}

// lead is the record of an alert and its rule; nil where one is gone.
func (e *Evaluator) lead(l incident.Lead) (*alert.Record, *alertRule) {
	e.stateMu.RLock()
	defer e.stateMu.RUnlock()
	for _, r := range e.records {
		if r.Incident != "" && incident.KeyOf(r) == l.Key {
			c := *r
			return &c, e.ruleOf(r.RuleID)
		}
	}
	return nil, nil
}
