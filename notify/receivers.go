package notify

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"
)

// Receiver is one receiver of the configuration.
type Receiver struct {
	Name         string
	Used         bool // a route leads to it
	Integrations []ReceiverIntegration
}

// ReceiverIntegration is one way in which a receiver is notified.
type ReceiverIntegration struct {
	Name         string // webhook, slack, …
	SendResolved bool
	Last         *Notice // the newest attempt, as far as notices are kept
}

// ErrNoReceiver is returned for a receiver that the configuration does not have.
var ErrNoReceiver = errors.New("there is no such receiver")

// Receivers returns the receivers, ordered by name.
func (n *Notifier) Receivers() []Receiver {
	all := n.integrations.Load()
	last := map[string]*Notice{}
	for _, x := range n.notices.newest(0) {
		if key := x.Receiver + "\xff" + x.Integration; last[key] == nil {
			last[key] = &x
		}
	}
	out := []Receiver{}
	for name, list := range all.of {
		r := Receiver{Name: name, Used: all.used[name], Integrations: []ReceiverIntegration{}}
		for _, i := range list {
			r.Integrations = append(r.Integrations, ReceiverIntegration{i.Name(), i.SendResolved(), last[name+"\xff"+i.Name()]})
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Receiver) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// TestReceiver sends a made-up alert to every integration of a receiver, past routes, groups and silences, and returns the notices.
// ctx bounds how long it waits. now is the wall clock.
func (n *Notifier) TestReceiver(ctx context.Context, name string, now time.Time) ([]Notice, error) {
	list, ok := n.integrations.Load().of[name]
	if !ok {
		return nil, ErrNoReceiver
	}
	labels := model.LabelSet{"alertname": "WatchingCatTest", "severity": "none", "receiver": model.LabelValue(name)}
	a := &alert.Alert{Alert: model.Alert{Labels: labels, StartsAt: now, GeneratorURL: n.cfg.ExternalURL.String(),
		Annotations: model.LabelSet{
			"summary": "A test from WatchingCat", "description": "A user sent this notification to see whether it arrives. Nothing is wrong."}},
		UpdatedAt: now}
	ctx = amnotify.WithGroupKey(ctx, fmt.Sprintf("test:%d", now.UnixNano()))
	ctx = amnotify.WithGroupLabels(ctx, model.LabelSet{"alertname": labels["alertname"]})
	ctx = amnotify.WithReceiverName(ctx, name)
	ctx = amnotify.WithNow(ctx, now)
	ctx = amnotify.WithNotificationReason(ctx, amnotify.ReasonFirstNotification)
	out := []Notice{}
	for _, i := range list {
		x := Notice{Time: now, Receiver: name, Integration: i.Name(), Reason: "test", Attempt: 1, Firing: []model.LabelSet{labels},
			Resolved: []model.LabelSet{}}
		begun := time.Now()
		retry, err := i.Notify(ctx, a)
		if x.Duration = time.Since(begun); err != nil {
			x.Error, x.Retry = err.Error(), retry
		}
		out = append(out, x)
	}
	return out, nil
}
