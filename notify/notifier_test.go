package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/emersion/go-smtp"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

const errorsRule = `groups:
- name: g
  interval: 1ms
  rules:
  - alert: Errors
    expr: increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m]) > 3
    for: 0s
    labels: {severity: page}
    annotations: {summary: '{{ $labels.service_name }} fails'}
`

// inbox is a webhook receiver.
type inbox struct {
	*httptest.Server
	mu   sync.Mutex
	got  []template.Data
	down atomic.Bool
}

func newInbox(t *testing.T) *inbox {
	b := &inbox{}
	b.Server = network.serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var d template.Data
		if err := json.NewDecoder(r.Body).Decode(&d); err != nil || b.down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		b.got = append(b.got, d)
	}))
	t.Cleanup(b.Close)
	return b
}

// text is what came, as "status: alert of service, …" in order.
func (b *inbox) text() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, d := range b.got {
		var as []string
		for _, a := range d.Alerts {
			as = append(as, a.Status+" "+a.Labels["service_name"])
		}
		out = append(out, d.Receiver+": "+strings.Join(as, ", "))
	}
	return out
}

// await waits until the inbox has these messages and no others.
func (b *inbox) await(t *testing.T, want ...string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.Equal(c, want, b.text()) }, 2*time.Minute, 5*time.Millisecond)
}

// world is an evaluator and a notifier over one store.
type world struct {
	t        *testing.T
	r        *evaltest.Reader
	kv       storage.KV
	e        *rules.Evaluator
	n        *Notifier
	config   string
	external *url.URL
	cluster  *Cluster
	forward  *Forward
	labels   labels.Labels
	reg      prometheus.Registerer
	behind   atomic.Bool // the pipeline has not caught up
	stop     func()
}

func newWorld(t *testing.T, config string) *world {
	w := &world{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), config: config}
	w.start()
	t.Cleanup(func() { w.kill() })
	return w
}

// start makes both anew on the same store.
func (w *world) start() {
	w.t.Helper()
	w.evaluator()
	w.notifier()
}

func (w *world) evaluator() {
	w.t.Helper()
	var err error
	w.e, err = rules.New(rules.Config{Reader: w.r, KV: w.kv, Floor: 1, Ready: func() bool { return !w.behind.Load() }})
	require.NoError(w.t, err)
	src, err := rules.ParseSource("rules.yml", []byte(errorsRule), nil)
	require.NoError(w.t, err)
	require.NoError(w.t, w.e.Load(context.Background(), []rules.Source{src}, time.Now()))
}

func (w *world) notifier() {
	w.t.Helper()
	am, err := ParseConfig(w.config)
	require.NoError(w.t, err)
	ctx, cancel := context.WithCancel(context.Background())
	w.n, err = New(ctx, Config{KV: w.kv, Alerts: w.e, Alertmanager: am, ExternalURL: w.external, Cluster: w.cluster, Forward: w.forward,
		ExternalLabels: w.labels, Registerer: w.reg, HTTP: network.options()}, time.Now())
	require.NoError(w.t, err)
	done := make(chan struct{})
	go func() { defer close(done); _ = w.n.Run(ctx) }()
	w.stop = func() { cancel(); <-done; w.n.Close() }
}

// kill ends the notifier; all that outlives it is in the store.
func (w *world) kill() {
	if w.stop != nil {
		w.stop()
		w.stop = nil
	}
}

// logged waits until what was notified is in the stored notification log, which was before; otherwise it may be notified twice.
func (w *world) logged(before []byte) []byte {
	w.t.Helper()
	var log []byte
	require.Eventually(w.t, func() bool {
		var err error
		log, err = w.n.keeper.snapshot(kindLog)
		return err == nil && !bytes.Equal(log, before)
	}, 2*time.Minute, time.Millisecond)
	return log
}

func key(service string) model.REDKey {
	return model.REDKey{Service: service, Operation: "GET", Kind: model.KindServer, Status: model.StatusError}
}

// fail lets services fail now, and evaluates.
func (w *world) fail(services ...string) {
	w.t.Helper()
	time.Sleep(time.Second) // an evaluation is due
	now := time.Now()
	sub := w.r.Feed().Subscribe()
	defer sub.Close()
	for _, s := range services {
		w.r.Span(key(s), evaltest.Observation{At: now}, evaltest.Observation{At: now}, evaltest.Observation{At: now},
			evaltest.Observation{At: now})
	}
	w.r.Commit(now)
	require.NoError(w.t, w.e.Advance(context.Background(), sub.Take(), time.Now()))
}

// tryFail is fail where a failure to store is one of the things that happen.
func (w *world) tryFail(services ...string) {
	now := time.Now()
	for _, s := range services {
		o := evaltest.Observation{At: now}
		w.r.Span(key(s), o, o, o, o)
	}
	w.r.Commit(now)
	_ = w.tryAdvance()
}

func (w *world) tryAdvance() error {
	return w.e.Advance(context.Background(), model.Change{Frontier: w.r.Frontier()}, time.Now())
}

func writeFile(name, text string) error { return os.WriteFile(name, []byte(text), 0o600) }

// calm lets event time pass until nothing fails.
func (w *world) calm() {
	w.t.Helper()
	w.r.Complete(time.Now().Add(10 * time.Minute))
	require.Eventually(w.t, func() bool {
		require.NoError(w.t, w.e.Advance(context.Background(), model.Change{Frontier: w.r.Frontier()}, time.Now()))
		return len(w.e.Active()) == 0
	}, 2*time.Minute, time.Millisecond)
}

func config(b *inbox, route string) string {
	return fmt.Sprintf("route: {receiver: web, group_by: [service_name], group_wait: 0s, group_interval: 100ms, repeat_interval: 1h%s}\nreceivers:\n- name: web\n  webhook_configs: [{url: '%s'}]\n- name: pager\n  webhook_configs: [{url: '%s'}]\n", route, b.URL, b.URL)
}

func TestFiresAndResolves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		w.fail("cart")
		b.await(t, "web: firing cart")
		w.calm()
		b.await(t, "web: firing cart", "web: resolved cart")
		require.Equal(t, "cart fails", b.got[0].CommonAnnotations["summary"])
		require.Eventually(t, func() bool { return len(w.n.Notices(0)) == 2 }, 2*time.Minute, time.Millisecond)
		notices := w.n.Notices(0)
		require.Equal(t, "webhook", notices[1].Integration)
		require.Equal(t, "first notification", notices[1].Reason)
		require.Empty(t, notices[1].Error)
	})
}

func TestRoutesAndGroups(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		am := config(b, ", routes: [{matchers: ['service_name=~\"pay.*\"'], receiver: pager}]")
		w := newWorld(t, strings.ReplaceAll(strings.ReplaceAll(am, "group_by: [service_name]", "group_by: [alertname]"), "group_wait: 0s",
			"group_wait: 300ms"))
		w.fail("cart", "payment", "web")
		require.EventuallyWithT(t, func(c *assert.CollectT) {
			require.ElementsMatch(c, []string{"pager: firing payment", "web: firing cart, firing web"}, b.text())
		}, 2*time.Minute, 5*time.Millisecond)
	})
}

func TestInhibition(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		am := config(b, "") + "inhibit_rules: [{source_matchers: ['service_name=\"db\"'], target_matchers: ['service_name=\"cart\"'], equal: [severity]}]\n"
		w := newWorld(t, am)
		w.fail("db")
		b.await(t, "web: firing db")
		w.fail("cart", "db")
		w.fail("web")
		b.await(t, "web: firing db", "web: firing web")
	})
}

func TestRestartRepeatsNothing(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		w.fail("cart")
		b.await(t, "web: firing cart")
		w.logged(nil)
		w.kill()
		w.start()
		w.fail("web") // comes after whatever the start may have sent
		b.await(t, "web: firing cart", "web: firing web")
	})
}

func TestResolvedWhileDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		w.fail("cart")
		b.await(t, "web: firing cart")
		log := w.logged(nil)
		w.kill()
		w.calm()
		w.start()
		b.await(t, "web: firing cart", "web: resolved cart")
		w.logged(log)
		w.kill()
		w.start()
		require.Equal(t, []string{"web: firing cart", "web: resolved cart"}, b.text())
	})
}

// TestResolvedBeforeCaughtUp: while the pipeline is behind, a resolution is decided and not notified; a start in that state must not notify
// it ahead of the outbox, or later starts take the outbox's entry for one of which no receiver was notified.
func TestResolvedBeforeCaughtUp(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		w.fail("cart")
		b.await(t, "web: firing cart")
		log := w.logged(nil)
		w.kill()
		w.behind.Store(true)
		w.calm()
		w.start()
		time.Sleep(500 * time.Millisecond) // several group_intervals, in which nothing may be notified
		require.Equal(t, []string{"web: firing cart"}, b.text())
		w.behind.Store(false)
		w.calm()
		b.await(t, "web: firing cart", "web: resolved cart")
		w.logged(log)
		for range 2 {
			w.kill()
			w.start()
			time.Sleep(500 * time.Millisecond)
		}
		require.Equal(t, []string{"web: firing cart", "web: resolved cart"}, b.text())
	})
}

// TestFiredAndResolvedWhileDown has both entries in the outbox at the start: a receiver has to be notified still.
func TestFiredAndResolvedWhileDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		w.kill()
		w.fail("cart")
		w.calm()
		w.start()
		b.await(t, "web: firing cart", "web: resolved cart")
	})
}

// TestKilledBeforeResolvedIsFlushed: the resolved alert was put, but its group waits for group_interval when the process dies.
func TestKilledBeforeResolvedIsFlushed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, strings.ReplaceAll(config(b, ""), "group_interval: 100ms", "group_interval: 1h"))
		w.fail("cart")
		b.await(t, "web: firing cart")
		w.logged(nil)
		w.calm()
		require.Eventually(t, func() bool {
			list := httptest.NewRecorder()
			w.n.API().ServeHTTP(list, httptest.NewRequest("GET", "/api/v2/alerts", nil))
			return strings.TrimSpace(list.Body.String()) == "[]"
		}, 2*time.Minute, 5*time.Millisecond, "the provider has it resolved")
		w.kill()
		w.start()
		b.await(t, "web: firing cart", "web: resolved cart")
	})
}

func TestReceiverDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		b.down.Store(true)
		w.fail("cart")
		require.Eventually(t, func() bool { return len(w.n.Notices(0)) > 0 }, 2*time.Minute, 5*time.Millisecond)
		require.NotEmpty(t, w.n.Notices(1)[0].Error)
		w.kill()
		b.down.Store(false)
		w.start()
		b.await(t, "web: firing cart")
	})
}

func TestOutboxEmpties(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		w.fail("cart")
		b.await(t, "web: firing cart")
		w.calm()
		b.await(t, "web: firing cart", "web: resolved cart")
		w.kill() // the loop's goroutine is over: its steps may be called here
		ctx, now := context.Background(), time.Now()
		am, err := ParseConfig(w.config)
		require.NoError(t, err)
		n, err := New(ctx, Config{KV: w.kv, Alerts: w.e, Alertmanager: am, HTTP: network.options()}, now)
		require.NoError(t, err)
		defer n.Close()
		require.Eventually(t, func() bool {
			require.NoError(t, n.step(ctx, now.Add(time.Minute)))
			left, err := w.e.Outbox().Pending()
			return err == nil && len(left) == 0
		}, 2*time.Minute, 5*time.Millisecond)
	})
}

func TestSilenceSurvives(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newInbox(t)
		w := newWorld(t, config(b, ""))
		body := fmt.Sprintf(`{"matchers":[{"name":"service_name","value":"cart","isRegex":false,"isEqual":true}],"startsAt":%q,"endsAt":%q,"createdBy":"me","comment":"known"}`,
			time.Now().Format(time.RFC3339), time.Now().Add(time.Hour).Format(time.RFC3339))
		req := httptest.NewRequest("POST", "/api/v2/silences", strings.NewReader(body))
		req.Header.Set("Content-Type", "application/json")
		res := httptest.NewRecorder()
		w.n.API().ServeHTTP(res, req)
		require.Equal(t, http.StatusOK, res.Code, res.Body)
		w.kill()
		w.start()
		w.fail("cart")
		w.fail("web")
		b.await(t, "web: firing web")
		list := httptest.NewRecorder()
		w.n.API().ServeHTTP(list, httptest.NewRequest("GET", "/api/v2/alerts?silenced=true", nil))
		require.Contains(t, list.Body.String(), `"silencedBy":["`)
	})
}

func TestWithoutConfigAlertsAreSeen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		w := newWorld(t, "route: {receiver: none}\nreceivers: [{name: none}]\n")
		w.kill()
		n, err := New(context.Background(), Config{KV: w.kv, Alerts: w.e}, time.Now())
		require.NoError(t, err)
		defer n.Close()
		w.fail("cart")
		require.NoError(t, n.step(context.Background(), time.Now()))
		list := httptest.NewRecorder()
		n.API().ServeHTTP(list, httptest.NewRequest("GET", "/api/v2/alerts", nil))
		require.Contains(t, list.Body.String(), `"service_name":"cart"`)
	})
}

func TestReload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b, other := newInbox(t), newInbox(t)
		w := newWorld(t, config(b, ""))
		w.fail("cart")
		b.await(t, "web: firing cart")
		am, err := ParseConfig(strings.ReplaceAll(config(other, ""), "receiver: web", "receiver: pager"))
		require.NoError(t, err)
		require.NoError(t, w.n.Reload(am))
		other.await(t, "pager: firing cart")
		broken, err := ParseConfig(config(b, "") + "templates: []\n")
		require.NoError(t, err)
		broken.Templates = []string{"/dev/null/["}
		require.Error(t, w.n.Reload(broken))
		w.fail("web")
		require.EventuallyWithT(t, func(c *assert.CollectT) { require.Contains(c, other.text(), "pager: firing web") }, 2*time.Minute,
			5*time.Millisecond)
	})
}

// mail is an SMTP sink.
type mail struct {
	mu  sync.Mutex
	got []string
}

func (m *mail) NewSession(*smtp.Conn) (smtp.Session, error) { return m, nil }
func (m *mail) Mail(string, *smtp.MailOptions) error        { return nil }
func (m *mail) Rcpt(string, *smtp.RcptOptions) error        { return nil }
func (m *mail) Reset()                                      {}
func (m *mail) Logout() error                               { return nil }
func (m *mail) Data(r io.Reader) error {
	b, err := io.ReadAll(r)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.got = append(m.got, string(b))
	return err
}

func TestSlackAndEmail(t *testing.T) {
	slack := make(chan string, 4)
	hook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		slack <- string(b)
		_, _ = io.WriteString(w, "ok")
	}))
	t.Cleanup(hook.Close)
	m := &mail{}
	srv := smtp.NewServer(m)
	srv.Domain = "localhost"
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	go func() { _ = srv.Serve(l) }()
	t.Cleanup(func() { _ = srv.Close() })
	w := newWorld(t, fmt.Sprintf(`global: {smtp_smarthost: '%s', smtp_from: cat@example.org, smtp_require_tls: false}
route: {receiver: people, group_wait: 0s, group_interval: 1s}
receivers:
- name: people
  slack_configs: [{api_url: '%s', channel: '#alerts', text: '{{ .CommonAnnotations.summary }}'}]
  email_configs: [{to: ops@example.org}]
`, l.Addr(), hook.URL))
	w.fail("cart")
	require.Contains(t, <-slack, "cart fails")
	require.Eventually(t, func() bool { m.mu.Lock(); defer m.mu.Unlock(); return len(m.got) == 1 }, 2*time.Minute, 5*time.Millisecond)
	require.Contains(t, m.got[0], "To: ops@example.org")
	require.Contains(t, m.got[0], "FIRING:1")
}

// failingKV fails commits while it is set to.
type failingKV struct {
	storage.KV
	fail atomic.Bool
}

func (k *failingKV) Commit(c storage.Commit) error {
	if k.fail.Load() {
		return errors.New("disk on fire")
	}
	return k.KV.Commit(c)
}

func TestUnwrittenStateIsTriedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		kv := &failingKV{KV: storage.NewMem(storage.MemOptions{})}
		b := newInbox(t)
		w := &world{t: t, r: &evaltest.Reader{}, kv: kv, config: config(b, "")}
		w.start()
		t.Cleanup(w.kill)
		w.fail("cart")
		kv.fail.Store(true)
		b.await(t, "web: firing cart")
		kv.fail.Store(false)
		w.n.keeper.retry()
		require.Eventually(t, func() bool {
			log, err := w.n.keeper.snapshot(kindLog)
			return err == nil && len(log) > 0
		}, 2*time.Minute, 5*time.Millisecond)
		w.kill()
		w.start()
		w.fail("web")
		b.await(t, "web: firing cart", "web: firing web")
		require.NoError(t, w.n.keeper.forget(time.Now().Add(1000*time.Hour)))
		log, err := w.n.keeper.snapshot(kindLog)
		require.NoError(t, err)
		require.Empty(t, log)
	})
}
