package notify

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/notifier"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/storage"
)

// Alerts sent to Alertmanagers elsewhere, as Prometheus sends them.
//
// The simple version: which alerts the Alertmanagers hold as firing, and which have resolved within the last 15 min, is written to the
// store before anything is sent. All of them are sent again every minute, so whatever was lost on the way, or with the process, comes with
// the next minute; a firing alert ends by itself in 4 min when nothing comes any more. Prometheus' own notifier sends.

const (
	resendEvery    = time.Minute
	resendFailed   = 10 * time.Second // after an Alertmanager did not accept something
	firingEnds     = 4 * resendEvery
	resolvedResent = 15 * time.Minute
	// forwardQueue is how many alerts wait for one Alertmanager.
	forwardQueue = 50_000
	// maxResolved is how many resolved alerts are sent again; more are sent once.
	maxResolved = 50_000
)

// forwarded is an alert as the Alertmanagers know it: the value of a kindForwarded entry as JSON.
type forwarded struct {
	Alert alert.Alert `json:"alert"`
	// At is when it was noticed that it has resolved, by the wall clock; zero while it fires.
	At time.Time `json:"resolved_noticed_at,omitzero"`
}

// forwarder sends alerts to Alertmanagers elsewhere. nil: there are none. Its methods but states belong to the goroutine of Run.
type forwarder struct {
	n       *Notifier
	manager *notifier.Manager
	counts  *prometheus.Registry // of the manager
	cut     prometheus.Counter
	alerts  map[uint64]*forwarded
	due     []alert.Alert // not handed to the manager yet
	resent  time.Time
	ended   chan struct{}
	targets chan map[string][]*targetgroup.Group

	mu    sync.Mutex
	conf  *Forward // in force
	state map[string]*AlertmanagerState
	fails int // requests that were not accepted since alerts were sent again
}

func (n *Notifier) newForwarder(c *Forward, reg prometheus.Registerer) (*forwarder, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // there are no Alertmanagers
	}
	f := &forwarder{n: n, alerts: map[uint64]*forwarded{}, state: map[string]*AlertmanagerState{}, ended: make(chan struct{})}
	f.cut = promauto.With(reg).NewCounter(prometheus.CounterOpts{Name: "watchingcat_alertmanager_resolved_not_resent_total",
		Help: "Resolved alerts that are sent to Alertmanagers once instead of for 15 min, because there are too many."})
	f.counts = prometheus.NewRegistry()
	f.manager = notifier.NewManager(&notifier.Options{QueueCapacity: forwardQueue, Registerer: f.counts, Do: f.do}, model.UTF8Validation,
		n.cfg.Logger)
	if reg != nil { // now that it has something to describe
		if err := reg.Register(f.counts); err != nil {
			return nil, fmt.Errorf("notify: alertmanagers: %w", err)
		}
	}
	f.targets = make(chan map[string][]*targetgroup.Group, 1)
	if err := f.apply(c); err != nil {
		return nil, err
	}
	if err := f.load(); err != nil {
		return nil, err
	}
	go func() {
		defer close(f.ended)
		f.manager.Run(f.targets)
	}()
	return f, nil
}

// apply makes c what is in force.
func (f *forwarder) apply(c *Forward) error {
	conf := promconfig.DefaultConfig
	conf.AlertingConfig = c.Alerting
	if err := f.manager.ApplyConfig(&conf); err != nil {
		return fmt.Errorf("notify: alertmanagers: %w", err)
	}
	groups := map[string][]*targetgroup.Group{}
	for key, am := range c.Alerting.AlertmanagerConfigs.ToMap() {
		for _, d := range am.ServiceDiscoveryConfigs {
			if s, ok := d.(discovery.StaticConfig); ok {
				groups[key] = append(groups[key], s...)
			}
		}
	}
	f.mu.Lock()
	f.conf = c
	clear(f.state) // of those that are there
	f.mu.Unlock()
	select {
	case <-f.targets: // not taken yet
	default:
	}
	f.targets <- groups
	return nil
}

// ReloadForward makes c what is in force of the Alertmanagers elsewhere. Only one reload is under way at a time.
func (n *Notifier) ReloadForward(c *Forward) error {
	switch {
	case n.forward == nil && c == nil:
		return nil
	case n.forward == nil:
		return errors.New("notify: there were no Alertmanagers to send alerts to at the start: restart the process")
	case c == nil:
		c = &Forward{}
	}
	return n.forward.apply(c)
}

func forwardedKey(hash uint64) []byte {
	return storage.Key(0, 0, storage.TableNotify, binary.BigEndian.AppendUint64([]byte{kindForwarded}, hash)...)
}

func (f *forwarder) load() error {
	prefix := storage.Key(0, 0, storage.TableNotify, kindForwarded)
	return f.n.cfg.KV.Scan(prefix, storage.PrefixEnd(prefix), func(key, value []byte) error {
		x := &forwarded{}
		if err := json.Unmarshal(value, x); err != nil || len(key) != len(prefix)+8 {
			return fmt.Errorf("notify: forwarded alert %x: %w", key, err)
		}
		f.alerts[binary.BigEndian.Uint64(key[len(prefix):])] = x
		return nil
	})
}

// recover finds at a start what the Alertmanagers have to learn: what fires, and what resolved since.
func (f *forwarder) recover(entries []alert.OutboxEntry, now time.Time) error {
	if f == nil {
		return nil
	}
	firing := map[uint64]bool{}
	changed := map[uint64]*forwarded{}
	for _, a := range f.n.firing() {
		a.State = alert.StateFiring
		firing[hashOf(a.Labels)] = true
		changed[hashOf(a.Labels)] = &forwarded{Alert: a}
	}
	for _, e := range entries {
		for _, a := range e.Alerts {
			h := hashOf(a.Labels)
			if known := f.alerts[h]; a.State != alert.StateFiring && !firing[h] && (known == nil || known.At.IsZero()) {
				changed[h] = &forwarded{Alert: a, At: now}
			}
		}
	}
	for h, x := range f.alerts { // whose entry was lost with a store that was put back
		if x.At.IsZero() && !firing[h] && changed[h] == nil {
			a := x.Alert
			a.State, a.ResolvedAt = alert.StateResolved, now
			changed[h] = &forwarded{Alert: a, At: now}
		}
	}
	return f.keep(changed)
}

// take keeps what entries of the outbox say, durably, and makes it due.
func (f *forwarder) take(entries []alert.OutboxEntry, now time.Time) error {
	if f == nil || len(entries) == 0 {
		return nil
	}
	changed := map[uint64]*forwarded{}
	var due []alert.Alert
	for _, e := range entries {
		for _, a := range e.Alerts {
			x := &forwarded{Alert: a}
			if a.State != alert.StateFiring {
				x.At = now
			}
			changed[hashOf(a.Labels)] = x
			due = append(due, a)
		}
	}
	if err := f.keep(changed); err != nil {
		return err
	}
	if f.due = append(f.due, due...); len(f.due) > forwardQueue {
		f.due, f.resent = nil, time.Time{} // all of them are sent with what is sent again
	}
	return nil
}

// keep writes alerts; nil forgets one.
func (f *forwarder) keep(changed map[uint64]*forwarded) error {
	if len(changed) == 0 {
		return nil
	}
	var entries []storage.Entry
	for h, x := range changed {
		e := storage.Entry{Key: forwardedKey(h)}
		if x != nil {
			var err error
			if e.Value, err = json.Marshal(x); err != nil {
				return fmt.Errorf("notify: forwarded alert %s: %w", x.Alert.Labels, err)
			}
		}
		entries = append(entries, e)
	}
	if err := f.n.cfg.KV.Commit(storage.Commit{Entries: entries}); err != nil {
		return err
	}
	for h, x := range changed {
		if f.alerts[h] = x; x == nil {
			delete(f.alerts, h)
		}
	}
	return nil
}
