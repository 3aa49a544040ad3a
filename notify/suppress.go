package notify

import (
	"context"
	"time"

	promalert "github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

// An alert of which the notification log knows nothing was either not notified yet, or was not to be: it was inhibited, silenced, muted by
// a time interval, or its receiver has no integration. After a start only the alerts of the first kind are notified when they are over.
//
// The simple version: the process notes, once a second and durably, which unlogged alerts are suppressed; the next process reads the notes.
// What happened within the last second is derived from the alerts, silences and time intervals of then.

// manyUnlogged is how many unlogged alerts are looked at every second; more are looked at every ten.
const manyUnlogged = 1000

// noteSuppressed looks at the unlogged alerts and notes which are suppressed.
func (n *Notifier) noteSuppressed(ctx context.Context, now time.Time) {
	k := n.keeper
	k.mu.Lock()
	every := time.Second
	if len(k.unlogged) > manyUnlogged {
		every = 10 * time.Second
	}
	if now.Sub(n.drain.looked) < every {
		k.mu.Unlock()
		return
	}
	n.drain.looked = now
	list := make(map[uint64]model.LabelSet, len(k.unlogged))
	for h, u := range k.unlogged {
		if !u.over {
			list[h] = u.labels
		}
	}
	k.mu.Unlock()
	is := map[uint64]bool{}
	s := n.suppressors()
	for h, l := range list {
		is[h] = n.inhibitor.Load().Mutes(ctx, l) || n.silencer.Mutes(ctx, l) || s.nowhere(l, func(*dispatch.Route) time.Time { return now })
	}
	k.mu.Lock()
	changed := false
	for h, suppressed := range is {
		u := k.unlogged[h]
		if u == nil || u.over || u.noted == suppressed {
			continue
		}
		changed, u.noted = true, suppressed
		k.unsent[string(suppressedKey(h))] = nil
		if suppressed {
			k.unsent[string(suppressedKey(h))] = []byte{1}
		}
	}
	k.mu.Unlock()
	if changed {
		k.retry()
	}
}

// suppressors say which routes lead nowhere.
type suppressors struct {
	routes    *dispatch.Route
	built     *integrations
	intervals *timeinterval.Intervener
}

func (n *Notifier) suppressors() suppressors {
	am := n.config.Load()
	return suppressors{dispatch.NewRoute(am.Route, nil), n.integrations.Load(), timeinterval.NewIntervener(intervalsOf(am))}
}

// nowhere reports whether every route of an alert is muted at a time, or leads to a receiver without integrations.
func (s *suppressors) nowhere(l model.LabelSet, at func(*dispatch.Route) time.Time) bool {
	for _, r := range s.routes.Match(l) {
		if len(s.built.of[r.RouteOpts.Receiver]) > 0 && !s.muted(r, at(r)) {
			return false
		}
	}
	return true
}

func (s *suppressors) muted(r *dispatch.Route, at time.Time) bool {
	if names := r.RouteOpts.ActiveTimeIntervals; len(names) > 0 {
		if active, _, err := s.intervals.Mutes(names, at); err == nil && !active {
			return true
		}
	}
	muted, _, err := s.intervals.Mutes(r.RouteOpts.MuteTimeIntervals, at)
	return err == nil && muted
}

// past says of alerts that are over whether they were suppressed while they fired.
type past struct {
	n     *Notifier
	noted map[uint64]bool
	s     suppressors
	fired map[model.Fingerprint]alert.Alert
	over  *mem.Alerts
	by    *inhibit.Inhibitor
}

// newPast looks back from a start: alerts are those that fire and those that the outbox holds.
func (n *Notifier) newPast(ctx context.Context, noted map[uint64]bool, alerts []alert.Alert, now time.Time) (*past, error) {
	p := &past{n: n, noted: noted, s: n.suppressors(), fired: map[model.Fingerprint]alert.Alert{}}
	am := n.config.Load()
	var err error
	p.over, err = mem.NewAlerts(ctx, 30*time.Minute, 0, nil, n.cfg.Logger, n.recorder, prometheus.NewRegistry(), n.flags)
	if err != nil {
		return nil, err
	}
	for _, a := range alerts {
		was := a
		a.State = alert.StateFiring
		x := n.alertOf(a, now)
		p.fired[x.Fingerprint()] = was
		if err := p.over.Put(ctx, x); err != nil {
			p.over.Close()
			return nil, err
		}
	}
	p.by = inhibit.NewInhibitor(p.over, am.InhibitRules, n.cfg.Logger, n.recorder)
	go p.by.Run()
	p.by.WaitForLoading()
	return p, nil
}

func (p *past) close() {
	p.by.Stop()
	p.over.Close()
}

// suppressed reports whether an alert that is over, or fires unlogged, was suppressed.
func (p *past) suppressed(ctx context.Context, a alert.Alert, hash uint64) bool {
	l := LabelSet(a.Labels)
	return p.noted[hash] || p.silenced(ctx, a, l) || p.inhibited(ctx, a, l) ||
		p.s.nowhere(l, func(r *dispatch.Route) time.Time { return a.FiredAt.Add(r.RouteOpts.GroupWait) })
}

// silenced reports whether a silence was active when the alert began to fire.
func (p *past) silenced(ctx context.Context, a alert.Alert, l model.LabelSet) bool {
	list, _, err := p.n.silences.Query(ctx, silence.QMatches(l))
	if err != nil {
		p.n.cfg.Logger.Warn("reading silences failed, an alert may be notified that was silenced", "alert", l.String(), "err", err)
		return false
	}
	for _, s := range list {
		if !s.StartsAt.AsTime().After(a.FiredAt) && s.EndsAt.AsTime().After(a.FiredAt) {
			return true
		}
	}
	return false
}

// inhibited reports whether an alert that fired at the same time inhibits it.
func (p *past) inhibited(ctx context.Context, a alert.Alert, l model.LabelSet) bool {
	m := marker.NewAlertMarker()
	if !p.by.Mutes(marker.WithContext(ctx, m), l) {
		return false
	}
	for _, text := range m.Status((&promalert.Alert{Alert: model.Alert{Labels: l}}).Fingerprint()).InhibitedBy {
		fp, err := model.ParseFingerprint(text)
		source, ok := p.fired[fp]
		if err != nil || !ok || (source.ResolvedAt.IsZero() || source.ResolvedAt.After(a.FiredAt)) &&
			(a.ResolvedAt.IsZero() || !source.FiredAt.After(a.ResolvedAt)) {
			return true
		}
	}
	return false
}
