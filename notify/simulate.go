package notify

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// Which notifications would have gone out.
//
// The simple version: Alertmanager's dispatcher has no clock that could be given to it, so what it does with time is written here
// once more: an alert opens a group of its route, a group is flushed group_wait after it was opened and then every group_interval,
// and a group that a flush left without alerts is gone. What happens in a flush (inhibition, time intervals, the decision whether
// there is news) is done by Alertmanager's own stages. TestSimulateAsDispatcher holds the two equal.

// An AlertChange is a moment at which an alert begins or ceases to fire.
type AlertChange struct {
	Time   time.Time
	Labels model.LabelSet
	Firing bool
}

// SimulatedNotice is a notification that would have been sent.
type SimulatedNotice struct {
	Time             time.Time
	Receiver         string
	Integration      string
	GroupKey         string
	Reason           string // in Alertmanager's words
	Firing, Resolved []model.LabelSet
}

// MaxSimulatedNotices bounds a simulation; it ends with an error when there would be more.
const MaxSimulatedNotices = 20_000

// Simulate returns what am would have sent for changes, ordered by time, up to and including end. Silences play no part, and every
// receiver is taken to accept at once.
func Simulate(am *amconfig.Config, changes []AlertChange, end time.Time) ([]SimulatedNotice, error) {
	s, err := newSimulation(am)
	if err != nil {
		return nil, err
	}
	for _, c := range changes {
		if err := s.flushUntil(c.Time, false); err != nil {
			return nil, err
		}
		s.put(c)
	}
	if err := s.flushUntil(end, true); err != nil {
		return nil, err
	}
	return s.out, nil
}

// Simulate is Simulate under the configuration in force.
func (n *Notifier) Simulate(changes []AlertChange, end time.Time) ([]SimulatedNotice, error) {
	sent := slices.Clone(changes)
	for i := range sent {
		l := make(map[string]string, len(sent[i].Labels))
		for name, v := range sent[i].Labels {
			l[string(name)] = string(v)
		}
		sent[i].Labels = LabelSet(n.Sent(labels.FromMap(l)))
	}
	return Simulate(n.config.Load(), sent, end)
}

type simulation struct {
	routes       *dispatch.Route
	integrations map[string][]amnotify.Integration
	inhibit      []*inhibit.InhibitRule
	before       amnotify.MultiStage // what decides about single alerts
	groups       map[string]*simGroup
	logs         map[string]*simLog // by group key and integration
	firing       map[model.Fingerprint]model.LabelSet
	out          []SimulatedNotice
}

// simGroup is an aggregation group.
type simGroup struct {
	key    string
	labels model.LabelSet
	route  *dispatch.Route
	next   time.Time
	alerts map[model.Fingerprint]*alert.Alert
}

// simLog is the notification log of one group and integration.
type simLog struct {
	now   time.Time
	entry *nflogpb.Entry
}

func (l *simLog) Log(r *nflogpb.Receiver, key string, firing, resolved []uint64, _ *nflog.Store, _ time.Duration) error {
	l.entry = &nflogpb.Entry{Receiver: r, GroupKey: []byte(key), Timestamp: timestamppb.New(l.now), FiringAlerts: firing,
		ResolvedAlerts: resolved}
	return nil
}

func (l *simLog) Query(...nflog.QueryParam) ([]*nflogpb.Entry, error) {
	if l.entry == nil {
		return nil, nflog.ErrNotFound
	}
	return []*nflogpb.Entry{l.entry}, nil
}

func newSimulation(am *amconfig.Config) (*simulation, error) {
	log := slog.New(slog.DiscardHandler)
	tmpl, err := template.FromGlobs(nil)
	if err != nil {
		return nil, fmt.Errorf("notify: templates: %w", err)
	}
	s := &simulation{routes: dispatch.NewRoute(am.Route, nil), integrations: map[string][]amnotify.Integration{},
		groups: map[string]*simGroup{}, logs: map[string]*simLog{}, firing: map[model.Fingerprint]model.LabelSet{}}
	for _, rc := range am.Receivers {
		if s.integrations[rc.Name], err = receiver.BuildReceiverIntegrations(rc, tmpl, log); err != nil {
			return nil, fmt.Errorf("notify: receiver %q: %w", rc.Name, err)
		}
	}
	for _, r := range am.InhibitRules {
		s.inhibit = append(s.inhibit, inhibit.NewInhibitRule(r))
	}
	metrics := amnotify.NewMetrics(prometheus.NewRegistry(), featurecontrol.NoopFlags{})
	times, marks := timeinterval.NewIntervener(intervalsOf(am)), marker.NewGroupMarker()
	s.before = amnotify.MultiStage{
		amnotify.NewMuteStage(amnotify.MuteFunc(func(_ context.Context, l model.LabelSet) bool { return s.inhibited(l) }), metrics),
		amnotify.NewTimeActiveStage(times, marks, metrics),
		amnotify.NewTimeMuteStage(times, marks, metrics),
	}
	return s, nil
}

// put lets an alert begin or cease to fire.
func (s *simulation) put(c AlertChange) {
	a := &alert.Alert{Alert: model.Alert{Labels: c.Labels, StartsAt: c.Time}, UpdatedAt: c.Time}
	fp := a.Fingerprint()
	if c.Firing {
		s.firing[fp] = c.Labels
	} else {
		delete(s.firing, fp)
		a.EndsAt = c.Time
	}
	for _, r := range s.routes.Match(c.Labels) {
		labels := groupLabels(c.Labels, r)
		key := fmt.Sprintf("%s:%s", r.Key(), labels) // as Alertmanager's
		g := s.groups[key]
		if g == nil {
			g = &simGroup{key: key, labels: labels, route: r, next: c.Time.Add(r.RouteOpts.GroupWait),
				alerts: map[model.Fingerprint]*alert.Alert{}}
			s.groups[key] = g
		}
		g.alerts[fp] = a
	}
}

func groupLabels(l model.LabelSet, r *dispatch.Route) model.LabelSet {
	out := model.LabelSet{}
	for name, v := range l {
		if _, ok := r.RouteOpts.GroupBy[name]; ok || r.RouteOpts.GroupByAll {
			out[name] = v
		}
	}
	return out
}

// flushUntil does the flushes that are due before t, or at it too.
func (s *simulation) flushUntil(t time.Time, inclusive bool) error {
	for {
		var next *simGroup
		for _, g := range s.groups {
			if next == nil || g.next.Before(next.next) || g.next.Equal(next.next) && g.key < next.key {
				next = g
			}
		}
		if next == nil || next.next.After(t) || !inclusive && next.next.Equal(t) {
			return nil
		}
		if err := s.flush(next); err != nil {
			return err
		}
	}
}

func (s *simulation) flush(g *simGroup) error {
	now, opts := g.next, g.route.RouteOpts
	ctx := amnotify.WithNow(context.Background(), now)
	ctx = amnotify.WithGroupKey(ctx, g.key)
	ctx = amnotify.WithRouteID(ctx, g.route.ID())
	ctx = amnotify.WithReceiverName(ctx, opts.Receiver)
	ctx = amnotify.WithRepeatInterval(ctx, opts.RepeatInterval)
	ctx = amnotify.WithMuteTimeIntervals(ctx, opts.MuteTimeIntervals)
	ctx = amnotify.WithActiveTimeIntervals(ctx, opts.ActiveTimeIntervals)
	alerts := make(alert.AlertSlice, 0, len(g.alerts))
	for _, a := range g.alerts {
		alerts = append(alerts, a)
	}
	slices.SortFunc(alerts, func(a, b *alert.Alert) int { return cmp.Compare(a.Fingerprint(), b.Fingerprint()) })
	log := slog.New(slog.DiscardHandler)
	ctx, left, err := s.before.Exec(ctx, log, alerts...)
	if err != nil {
		return fmt.Errorf("notify: simulate: %w", err)
	}
	if len(left) > 0 {
		for _, i := range s.integrations[opts.Receiver] {
			if err := s.send(ctx, g, i, left, now); err != nil {
				return err
			}
		}
	}
	for fp, a := range g.alerts {
		if !a.EndsAt.IsZero() {
			delete(g.alerts, fp)
		}
	}
	g.next = now.Add(opts.GroupInterval)
	if len(g.alerts) == 0 {
		delete(s.groups, g.key)
	}
	return nil
}

// send decides by the notification log whether the integration is notified.
func (s *simulation) send(ctx context.Context, g *simGroup, i amnotify.Integration, alerts []*alert.Alert, now time.Time) error {
	id := g.key + "\xff" + i.String()
	l := s.logs[id]
	if l == nil {
		l = &simLog{}
		s.logs[id] = l
	}
	l.now = now
	recv := &nflogpb.Receiver{GroupName: g.route.RouteOpts.Receiver, Integration: i.Name(), Idx: uint32(i.Index())}
	notified := amnotify.StageFunc(func(ctx context.Context, _ *slog.Logger, alerts ...*alert.Alert) (context.Context, []*alert.Alert,
		error) {
		return ctx, alerts, s.note(ctx, g, i, alerts, now)
	})
	_, _, err := amnotify.MultiStage{amnotify.NewDedupStage(&i, l, recv), notified, amnotify.NewSetNotifiesStage(l, recv)}.
		Exec(ctx, slog.New(slog.DiscardHandler), alerts...)
	return err
}

func (s *simulation) note(ctx context.Context, g *simGroup, i amnotify.Integration, alerts []*alert.Alert, now time.Time) error {
	n := SimulatedNotice{Time: now, Receiver: g.route.RouteOpts.Receiver, Integration: i.Name(), GroupKey: g.key}
	if r, ok := amnotify.NotificationReason(ctx); ok {
		n.Reason = r.String()
	}
	for _, a := range alerts {
		if a.EndsAt.IsZero() {
			n.Firing = append(n.Firing, a.Labels)
		} else if i.SendResolved() {
			n.Resolved = append(n.Resolved, a.Labels)
		}
	}
	if len(n.Firing)+len(n.Resolved) == 0 {
		return nil // logged, and the receiver hears nothing
	}
	if len(s.out) >= MaxSimulatedNotices {
		return fmt.Errorf("notify: more than %d notifications", MaxSimulatedNotices)
	}
	s.out = append(s.out, n)
	return nil
}

// inhibited is Inhibitor.Mutes over the alerts that fire now.
func (s *simulation) inhibited(l model.LabelSet) bool {
	return slices.ContainsFunc(s.inhibit, func(r *inhibit.InhibitRule) bool {
		if !r.TargetMatchers.Matches(l) {
			return false
		}
		twoSided := r.SourceMatchers.Matches(l)
		for _, source := range s.firing {
			if !r.SourceMatchers.Matches(source) || twoSided && r.TargetMatchers.Matches(source) {
				continue
			}
			same := true
			for name := range r.Equal {
				same = same && source[name] == l[name]
			}
			if same {
				return true
			}
		}
		return false
	})
}
