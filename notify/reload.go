package notify

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/config/receiver"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/inhibit"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/common/model"
)

// Reload puts another configuration into force. All that can fail is done before anything is changed.
func (n *Notifier) Reload(am *amconfig.Config) error {
	n.reload.Lock()
	defer n.reload.Unlock()
	tmpl, err := template.FromGlobs(am.Templates)
	if err != nil {
		return fmt.Errorf("notify: templates: %w", err)
	}
	tmpl.ExternalURL = n.cfg.ExternalURL
	routes := dispatch.NewRoute(am.Route, nil)
	receivers, err := n.receivers(am, routes, tmpl)
	if err != nil {
		return err
	}
	if old := n.inhibitor.Load(); old != nil {
		old.Stop()
	}
	if old := n.dispatcher.Load(); old != nil {
		old.Stop()
	}
	inhibitor := inhibit.NewInhibitor(n.alerts, am.InhibitRules, n.cfg.Logger, n.recorder)
	noWait := func() time.Duration { return 0 }
	pipeline := n.pipeline.New(receivers, noWait, inhibitor, n.silencer, timeinterval.NewIntervener(intervalsOf(am)), n.marker, n.log, nil)
	n.api.Update(am, func(ctx context.Context, l model.LabelSet) {
		n.inhibitor.Load().Mutes(ctx, l)
		n.silencer.Mutes(ctx, l)
	})
	d := dispatch.NewDispatcher(n.alerts, routes, pipeline, n.marker, sendTimeout, 30*time.Second, nil, n.cfg.Logger, n.recorder, n.metrics, tmpl)
	// The inhibitor knows all alerts before the dispatcher runs, or what is inhibited would be sent.
	go inhibitor.Run()
	inhibitor.WaitForLoading()
	n.inhibitor.Store(inhibitor)
	go d.Run(time.Now())
	d.WaitForLoading()
	n.dispatcher.Store(d)
	n.config.Store(am)
	return nil
}

// sendTimeout bounds one flush: until the group's next, but at least Alertmanager's minimum.
func sendTimeout(interval time.Duration) time.Duration { return max(interval, amnotify.MinTimeout) }

// receivers builds the integrations of every receiver that a route uses.
func (n *Notifier) receivers(am *amconfig.Config, routes *dispatch.Route, tmpl *template.Template) (map[string][]amnotify.Integration, error) {
	used := map[string]bool{}
	routes.Walk(func(r *dispatch.Route) { used[r.RouteOpts.Receiver] = true })
	out := map[string][]amnotify.Integration{}
	for _, rc := range am.Receivers {
		if !used[rc.Name] {
			continue
		}
		list, err := receiver.BuildReceiverIntegrations(rc, tmpl, n.cfg.Logger)
		if err != nil {
			return nil, fmt.Errorf("notify: receiver %q: %w", rc.Name, err)
		}
		for i := range list {
			list[i] = n.notices.note(list[i], rc.Name)
		}
		out[rc.Name] = list
	}
	return out, nil
}

// groups are those of the running dispatcher.
func (n *Notifier) groups(ctx context.Context, routes func(*dispatch.Route) bool, alerts func(*alert.Alert, time.Time) bool) (dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
	return n.dispatcher.Load().Groups(ctx, routes, alerts)
}
