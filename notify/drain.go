package notify

import (
	"context"
	"errors"
	"slices"
	"time"

	promalert "github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/common/model"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

// settleAfter is how long a resolved alert may take from the provider into its aggregation group; only after it does the
// alert's absence from every group say that the group has been flushed.
const settleAfter = 5 * time.Second

// drain is how far the outbox has been handed over. It belongs to Run's goroutine.
type drain struct {
	seq      uint64 // newest entry put
	resent   time.Time
	settling []settling
	held     []held
	// unlogged are alerts that fired before the start and of which the notification log knows nothing, to when that may matter: put
	// as resolved before their firing is notified once more, they would end as those in held.
	unlogged map[uint64]time.Time
	looked   time.Time // when suppressed alerts were noted last
}

// settling is an entry that waits for its resolved alerts to be flushed.
type settling struct {
	seq    uint64
	put    time.Time
	alerts map[model.Fingerprint]bool
	hashes []uint64 // of these alerts
}

// held is a resolved alert from before the start, of whose firing the notification log knows nothing although it was not suppressed: either
// it was not notified yet, or the process died between a receiver's answer and the log's write. Put as resolved, Alertmanager would not
// notify it, so it is put as firing first and this waits until that is notified.
type held struct {
	alert alert.Alert
	seq   uint64
	hash  uint64
	until time.Time
}

// recover puts, before the dispatcher runs, every alert that fires and what the outbox still holds.
func (n *Notifier) recover(ctx context.Context, notified logState, now time.Time) error {
	if err := n.resend(ctx, now); err != nil {
		return err
	}
	entries, err := n.pending()
	if err != nil {
		return err
	}
	if err := n.forward.recover(entries, now); err != nil {
		return err
	}
	noted, err := n.keeper.readSuppressed()
	if err != nil {
		return err
	}
	around := n.firing()
	for _, e := range entries {
		around = append(around, e.Alerts...)
	}
	before, err := n.newPast(ctx, noted, around, now)
	if err != nil {
		return err
	}
	defer before.close()
	until := now.Add(longestGroupWait(n.config.Load().Route, 0) + 2*settleAfter)
	n.drain.unlogged = map[uint64]time.Time{}
	for _, a := range n.firing() {
		h := hashOf(a.Labels)
		if notified.knows(h, now) {
			continue
		}
		n.keeper.open(h, LabelSet(a.Labels), noted[h])
		if !before.suppressed(ctx, a, h) {
			n.keeper.await(h)
			n.drain.unlogged[h] = until
		}
	}
	for _, e := range entries {
		for _, a := range e.Alerts {
			h := hashOf(a.Labels)
			if a.State == alert.StateFiring || notified.knows(h, e.At) {
				continue
			}
			if before.suppressed(ctx, a, h) {
				n.keeper.open(h, LabelSet(a.Labels), noted[h])
				continue
			}
			n.keeper.await(h)
			n.drain.held = append(n.drain.held, held{a, e.Seq, h, until})
			a.State = alert.StateFiring
			if err := n.alerts.Put(ctx, n.alertOf(a, now)); err != nil {
				return err
			}
		}
	}
	err = n.put(ctx, entries, now)
	n.keeper.forgetNotes(noted)
	return err
}

// step hands over what is new, resends what fires, and forgets entries that are through.
func (n *Notifier) step(ctx context.Context, now time.Time) error {
	entries, err := n.pending()
	if err != nil {
		return err
	}
	entries = slices.DeleteFunc(entries, func(e alert.OutboxEntry) bool { return e.Seq <= n.drain.seq })
	if err := errors.Join(n.forward.take(entries, now), n.forward.step(now)); err != nil {
		return err
	}
	if now.Sub(n.drain.resent) >= n.resolveTimeout()/4 {
		if err := n.resend(ctx, now); err != nil {
			return err
		}
	}
	if err := n.put(ctx, entries, now); err != nil {
		return err
	}
	if err := n.release(ctx, now); err != nil {
		return err
	}
	n.noteSuppressed(ctx, now)
	return n.settle(ctx, now)
}

// resend puts every alert that receivers hold as firing again, so that it does not time out, with its annotations as they are
// now. One whose resolution is decided but not yet in the outbox is still put as firing: only the outbox resolves, otherwise its
// entry would come after the notification log's last word and be notified a second time by the next start.
func (n *Notifier) resend(ctx context.Context, now time.Time) error {
	n.drain.resent = now
	for _, a := range n.firing() {
		a.State = alert.StateFiring
		if err := n.alerts.Put(ctx, n.alertOf(a, now)); err != nil {
			return err
		}
	}
	return nil
}

// put hands entries to Alertmanager. Those that only fire are done.
func (n *Notifier) put(ctx context.Context, entries []alert.OutboxEntry, now time.Time) error {
	var done []uint64
	for _, e := range entries {
		s := settling{seq: e.Seq, put: now, alerts: map[model.Fingerprint]bool{}}
		for _, a := range e.Alerts {
			am := n.alertOf(a, now)
			if a.State != alert.StateFiring {
				s.alerts[am.Fingerprint()] = true
				h := hashOf(a.Labels)
				s.hashes = append(s.hashes, h)
				n.keeper.ended(h)
				if until, ok := n.drain.unlogged[h]; ok {
					delete(n.drain.unlogged, h)
					n.drain.held = append(n.drain.held, held{a, e.Seq, h, until})
				}
				if n.isHeld(e.Seq, h) {
					continue
				}
			} else {
				n.keeper.open(hashOf(a.Labels), am.Labels, false)
			}
			if err := n.alerts.Put(ctx, am); err != nil {
				return err
			}
		}
		n.drain.seq = e.Seq
		if len(s.alerts) == 0 {
			done = append(done, e.Seq)
		} else {
			n.drain.settling = append(n.drain.settling, s)
		}
	}
	return n.cfg.Alerts.Outbox().Done(done...)
}

func (n *Notifier) isHeld(seq, hash uint64) bool {
	return slices.ContainsFunc(n.drain.held, func(h held) bool { return h.seq == seq && h.hash == hash })
}

// release puts held alerts once their firing was notified, or could not be (silenced, no receiver).
func (n *Notifier) release(ctx context.Context, now time.Time) error {
	if len(n.drain.held) == 0 {
		return nil
	}
	firing := map[uint64]bool{}
	for _, a := range n.firing() {
		firing[hashOf(a.Labels)] = true
	}
	var keep []held
	for _, h := range n.drain.held {
		again := firing[h.hash] // since then: it has not resolved any more
		if !again && !n.keeper.notified(h.hash) && now.Before(h.until) {
			keep = append(keep, h)
			continue
		}
		if !again {
			if err := n.alerts.Put(ctx, n.alertOf(h.alert, now)); err != nil {
				return err
			}
		}
		n.keeper.unawait(h.hash)
		for i := range n.drain.settling {
			if n.drain.settling[i].seq == h.seq {
				n.drain.settling[i].put = now
			}
		}
	}
	n.drain.held = keep
	return nil
}

// settle forgets entries whose resolved alerts are in no aggregation group any more.
func (n *Notifier) settle(ctx context.Context, now time.Time) error {
	ripe := func(s settling) bool {
		return now.Sub(s.put) >= settleAfter && !slices.ContainsFunc(n.drain.held, func(h held) bool { return h.seq == s.seq })
	}
	if !slices.ContainsFunc(n.drain.settling, ripe) {
		return nil
	}
	waiting, err := n.unflushed(ctx)
	if err != nil {
		return err
	}
	var done []uint64
	n.drain.settling = slices.DeleteFunc(n.drain.settling, func(s settling) bool {
		if !ripe(s) {
			return false
		}
		for fp := range s.alerts {
			if waiting[fp] {
				return false
			}
		}
		done = append(done, s.seq)
		n.keeper.forgotten(s.hashes)
		return true
	})
	return n.cfg.Alerts.Outbox().Done(done...)
}

// unflushed returns the alerts that are resolved and still in an aggregation group. The dispatcher takes alerts in with several
// goroutines, so a group may have overtaken updates in the wrong order; such an alert is put again.
func (n *Notifier) unflushed(ctx context.Context) (map[model.Fingerprint]bool, error) {
	waiting := map[model.Fingerprint]bool{}
	var stale []*promalert.Alert
	_, _, err := n.groups(ctx, func(*dispatch.Route) bool { return true }, func(a *promalert.Alert, _ time.Time) bool {
		fp := a.Fingerprint()
		now, err := n.alerts.Get(fp)
		switch {
		case a.Resolved():
			waiting[fp] = true
		case err == nil && now.Resolved():
			waiting[fp] = true
			stale = append(stale, now)
		}
		return false
	})
	if err != nil {
		return nil, err
	}
	return waiting, n.alerts.Put(ctx, stale...)
}

func (n *Notifier) resolveTimeout() time.Duration {
	if g := n.config.Load().Global; g != nil && g.ResolveTimeout > 0 {
		return time.Duration(g.ResolveTimeout)
	}
	return 5 * time.Minute
}

// alertOf translates an alert. Its start is event time, no later than now; its end is wall time: in a while when it fires.
func (n *Notifier) alertOf(a alert.Alert, now time.Time) *promalert.Alert {
	out := &promalert.Alert{Alert: model.Alert{Labels: LabelSet(a.Labels), Annotations: LabelSet(a.Annotations), StartsAt: a.FiredAt,
		GeneratorURL: a.GeneratorURL}, UpdatedAt: now}
	if a.Evidence != nil {
		if text := a.Evidence.Text(); text != "" {
			out.Annotations[EvidenceAnnotation] = model.LabelValue(text)
		}
	}
	if out.StartsAt.IsZero() || out.StartsAt.After(now) {
		out.StartsAt = now
	}
	if a.State == alert.StateFiring {
		out.EndsAt, out.Timeout = now.Add(max(n.resolveTimeout(), endsAfter)), true
		return out
	}
	out.EndsAt = a.ResolvedAt
	if out.EndsAt.After(now) || out.EndsAt.Before(out.StartsAt) {
		out.EndsAt = now
	}
	return out
}

// endsAfter is when an alert that fires ends by itself, at the earliest. Alertmanager lives in wall time: were it shorter, a machine whose
// clock is set an hour ahead would notify that everything has resolved. No receiver has to wait for it: rules and notifications live and
// die together, and what resolves is said.
const endsAfter = 24 * time.Hour

// EvidenceAnnotation is the annotation that holds, shortened, why an alert fires; templates may show it.
const EvidenceAnnotation = "evidence"

// longestGroupWait is the longest time that a route waits before its first notification.
func longestGroupWait(r *amconfig.Route, above time.Duration) time.Duration {
	wait := max(above, dispatch.DefaultRouteOpts.GroupWait)
	if r.GroupWait != nil {
		wait = time.Duration(*r.GroupWait)
	}
	longest := wait
	for _, c := range r.Routes {
		longest = max(longest, longestGroupWait(c, wait))
	}
	return longest
}
