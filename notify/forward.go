package notify

import (
	"cmp"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/notifier"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/evaluator"
	"github.com/gaurav/watchingcat/storage"
)

// Alerts sent to Alertmanagers elsewhere, as Prometheus sends them.
//
// The simple version: which alerts the Alertmanagers hold as firing, and which have resolved within the last 15 min, is written to the store
// before anything is sent. All of them are sent again every minute, so whatever was lost on the way, or with the process, comes with the next
// minute; a firing alert ends by itself in 4 min when nothing comes any more. Prometheus' own notifier sends.

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

// Forward says where alerts are sent.
type Forward struct {
	Alerting promconfig.AlertingConfig
	// Transport is how those given by URL are reached; nil: http.DefaultTransport. Those of a file have TLS settings of their own.
	Transport http.RoundTripper
	byURL     map[string]bool // hosts
}

// LoadForward makes it of URLs of Alertmanagers, and of a file with what Prometheus has under alerting; both may be empty.
func LoadForward(urls []string, file string) (*Forward, error) {
	f := &Forward{byURL: map[string]bool{}}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if f.Alerting, err = parseAlerting(b, filepath.Dir(file)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, text := range urls {
		c, err := alertmanagerAt(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		f.Alerting.AlertmanagerConfigs = append(f.Alerting.AlertmanagerConfigs, c)
		for _, d := range c.ServiceDiscoveryConfigs {
			for _, g := range d.(discovery.StaticConfig) {
				for _, target := range g.Targets {
					f.byURL[string(target[model.AddressLabel])] = true
				}
			}
		}
	}
	if len(f.Alerting.AlertmanagerConfigs) == 0 {
		return nil, nil //nolint:nilnil // nothing is to be sent
	}
	return f, nil
}

// parseAlerting reads an alerting section, or a file that has one.
func parseAlerting(b []byte, dir string) (promconfig.AlertingConfig, error) {
	var top map[string]any
	if err := yaml.Unmarshal(b, &top); err != nil {
		return promconfig.AlertingConfig{}, err
	}
	if _, ok := top["alerting"]; !ok {
		top = map[string]any{"alerting": top}
	}
	text, err := yaml.Marshal(map[string]any{"alerting": top["alerting"]})
	if err != nil {
		return promconfig.AlertingConfig{}, err
	}
	c, err := promconfig.Load(string(text), slog.New(slog.DiscardHandler))
	if err != nil {
		return promconfig.AlertingConfig{}, err
	}
	for _, am := range c.AlertingConfig.AlertmanagerConfigs {
		am.HTTPClientConfig.SetDirectory(dir)
		for _, d := range am.ServiceDiscoveryConfigs {
			if _, ok := d.(discovery.StaticConfig); !ok {
				return promconfig.AlertingConfig{}, fmt.Errorf("%s_sd_configs are not read here: list the Alertmanagers in static_configs", d.Name())
			}
		}
	}
	return c.AlertingConfig, nil
}

func alertmanagerAt(text string) (*promconfig.AlertmanagerConfig, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not an http or https URL of an Alertmanager", text)
	}
	c := promconfig.DefaultAlertmanagerConfig
	c.Scheme, c.PathPrefix = u.Scheme, u.Path
	if u.User != nil {
		return nil, fmt.Errorf("the URL of %s has credentials: give them in WATCHINGCAT_ALERTMANAGER_SEND_CONFIG, as basic_auth", u.Host)
	}
	host := u.Host
	if u.Port() == "" {
		host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	c.ServiceDiscoveryConfigs = discovery.Configs{discovery.StaticConfig{{Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(host)}}}}}
	return &c, nil
}

// forwarded is an alert as the Alertmanagers know it: the value of a kindForwarded entry as JSON.
type forwarded struct {
	Alert evaluator.Alert `json:"alert"`
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
	due     []evaluator.Alert // not handed to the manager yet
	resent  time.Time
	ended   chan struct{}
	targets chan map[string][]*targetgroup.Group

	mu    sync.Mutex
	conf  *Forward // in force
	state map[string]*AlertmanagerState
	fails int // requests that were not accepted since alerts were sent again
}

// AlertmanagerState is how it went to send alerts to an Alertmanager.
type AlertmanagerState struct {
	URL         string
	LastSuccess time.Time
	LastFailure time.Time
	LastError   string // of the last failure
	// Sent are alerts that it accepted, again and again while they fire. Dropped were not accepted, or did not fit the queue; Pending wait in it.
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

// told are the alerts that fire as far as was decided, as they are sent.
func (n *Notifier) told() []evaluator.Alert {
	list := n.cfg.Alerts.Told()
	for i := range list {
		list[i].Labels = n.Sent(list[i].Labels)
	}
	return list
}

// pending is what the outbox holds, as it is sent.
func (n *Notifier) pending() ([]evaluator.OutboxEntry, error) {
	entries, err := n.cfg.Alerts.Outbox().Pending()
	for _, e := range entries {
		for i := range e.Alerts {
			e.Alerts[i].Labels = n.Sent(e.Alerts[i].Labels)
		}
	}
	return entries, err
}

func (n *Notifier) newForwarder(c *Forward, reg prometheus.Registerer) (*forwarder, error) {
	if c == nil {
		return nil, nil //nolint:nilnil // there are no Alertmanagers
	}
	f := &forwarder{n: n, alerts: map[uint64]*forwarded{}, state: map[string]*AlertmanagerState{}, ended: make(chan struct{})}
	f.cut = promauto.With(reg).NewCounter(prometheus.CounterOpts{Name: "watchingcat_alertmanager_resolved_not_resent_total",
		Help: "Resolved alerts that are sent to Alertmanagers once instead of for 15 min, because there are too many."})
	f.counts = prometheus.NewRegistry()
	f.manager = notifier.NewManager(&notifier.Options{QueueCapacity: forwardQueue, Registerer: f.counts, Do: f.do}, model.UTF8Validation, n.cfg.Logger)
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
func (f *forwarder) recover(entries []evaluator.OutboxEntry, now time.Time) error {
	if f == nil {
		return nil
	}
	firing := map[uint64]bool{}
	changed := map[uint64]*forwarded{}
	for _, a := range f.n.told() {
		a.State = evaluator.StateFiring
		firing[hashOf(a.Labels)] = true
		changed[hashOf(a.Labels)] = &forwarded{Alert: a}
	}
	for _, e := range entries {
		for _, a := range e.Alerts {
			h := hashOf(a.Labels)
			if known := f.alerts[h]; a.State != evaluator.StateFiring && !firing[h] && (known == nil || known.At.IsZero()) {
				changed[h] = &forwarded{Alert: a, At: now}
			}
		}
	}
	for h, x := range f.alerts { // whose entry was lost with a store that was put back
		if x.At.IsZero() && !firing[h] && changed[h] == nil {
			a := x.Alert
			a.State, a.ResolvedAt = evaluator.StateResolved, now
			changed[h] = &forwarded{Alert: a, At: now}
		}
	}
	return f.keep(changed)
}

// take keeps what entries of the outbox say, durably, and makes it due.
func (f *forwarder) take(entries []evaluator.OutboxEntry, now time.Time) error {
	if f == nil || len(entries) == 0 {
		return nil
	}
	changed := map[uint64]*forwarded{}
	var due []evaluator.Alert
	for _, e := range entries {
		for _, a := range e.Alerts {
			x := &forwarded{Alert: a}
			if a.State != evaluator.StateFiring {
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

// step sends what is due, and every minute all that fires or has resolved lately.
func (f *forwarder) step(now time.Time) error {
	if f == nil || len(f.manager.Alertmanagers())+len(f.manager.DroppedAlertmanagers()) == 0 { // the manager begins
		return nil
	}
	f.send(f.due, now)
	f.due = nil
	f.mu.Lock()
	every := resendEvery
	if f.fails > 0 {
		every = resendFailed
	}
	again := now.Sub(f.resent) >= every || now.Before(f.resent)
	if again {
		f.fails = 0
	}
	f.mu.Unlock()
	if !again {
		return nil
	}
	f.resent = now
	return f.resend(now)
}

func (f *forwarder) resend(now time.Time) error {
	var list []evaluator.Alert
	for _, a := range f.n.told() { // with its annotations as they are now
		if x := f.alerts[hashOf(a.Labels)]; x != nil && x.At.IsZero() {
			a.State = evaluator.StateFiring
			list = append(list, a)
		}
	}
	gone := map[uint64]*forwarded{}
	var resolved []uint64
	for h, x := range f.alerts {
		switch {
		case x.At.IsZero():
		case now.Sub(x.At) > resolvedResent:
			gone[h] = nil
		default:
			resolved = append(resolved, h)
		}
	}
	slices.SortFunc(resolved, func(a, b uint64) int { return f.alerts[b].At.Compare(f.alerts[a].At) })
	if over := len(resolved) - maxResolved; over > 0 {
		f.cut.Add(float64(over))
		for _, h := range resolved[maxResolved:] {
			gone[h] = nil
		}
		resolved = resolved[:maxResolved]
	}
	for _, h := range resolved {
		list = append(list, f.alerts[h].Alert)
	}
	f.send(list, now)
	return f.keep(gone)
}

func (f *forwarder) send(list []evaluator.Alert, now time.Time) {
	out := make([]*notifier.Alert, 0, len(list))
	for _, a := range list {
		x := f.n.alertOf(a, now)
		annotations := map[string]string{}
		for name, v := range x.Annotations {
			annotations[string(name)] = string(v)
		}
		s := &notifier.Alert{Labels: a.Labels, Annotations: labels.FromMap(annotations), StartsAt: x.StartsAt, EndsAt: x.EndsAt, GeneratorURL: x.GeneratorURL}
		if a.State == evaluator.StateFiring {
			s.EndsAt = now.Add(firingEnds)
		}
		out = append(out, s)
	}
	if len(out) > 0 {
		f.manager.Send(out...)
	}
}

// do sends one request and notes how it went.
func (f *forwarder) do(ctx context.Context, client *http.Client, req *http.Request) (*http.Response, error) {
	f.mu.Lock()
	conf := f.conf
	f.mu.Unlock()
	switch {
	case conf.Transport != nil && conf.byURL[req.URL.Host]:
		client = &http.Client{Transport: conf.Transport}
	case client == nil:
		client = http.DefaultClient
	}
	res, err := client.Do(req.WithContext(ctx))
	now := time.Now()
	problem := ""
	switch {
	case err != nil:
		problem = err.Error()
	case res.StatusCode/100 != 2:
		b, _ := io.ReadAll(io.LimitReader(res.Body, 500)) // as much as comes
		problem = cmp.Or(strings.TrimSpace(res.Status+" "+string(b)), res.Status)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	to := req.URL.Redacted()
	s := f.state[to]
	if s == nil {
		s = &AlertmanagerState{URL: to}
		f.state[to] = s
	}
	if problem == "" {
		s.LastSuccess = now
	} else {
		s.LastFailure, s.LastError = now, problem
		f.fails++
	}
	return res, err
}

func (f *forwarder) close() {
	if f == nil {
		return
	}
	f.manager.Stop()
	<-f.ended
}

// Alertmanagers are those elsewhere external Alertmanagers, by URL; empty where there are none.
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
		s.Sent, s.Dropped, s.Pending = c["prometheus_notifications_sent_total"], c["prometheus_notifications_dropped_total"], c["prometheus_notifications_queue_length"]
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
