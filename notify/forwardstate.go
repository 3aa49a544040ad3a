package notify

import (
	"maps"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

// AlertmanagerState is how it went to send alerts to an Alertmanager.
type AlertmanagerState struct {
	URL         string
	LastSuccess time.Time
	LastFailure time.Time
	LastError   string // of the last failure
	// Sent are alerts that it accepted, again and again while they fire. Dropped were not accepted, or did not fit the queue; Pending wait
	// in it.
	Sent, Dropped, Pending uint64
}

// Fails says whether the last request was not accepted.
func (s *AlertmanagerState) Fails() bool { return s.LastFailure.After(s.LastSuccess) }

// Sent are the labels of an alert as it is routed and sent: with the external labels that it does not have itself.
func (n *Notifier) Sent(l labels.Labels) labels.Labels {
	if n.cfg.ExternalLabels.IsEmpty() {
		return l
	}
	b := labels.NewBuilder(l)
	n.cfg.ExternalLabels.Range(func(x labels.Label) {
		if l.Get(x.Name) == "" {
			b.Set(x.Name, x.Value)
		}
	})
	return b.Labels()
}

// firing are the alerts that fire as far as the evaluator has decided, as they are sent.
func (n *Notifier) firing() []alert.Alert {
	list := n.cfg.Alerts.Notified()
	for i := range list {
		list[i].Labels = n.Sent(list[i].Labels)
	}
	return list
}

// pending is what the outbox holds, as it is sent.
func (n *Notifier) pending() ([]alert.OutboxEntry, error) {
	entries, err := n.cfg.Alerts.Outbox().Pending()
	for _, e := range entries {
		for i := range e.Alerts {
			e.Alerts[i].Labels = n.Sent(e.Alerts[i].Labels)
		}
	}
	return entries, err
}

// Alertmanagers are the external Alertmanagers that alerts are sent to, by URL; empty where there are none.
func (n *Notifier) Alertmanagers() []AlertmanagerState {
	f := n.forward
	if f == nil {
		return nil
	}
	counts := f.count()
	f.mu.Lock()
	defer f.mu.Unlock()
	out := map[string]AlertmanagerState{}
	for _, u := range f.manager.Alertmanagers() {
		s := AlertmanagerState{URL: u.Redacted()}
		if known := f.state[s.URL]; known != nil {
			s = *known
		}
		c := counts[u.String()]
		s.Sent, s.Dropped, s.Pending = c["prometheus_notifications_sent_total"], c["prometheus_notifications_dropped_total"],
			c["prometheus_notifications_queue_length"]
		out[s.URL] = s
	}
	var list []AlertmanagerState
	for _, to := range slices.Sorted(maps.Keys(out)) {
		list = append(list, out[to])
	}
	return list
}

// count is what the manager has counted, by URL and name of the metric.
func (f *forwarder) count() map[string]map[string]uint64 {
	out := map[string]map[string]uint64{}
	families, err := f.counts.Gather()
	if err != nil {
		f.n.cfg.Logger.Warn("counts of the Alertmanagers elsewhere", "err", err)
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if len(m.GetLabel()) != 1 || m.GetCounter() == nil && m.GetGauge() == nil {
				continue
			}
			to := m.GetLabel()[0].GetValue()
			if out[to] == nil {
				out[to] = map[string]uint64{}
			}
			out[to][family.GetName()] = uint64(m.GetCounter().GetValue() + m.GetGauge().GetValue())
		}
	}
	return out
}
