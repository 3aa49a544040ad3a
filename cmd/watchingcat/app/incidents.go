package app

import (
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/evaluator/incident"
)

// recentNotices is how many of the newest attempts to notify are looked at for incidents.
const recentNotices = 500

// deliveries are the newest attempts to notify, as incidents keep them, the newest first.
func (a *App) deliveries() (out []incident.Delivery) {
	for _, n := range a.notifier.Notices(recentNotices) {
		d := incident.Delivery{Time: n.Time.UTC(), Receiver: n.Receiver, Integration: n.Integration, Reason: n.Reason,
			DurationMs: float64(n.Duration.Microseconds()) / 1e3, Error: n.Error, Resolved: len(n.Firing) == 0}
		for _, list := range [][]model.LabelSet{n.Firing, n.Resolved} {
			for _, set := range list {
				b := labels.NewScratchBuilder(len(set))
				for name, value := range set {
					b.Add(string(name), string(value))
				}
				b.Sort()
				d.Alerts = append(d.Alerts, b.Labels())
			}
		}
		out = append(out, d)
	}
	return out
}
