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
	p, err := n.prepare(am)
	if err != nil {
		return err
	}
	n.install(p)
	return nil
}

// prepared is what a configuration needs.
type prepared struct {
	am     *amconfig.Config
	built  *integrations
	routes *dispatch.Route
	tmpl   *template.Template
}

// install puts what was prepared into force.
func (n *Notifier) install(p *prepared) {
	am, built, routes, tmpl := p.am, p.built, p.routes, p.tmpl
	if old := n.inhibitor.Load(); old != nil {
		old.Stop()
	}
	if old := n.dispatcher.Load(); old != nil {
		old.Stop()
	}
	inhibitor := inhibit.NewInhibitor(n.alerts, am.InhibitRules, n.cfg.Logger, n.recorder)
	pipeline := n.pipeline.New(built.noted(&n.notices), n.gossip.wait, inhibitor, n.silencer, timeinterval.NewIntervener(intervalsOf(am)),
		n.marker, n.log, n.gossip.peer())
	n.api.Update(am, func(ctx context.Context, l model.LabelSet) {
		n.inhibitor.Load().Mutes(ctx, l)
		n.silencer.Mutes(ctx, l)
	})
	d := dispatch.NewDispatcher(n.alerts, routes, pipeline, n.marker, n.gossip.sendTimeout, 30*time.Second, nil, n.cfg.Logger, n.recorder,
		n.metrics, tmpl)
	// The inhibitor knows all alerts before the dispatcher runs, or what is inhibited would be sent.
	go inhibitor.Run()
	inhibitor.WaitForLoading()
	n.inhibitor.Store(inhibitor)
	go d.Run(time.Now())
	d.WaitForLoading()
	n.dispatcher.Store(d)
	n.config.Store(am)
	n.integrations.Store(built)
}

// sendTimeout bounds one flush: until the group's next, but at least Alertmanager's minimum, and what others are waited for.
func (g *gossip) sendTimeout(interval time.Duration) time.Duration {
	return max(interval, amnotify.MinTimeout) + g.wait()
}

// prepare makes what a configuration needs.
func (n *Notifier) prepare(am *amconfig.Config) (*prepared, error) {
	tmpl, err := template.FromGlobs(am.Templates)
	if err != nil {
		return nil, fmt.Errorf("notify: templates: %w", err)
	}
	d, err := newDrafts(am.Templates, n.cfg.ExternalURL)
	if err != nil {
		return nil, fmt.Errorf("notify: templates: %w", err)
	}
	tmpl.ExternalURL = n.cfg.ExternalURL
	routes := dispatch.NewRoute(am.Route, nil)
	built, err := n.build(am, routes, tmpl, d)
	return &prepared{am, built, routes, tmpl}, err
}

// build makes the integrations of every receiver.
func (n *Notifier) build(am *amconfig.Config, routes *dispatch.Route, tmpl *template.Template, d *drafts) (*integrations, error) {
	out := &integrations{of: map[string][]amnotify.Integration{}, used: map[string]bool{}}
	routes.Walk(func(r *dispatch.Route) { out.used[r.RouteOpts.Receiver] = true })
	for _, rc := range am.Receivers {
		list, err := receiver.BuildReceiverIntegrations(rc, tmpl, n.cfg.Logger, n.cfg.HTTP...)
		if err != nil {
			return nil, fmt.Errorf("notify: receiver %q: %w", rc.Name, err)
		}
		out.of[rc.Name] = d.safely(rc, list, n.failed, n.cfg.Logger)
	}
	return out, nil
}

// noted are the integrations of the receivers that routes lead to, with their notifications noted.
func (i *integrations) noted(n *notices) map[string][]amnotify.Integration {
	out := map[string][]amnotify.Integration{}
	for name, list := range i.of {
		if !i.used[name] {
			continue
		}
		out[name] = make([]amnotify.Integration, len(list))
		for k := range list {
			out[name][k] = n.note(list[k], name)
		}
	}
	return out
}

// groups are those of the running dispatcher.
func (n *Notifier) groups(ctx context.Context, routes func(*dispatch.Route) bool,
	alerts func(*alert.Alert, time.Time) bool) (dispatch.AlertGroups, map[model.Fingerprint][]string, error) {
	return n.dispatcher.Load().Groups(ctx, routes, alerts)
}
