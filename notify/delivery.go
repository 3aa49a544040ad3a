package notify

import (
	"context"
	"time"

	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
)

// What became of an alert at a receiver.
const (
	DeliverySent      = "sent"
	DeliveryGrouped   = "grouped" // its group is flushed later
	DeliverySilenced  = "silenced"
	DeliveryInhibited = "inhibited"
	DeliveryMuted     = "muted" // by a time interval of its route
)

// Delivery says whether a receiver was notified of an alert, and if not, why.
type Delivery struct {
	Receiver    string
	Integration string // empty where it is the same for all of the receiver
	GroupKey    string
	State       string
	Time        time.Time // when it was sent; when the group is flushed next; zero where nothing is to come
	By          []string  // ids of silences, fingerprints of inhibiting alerts, names of time intervals
}

// Deliveries returns what became of the alerts that fire, by the fingerprints of Alertmanager. now is the wall clock.
func (n *Notifier) Deliveries(ctx context.Context, now time.Time) (map[model.Fingerprint][]Delivery, error) {
	groups, _, err := n.groups(ctx, func(*dispatch.Route) bool { return true },
		func(a *alert.Alert, now time.Time) bool { return !a.ResolvedAt(now) })
	if err != nil {
		return nil, err
	}
	routes := map[string]*dispatch.Route{}
	dispatch.NewRoute(n.config.Load().Route, nil).Walk(func(r *dispatch.Route) { routes[r.ID()] = r })
	out := map[model.Fingerprint][]Delivery{}
	for _, g := range groups {
		for _, a := range g.Alerts {
			fp := a.Fingerprint()
			out[fp] = append(out[fp], n.deliveries(ctx, g, routes[g.RouteID], a, now)...)
		}
	}
	return out, nil
}

func (n *Notifier) deliveries(ctx context.Context, g *dispatch.AlertGroup, r *dispatch.Route, a *alert.Alert, now time.Time) []Delivery {
	d := Delivery{Receiver: g.Receiver, GroupKey: g.GroupKey}
	m := marker.NewAlertMarker()
	ctx = marker.WithContext(ctx, m)
	if n.inhibitor.Load().Mutes(ctx, a.Labels) {
		d.State, d.By = DeliveryInhibited, m.Status(a.Fingerprint()).InhibitedBy
		return []Delivery{d}
	}
	if n.silencer.Mutes(ctx, a.Labels) {
		d.State, d.By = DeliverySilenced, m.Status(a.Fingerprint()).SilencedBy
		return []Delivery{d}
	}
	if names, muted := n.marker.Muted(g.RouteID, g.GroupKey); muted {
		d.State, d.By = DeliveryMuted, names
		return []Delivery{d}
	}
	var wait, interval time.Duration
	if r != nil {
		wait, interval = r.RouteOpts.GroupWait, r.RouteOpts.GroupInterval
	}
	hash := hashOf(labels.FromMap(plain(a.Labels)))
	var out []Delivery
	for _, i := range n.integrations.Load().of[g.Receiver] {
		d := d
		d.Integration, d.State, d.Time = i.Name(), DeliveryGrouped, a.StartsAt.Add(wait)
		entries, err := n.log.Query(nflog.QGroupKey(g.GroupKey),
			nflog.QReceiver(&nflogpb.Receiver{GroupName: g.Receiver, Integration: i.Name(), Idx: uint32(i.Index())}))
		if err == nil && len(entries) == 1 {
			sent := entries[0].Timestamp.AsTime()
			if entries[0].IsFiringSubset(map[uint64]struct{}{hash: {}}) {
				d.State, d.Time = DeliverySent, sent
			} else {
				d.Time = nextFlush(sent, interval, now)
			}
		}
		out = append(out, d)
	}
	return out
}

func plain(l model.LabelSet) map[string]string {
	out := make(map[string]string, len(l))
	for name, v := range l {
		out[string(name)] = string(v)
	}
	return out
}

// nextFlush is the next of the flushes that follow one at sent.
func nextFlush(sent time.Time, interval time.Duration, now time.Time) time.Time {
	if interval <= 0 || !now.After(sent) {
		return sent
	}
	return sent.Add((now.Sub(sent)/interval + 1) * interval)
}
