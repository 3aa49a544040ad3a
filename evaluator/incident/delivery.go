package incident

import (
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/labels"
)

// Delivery is one attempt to notify a receiver of alerts of an incident. Time is by the wall clock.
type Delivery struct {
	Time        time.Time `json:"time"`
	Receiver    string    `json:"receiver"`
	Integration string    `json:"integration"` // webhook, slack, ...
	Reason      string    `json:"reason"`      // why it was sent then, in Alertmanager's words
	DurationMs  float64   `json:"duration_ms"`
	Error       string    `json:"error"`    // "" accepted
	Resolved    bool      `json:"resolved"` // all of its alerts had resolved
	// Alerts are the labels of the alerts in it, as they were sent.
	Alerts []labels.Labels `json:"-"`
}

const (
	maxDeliveries = 100
	// deliverWithin is how long after an incident resolved deliveries are looked for: receivers learn that alerts resolved later.
	deliverWithin = 15 * time.Minute
)

// Deliver adds attempts to notify to the incidents whose alerts they were about: to open ones and those that resolved lately. Those that
// it knows already change nothing. sent is with which labels an alert is sent.
func (t *Tx) Deliver(list []Delivery, sent func(labels.Labels) labels.Labels) {
	if len(list) == 0 {
		return
	}
	for _, i := range t.lately(list[0].Time) {
		known := map[uint64]bool{}
		for k := range i.Members {
			known[sent(i.Members[k].Labels).Hash()] = true
		}
		for _, d := range list {
			about := slices.ContainsFunc(d.Alerts, func(l labels.Labels) bool { return known[l.Hash()] })
			if about && !i.delivered(&d) && !d.Time.Before(i.FiredAt.Add(-deliverWithin)) {
				i = t.edit(i)
				i.deliver(d)
			}
		}
	}
}

// lately are the incidents that are open, or resolved not long before a moment. One that cannot be read is left out.
func (t *Tx) lately(at time.Time) (out []*Incident) {
	for n := range t.b.headers {
		h := &t.b.headers[n]
		switch i := t.b.open[h.ID]; {
		case i != nil:
			out = append(out, i)
		case at.Sub(h.ResolvedAt) <= deliverWithin:
			if i, err := t.b.read(h.ID); err == nil {
				out = append(out, i)
			}
		}
	}
	return out
}

// delivered reports whether an attempt is known, or was and has been dropped.
func (i *Incident) delivered(d *Delivery) bool {
	if len(i.Deliveries) >= maxDeliveries && d.Time.Before(i.Deliveries[1].Time) {
		return true
	}
	return slices.ContainsFunc(i.Deliveries, func(o Delivery) bool {
		return o.Time.Equal(d.Time) && o.Receiver == d.Receiver && o.Integration == d.Integration
	})
}

func (i *Incident) deliver(d Delivery) {
	at := len(i.Deliveries)
	for at > 0 && i.Deliveries[at-1].Time.After(d.Time) {
		at--
	}
	i.Deliveries = slices.Insert(i.Deliveries, at, d)
	if n := len(i.Deliveries) - maxDeliveries; n > 0 {
		// The first one says when a receiver was notified first.
		i.Deliveries = slices.Delete(i.Deliveries, 1, 1+n)
		i.Dropped += n
	}
}
