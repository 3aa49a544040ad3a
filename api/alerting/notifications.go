package alerting

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/notify"
	"github.com/gaurav/watchingcat/storage"
)

// Notifications is what the API needs of notifications beside Alertmanager's API. *notify.Notifier implements it.
type Notifications interface {
	Notices(limit int) []notify.Notice
	Deliveries(ctx context.Context, now time.Time) (map[model.Fingerprint][]notify.Delivery, error)
	Receivers() []notify.Receiver
	TestReceiver(ctx context.Context, name string, now time.Time) ([]notify.Notice, error)
	// Sent are the labels of an alert as it is routed and sent.
	Sent(l labels.Labels) labels.Labels
	Alertmanagers() []notify.AlertmanagerState
	Simulate(changes []notify.AlertChange, end time.Time) ([]notify.SimulatedNotice, error)
}

var _ Notifications = (*notify.Notifier)(nil)

// testTimeout bounds a test of a receiver.
const testTimeout = 20 * time.Second

// deliveries are what became of the alerts that fire, by fingerprint.
func (s *Alerts) deliveries(ctx context.Context) (map[string][]notify.Delivery, error) {
	out := map[string][]notify.Delivery{}
	if s.Notifications == nil {
		return out, nil
	}
	all, err := s.Notifications.Deliveries(ctx, s.Now())
	for fp, list := range all {
		out[fp.String()] = list
	}
	return out, err
}

func deliveriesOf(list []notify.Delivery) []rest.Delivery {
	out := []rest.Delivery{}
	for _, d := range list {
		out = append(out, rest.Delivery{Receiver: d.Receiver, Integration: d.Integration, State: rest.DeliveryState(d.State),
			Time: answer.TimeOrNil(d.Time), By: append([]string{}, d.By...)})
	}
	return out
}

func notification(n *notify.Notice) rest.Notification {
	return rest.Notification{Time: n.Time.UTC(), DurationMs: answer.Millis(n.Duration), Receiver: n.Receiver, Integration: n.Integration,
		GroupKey: n.GroupKey, Reason: n.Reason, Attempt: max(1, n.Attempt), Firing: labelSets(n.Firing), Resolved: labelSets(n.Resolved),
		Error: answer.TextOrNil(n.Error), Retry: n.Retry}
}

// ListNotifications implements rest.StrictServerInterface.
func (s *Alerts) ListNotifications(ctx context.Context,
	q rest.ListNotificationsRequestObject) (rest.ListNotificationsResponseObject, error) {
	m, p := s.Moment(ctx), q.Params
	within, err := historyRange(p.Start, p.End)
	if err != nil {
		return nil, err
	}
	all := []rest.Notification{}
	if s.Notifications != nil {
		for _, n := range s.Notifications.Notices(0) {
			if within(n.Time) && (p.Receiver == nil || *p.Receiver == n.Receiver) {
				all = append(all, notification(&n))
			}
		}
	}
	list, next, err := answer.Page(all, answer.LimitOf(p.Limit), p.Next, func(n rest.Notification) string {
		return fmt.Sprintf("%020d %s %s %s %d", uint64(1<<63)-uint64(n.Time.UnixNano()), n.Receiver, n.Integration, n.GroupKey, n.Attempt)
	})
	if err != nil {
		return nil, err
	}
	return rest.ListNotifications200JSONResponse{Notifications: list, Total: len(list), Next: next, Meta: s.Meta(m, answer.Range{})}, nil
}

// ListReceivers implements rest.StrictServerInterface.
func (s *Alerts) ListReceivers(context.Context, rest.ListReceiversRequestObject) (rest.ListReceiversResponseObject, error) {
	out := rest.ListReceivers200JSONResponse{Receivers: []rest.Receiver{}, Alertmanagers: []rest.Alertmanager{}}
	if s.Notifications == nil {
		return out, nil
	}
	for _, r := range s.Notifications.Receivers() {
		x := rest.Receiver{Name: r.Name, Used: r.Used, Integrations: []rest.ReceiverIntegration{}}
		for _, i := range r.Integrations {
			y := rest.ReceiverIntegration{Name: i.Name, SendResolved: i.SendResolved}
			if i.Last != nil {
				n := notification(i.Last)
				y.Last = &n
			}
			x.Integrations = append(x.Integrations, y)
		}
		out.Receivers = append(out.Receivers, x)
	}
	for _, a := range s.Notifications.Alertmanagers() {
		x := rest.Alertmanager{Url: a.URL, State: rest.AlertmanagerStateUnknown, LastSuccess: answer.TimeOrNil(a.LastSuccess),
			LastFailure: answer.TimeOrNil(a.LastFailure), Error: answer.TextOrNil(a.LastError), Sent: int64(a.Sent),
			Dropped: int64(a.Dropped),
			Pending: int64(a.Pending)}
		switch {
		case a.Fails():
			x.State = rest.AlertmanagerStateFailing
		case !a.LastSuccess.IsZero():
			x.State = rest.AlertmanagerStateAccepting
		}
		out.Alertmanagers = append(out.Alertmanagers, x)
	}
	return out, nil
}

// TestReceiver implements rest.StrictServerInterface.
func (s *Alerts) TestReceiver(ctx context.Context, q rest.TestReceiverRequestObject) (rest.TestReceiverResponseObject, error) {
	if s.Notifications == nil {
		return nil, answer.Problemf(answer.ErrNotFound, "", "there is no receiver %q", q.Name)
	}
	ctx, cancel := context.WithTimeout(ctx, testTimeout)
	defer cancel()
	list, err := s.Notifications.TestReceiver(ctx, q.Name, s.Now())
	if errors.Is(err, notify.ErrNoReceiver) {
		return nil, answer.Advise(answer.Problemf(answer.ErrNotFound, "", "there is no receiver %q", q.Name),
			"GET /api/v1/receivers lists them.")
	}
	s.Audit(ctx, "test", storage.KindReceiver, q.Name)
	out := rest.TestReceiver200JSONResponse{Results: []rest.Notification{}}
	for i := range list {
		out.Results = append(out.Results, notification(&list[i]))
	}
	return out, err
}
