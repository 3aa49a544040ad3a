package notify

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	apiv2 "github.com/prometheus/alertmanager/api/v2"
	"github.com/prometheus/alertmanager/cluster"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	commoncfg "github.com/prometheus/common/config"
	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
)

// Source is where alerts come from. *evaluator.Evaluator implements it.
type Source interface {
	Outbox() *alert.Outbox
	// Notified returns the alerts that fire as far as they were given to notify, as they are now.
	Notified() []alert.Alert
}

// Config is what New needs; KV and Alerts are required.
type Config struct {
	KV     storage.KV
	Alerts Source
	// Alertmanager is the configuration, see LoadConfig. nil: alerts can be seen and silenced, none is sent.
	Alertmanager *amconfig.Config
	ExternalURL  *url.URL      // for links in notifications
	Retention    time.Duration // of ended silences and the notification log (120 h)
	Logger       *slog.Logger
	// Registerer gets Alertmanager's metrics, alertmanager_*; it must not be shared with another Notifier.
	Registerer prometheus.Registerer
	// Cluster are other replicas that must not notify the same again; nil: there are none.
	Cluster *Cluster
	// ExternalLabels are added to every alert that does not have them, before it is routed and sent.
	ExternalLabels labels.Labels
	// Forward are Alertmanagers elsewhere that get the alerts too; nil: none.
	Forward *Forward
	// HTTP are options of the clients of receivers, such as how they connect.
	HTTP []commoncfg.HTTPClientOption
}

// Notifier is an embedded Alertmanager. Its methods may be called concurrently.
type Notifier struct {
	quiet    *slog.Logger // for what fails each second while it fails
	cfg      Config
	flags    featurecontrol.Flagger
	recorder eventrecorder.Recorder
	keeper   *keeper
	notices  notices
	failed   *prometheus.CounterVec // notifications that were not tried, or panicked
	alerts   *mem.Alerts
	silences *silence.Silences
	silencer *silence.Silencer
	log      *nflog.Log
	marker   marker.GroupMarker
	pipeline *amnotify.PipelineBuilder
	metrics  *dispatch.DispatcherMetrics
	api      *apiv2.API
	drain    drain
	forward  *forwarder
	gossip   *gossip // nil: no other replicas

	reload     sync.Mutex // one Reload at a time
	dispatcher atomic.Pointer[dispatch.Dispatcher]
	inhibitor  atomic.Pointer[inhibit.Inhibitor]
	config     atomic.Pointer[amconfig.Config]
	// integrations are set once the dispatcher runs.
	integrations atomic.Pointer[integrations]
}

// New restores silences, the notification log and every alert that is to be notified or has been, and starts dispatching. Run keeps
// it fed; Close ends it. now is the wall clock.
func New(ctx context.Context, c Config, now time.Time) (*Notifier, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	initCompat(c.Logger)
	n := &Notifier{cfg: c, flags: featurecontrol.NoopFlags{}, recorder: eventrecorder.NopRecorder(), marker: marker.NewGroupMarker()}
	f := promauto.With(c.Registerer)
	n.failed = f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_notifications_failed_here_total",
		Help: "Notifications that failed before they were sent, by reason: template (beyond a bound), panic."}, []string{"reason"})
	for _, reason := range []string{"template", "panic"} {
		n.failed.WithLabelValues(reason)
	}
	n.quiet = slog.New(rules.NewQuiet(c.Logger.Handler()))
	n.keeper = newKeeper(c.KV, n.quiet, f.NewCounter(prometheus.CounterOpts{
		Name: "watchingcat_notify_write_failures_total", Help: "Failed writes of silences and the notification log."}))
	if err := n.notices.load(n.keeper); err != nil {
		return nil, err
	}
	notified, err := n.restoreAndJoin()
	if err != nil {
		return nil, err
	}
	n.silencer = silence.NewSilencer(n.silences, c.Logger, n.recorder)
	n.alerts, err = mem.NewAlerts(ctx, 30*time.Minute, 0, n.silencer, c.Logger, n.recorder, c.Registerer, n.flags)
	if err != nil {
		return nil, err
	}
	n.pipeline = amnotify.NewPipelineBuilder(c.Registerer, n.flags, n.recorder)
	n.metrics = dispatch.NewDispatcherMetrics(false, c.Registerer, n.flags)
	var peers cluster.ClusterPeer // an interface with nothing in it where there are none
	if n.gossip != nil {
		peers = n.gossip
	}
	n.api, err = apiv2.NewAPI(n.alerts, n.groups, n.marker.Muted, n.silences, peers, c.Logger, c.Registerer)
	if err != nil {
		return nil, err
	}
	n.config.Store(c.Alertmanager)
	p, err := n.prepare(c.Alertmanager)
	if err != nil {
		return nil, err
	}
	n.integrations.Store(p.built) // what was suppressed before the start depends on them
	if n.forward, err = n.newForwarder(c.Forward, c.Registerer); err != nil {
		return nil, err
	}
	if err := n.recover(ctx, notified, now); err != nil {
		n.forward.close()
		return nil, err
	}
	n.reload.Lock()
	defer n.reload.Unlock()
	n.install(p)
	return n, nil
}

func (c Config) withDefaults() (Config, error) {
	c.Retention, c.ExternalURL = cmp.Or(c.Retention, 120*time.Hour), cmp.Or(c.ExternalURL, &url.URL{Scheme: "http", Host: "localhost"})
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Registerer == nil {
		c.Registerer = prometheus.NewRegistry()
	}
	var err error
	if c.Alertmanager == nil {
		c.Alertmanager, err = ParseConfig("route: {receiver: none}\nreceivers: [{name: none}]\n")
	}
	return c, err
}

// restoreAndJoin loads the notification log and, in a cluster, joins the others and takes what they know.
func (n *Notifier) restoreAndJoin() (notified logState, err error) {
	if notified, err = n.restore(); err != nil {
		return notified, err
	}
	if err := n.join(); err != nil {
		return notified, err
	}
	if n.gossip == nil {
		return notified, nil
	}
	log, err := n.log.MarshalBinary()
	if err != nil {
		return notified, fmt.Errorf("notify: notification log: %w", err)
	}
	return readLog(log)
}

// restore loads what the keeper has kept.
func (n *Notifier) restore() (notified logState, err error) {
	log, err := n.keeper.snapshot(kindLog)
	if err != nil {
		return notified, err
	}
	if notified, err = readLog(log); err != nil {
		return notified, err
	}
	n.log, err = nflog.New(nflog.Options{SnapshotReader: bytes.NewReader(log), Retention: n.cfg.Retention, Logger: n.cfg.Logger,
		Metrics: n.cfg.Registerer})
	if err != nil {
		return notified, fmt.Errorf("notify: notification log: %w", err)
	}
	n.log.SetBroadcast(n.keeper.logged)
	silences, err := n.keeper.snapshot(kindSilence)
	if err != nil {
		return notified, err
	}
	n.silences, err = silence.New(silence.Options{SnapshotReader: bytes.NewReader(silences), Retention: n.cfg.Retention,
		Logger: n.cfg.Logger, Metrics: n.cfg.Registerer, EventRecorder: n.recorder})
	if err != nil {
		return notified, fmt.Errorf("notify: silences: %w", err)
	}
	n.silences.SetBroadcast(n.keeper.silenced)
	return notified, nil
}

// Run puts what the evaluator has decided until ctx ends. It is the loop with the clock.
func (n *Notifier) Run(ctx context.Context) error {
	changed, stop := n.cfg.Alerts.Outbox().Changed.Subscribe()
	defer stop()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	maintain := time.NewTicker(15 * time.Minute)
	defer maintain.Stop()
	for {
		now := time.Now()
		if err := n.step(ctx, now); err != nil && ctx.Err() == nil {
			n.quiet.Error("handing over alerts failed, will be tried again", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changed:
		case <-tick.C:
			n.keeper.retry()
		case <-maintain.C:
			n.maintain(now)
		}
	}
}

func (n *Notifier) maintain(now time.Time) {
	_, errLog := n.log.GC()
	_, errSilences := n.silences.GC()
	if err := cmp.Or(errLog, errSilences, n.keeper.forget(now)); err != nil {
		n.cfg.Logger.Warn("forgetting expired notification state failed", "err", err)
	}
}

// Close stops dispatching. Notifications under way are broken off; they are sent again after the next start.
func (n *Notifier) Close() {
	n.reload.Lock()
	defer n.reload.Unlock()
	if i := n.inhibitor.Load(); i != nil {
		i.Stop()
	}
	if d := n.dispatcher.Load(); d != nil {
		d.Stop()
	}
	n.alerts.Close()
	n.forward.close()
	if err := n.gossip.leave(); err != nil {
		n.cfg.Logger.Warn("leaving the other replicas failed; they find out by themselves", "err", err)
	}
}

// API serves Alertmanager's /api/v2/*.
func (n *Notifier) API() http.Handler { return n.api.Handler }

// Notices returns up to limit attempts to notify a receiver since the process began, newest first; 0 means all that are kept.
func (n *Notifier) Notices(limit int) []Notice { return n.notices.newest(limit) }

// Alertmanager is the configuration in force.
func (n *Notifier) Alertmanager() *amconfig.Config { return n.config.Load() }
