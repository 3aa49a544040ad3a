package notify

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"
)

// Notice is one attempt to tell a receiver.
type Notice struct {
	Time        time.Time        `json:"time"`
	Duration    time.Duration    `json:"duration_ns"`
	Receiver    string           `json:"receiver"`
	Integration string           `json:"integration"` // webhook, slack, …
	GroupKey    string           `json:"group_key"`
	Reason      string           `json:"reason"` // why it was sent now, in Alertmanager's words
	Firing      []model.LabelSet `json:"firing"`
	Resolved    []model.LabelSet `json:"resolved"`
	Error       string           `json:"error"` // empty: accepted
	Retry       bool             `json:"retry"` // it will be tried again
}

const maxNotices = 2000

// notices keeps the latest attempts in memory.
type notices struct {
	mu   sync.Mutex
	list []Notice
}

func (n *notices) add(x Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) >= maxNotices {
		n.list = slices.Clone(n.list[maxNotices/10:])
	}
	n.list = append(n.list, x)
}

// newest returns up to limit attempts, newest first; 0 means all.
func (n *notices) newest(limit int) []Notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	if limit <= 0 || limit > len(n.list) {
		limit = len(n.list)
	}
	out := slices.Clone(n.list[len(n.list)-limit:])
	slices.Reverse(out)
	return out
}

// noted is an integration whose attempts are noted.
type noted struct {
	amnotify.Integration
	receiver string
	notices  *notices
}

// note wraps an integration.
func (n *notices) note(i amnotify.Integration, receiver string) amnotify.Integration {
	return amnotify.NewIntegration(&noted{i, receiver, n}, &i, i.Name(), i.Index(), receiver)
}

// Notify implements Alertmanager's Notifier.
func (n *noted) Notify(ctx context.Context, alerts ...*alert.Alert) (bool, error) {
	x := Notice{Time: time.Now(), Receiver: n.receiver, Integration: n.Name(), Firing: []model.LabelSet{}, Resolved: []model.LabelSet{}}
	x.GroupKey, _ = amnotify.GroupKey(ctx)
	if reason, ok := amnotify.NotificationReason(ctx); ok {
		x.Reason = reason.String()
	}
	for _, a := range alerts {
		if a.Resolved() {
			x.Resolved = append(x.Resolved, a.Labels)
		} else {
			x.Firing = append(x.Firing, a.Labels)
		}
	}
	retry, err := n.Integration.Notify(ctx, alerts...)
	x.Duration, x.Retry = time.Since(x.Time), retry && err != nil
	if err != nil {
		x.Error = err.Error()
	}
	n.notices.add(x)
	return retry, err
}
