package notify

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
)

// elsewhere stands for an Alertmanager: it keeps what it was sent.
type elsewhere struct {
	*httptest.Server
	mu   sync.Mutex
	got  []posted
	down atomic.Bool
	auth string
}

type posted struct {
	Labels, Annotations map[string]string
	StartsAt, EndsAt    time.Time
	GeneratorURL        string
}

func newElsewhere(t *testing.T) *elsewhere {
	e := &elsewhere{}
	e.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var list []posted
		if err := json.NewDecoder(r.Body).Decode(&list); err != nil || e.down.Load() || r.URL.Path != "/prefix/api/v2/alerts" {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		e.mu.Lock()
		defer e.mu.Unlock()
		e.got, e.auth = append(e.got, list...), r.Header.Get("Authorization")
	}))
	t.Cleanup(e.Close)
	return e
}

// last is the state of each service, by what was sent last.
func (e *elsewhere) last(now time.Time) map[string]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[string]string{}
	for _, p := range e.got {
		out[p.Labels["service_name"]] = "firing"
		if !p.EndsAt.After(now) {
			out[p.Labels["service_name"]] = "resolved"
		}
	}
	return out
}

func (e *elsewhere) await(t *testing.T, want map[string]string) {
	t.Helper()
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.Equal(c, want, e.last(time.Now())) }, 2*time.Minute, 5*time.Millisecond)
}

func forwardTo(t *testing.T, w *world, at ...*elsewhere) {
	t.Helper()
	var urls []string
	for _, e := range at {
		urls = append(urls, e.URL+"/prefix")
	}
	file := t.TempDir() + "/alerting.yml" // the first by file, the others by URL
	require.NoError(t, writeFile(file, "alertmanagers:\n- path_prefix: /prefix\n  basic_auth: {username: user, password: secret}\n  static_configs: [{targets: ["+strings.TrimPrefix(at[0].URL, "http://")+"]}]\n"))
	f, err := LoadForward(urls[1:], file)
	require.NoError(t, err)
	w.forward, w.labels = f, labels.FromStrings("cluster", "eu-1", "severity", "none")
}

const noReceiver = "route: {receiver: none}\nreceivers: [{name: none}]\n"

// Alertmanagers elsewhere get what fires and what resolves, with external labels where the rule has none of that name.
func TestForwards(t *testing.T) {
	one, two := newElsewhere(t), newElsewhere(t)
	reg := prometheus.NewRegistry()
	w := &world{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), config: noReceiver, reg: reg}
	forwardTo(t, w, one, two)
	w.start()
	t.Cleanup(w.kill)
	w.fail("cart")
	for _, e := range []*elsewhere{one, two} {
		e.await(t, map[string]string{"cart": "firing"})
		p := e.got[0]
		require.Equal(t, map[string]string{"alertname": "Errors", "service_name": "cart", "severity": "page", "cluster": "eu-1",
			"span_kind": "SPAN_KIND_SERVER", "span_name": "GET", "status_code": "STATUS_CODE_ERROR"}, p.Labels)
		require.Equal(t, "cart fails", p.Annotations["summary"])
		require.WithinDuration(t, time.Now().Add(firingEnds), p.EndsAt, time.Minute)
	}
	require.Equal(t, "Basic dXNlcjpzZWNyZXQ=", one.auth)
	require.Empty(t, two.auth)
	states := w.n.Alertmanagers()
	require.Len(t, states, 2)
	require.NotContains(t, states[0].URL, "secret")
	require.Eventually(t, func() bool {
		return !slices.ContainsFunc(w.n.Alertmanagers(), func(s AlertmanagerState) bool {
			return s.LastSuccess.IsZero() || s.Fails() || s.Sent == 0 || s.Dropped != 0 || s.Pending != 0
		})
	}, 2*time.Minute, time.Millisecond)
	exposed, err := testutil.GatherAndCount(reg, "prometheus_notifications_sent_total")
	require.NoError(t, err)
	require.Equal(t, 2, exposed)
	w.calm()
	one.await(t, map[string]string{"cart": "resolved"})
	two.await(t, map[string]string{"cart": "resolved"})
}

// After a reload alerts are sent to the Alertmanagers of the new configuration, with the CAs that those given by URL are trusted by.
func TestForwardReloaded(t *testing.T) {
	one, two := newElsewhere(t), newElsewhere(t)
	secure := httptest.NewTLSServer(two.Config.Handler)
	t.Cleanup(secure.Close)
	w := &world{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), config: noReceiver}
	forwardTo(t, w, one)
	w.start()
	t.Cleanup(w.kill)
	w.fail("cart")
	one.await(t, map[string]string{"cart": "firing"})

	f, err := LoadForward([]string{secure.URL + "/prefix"}, "")
	require.NoError(t, err)
	f.Transport = secure.Client().Transport
	require.NoError(t, w.n.ReloadForward(f))
	w.fail("web")
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.Equal(c, "firing", two.last(time.Now())["web"]) }, 2*time.Minute,
		5*time.Millisecond)
	states := w.n.Alertmanagers()
	require.Len(t, states, 1)
	require.Contains(t, states[0].URL, secure.URL)
	require.NotContains(t, one.last(time.Now()), "web")
}

// Whenever the process is killed, the Alertmanager ends with what is: nothing fires there for ever, nothing is missed.
func TestForwardKilled(t *testing.T) {
	for kill := range 12 {
		e := newElsewhere(t)
		disk := storage.NewMem(storage.MemOptions{})
		kv := &dyingKV{KV: disk}
		kv.left.Store(int64(kill))
		w := &world{t: t, r: &evaltest.Reader{}, kv: kv, config: noReceiver}
		forwardTo(t, w, e)
		w.start()
		w.tryFail("cart", "web")
		if !kv.dead() {
			w.r.Complete(time.Now().Add(10 * time.Minute))
			require.Eventually(t, func() bool { return w.tryAdvance() != nil || kv.dead() || len(w.e.Active()) == 0 }, 2*time.Minute,
				time.Millisecond)
		}
		w.kill()
		w.kv = disk
		w.start()
		require.NoError(t, w.tryAdvance())
		if e.last(time.Now())["cart"] != "resolved" && len(w.e.Active()) > 0 {
			e.await(t, map[string]string{"cart": "firing", "web": "firing"})
		}
		w.calm()
		e.await(t, map[string]string{"cart": "resolved", "web": "resolved"})
		w.kill()
	}
}

// An alert that resolved while the process was down resolves there with the next start, and again every minute for a while.
func TestForwardResolvedWhileDown(t *testing.T) {
	e := newElsewhere(t)
	w := &world{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), config: noReceiver}
	forwardTo(t, w, e)
	w.start()
	t.Cleanup(func() { w.kill() })
	w.fail("cart", "web")
	e.await(t, map[string]string{"cart": "firing", "web": "firing"})
	w.kill()
	w.calm()
	w.start()
	e.await(t, map[string]string{"cart": "resolved", "web": "resolved"})
	w.kill() // its goroutine is over: steps may be called here

	f, now := w.n.forward, time.Now()
	require.Len(t, f.alerts, 2)
	require.NoError(t, f.resend(now.Add(resolvedResent/2)))
	require.Len(t, f.alerts, 2)
	require.NoError(t, f.resend(now.Add(2*resolvedResent)))
	require.Empty(t, f.alerts)
	again := &forwarder{n: w.n, alerts: map[uint64]*forwarded{}}
	require.NoError(t, again.load())
	require.Empty(t, again.alerts, "what is not sent any more is not kept")
}

// An Alertmanager that was down gets everything once it is back; its state says what went wrong.
func TestForwardDown(t *testing.T) {
	e := newElsewhere(t)
	e.down.Store(true)
	w := &world{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), config: noReceiver}
	forwardTo(t, w, e)
	w.start()
	t.Cleanup(w.kill)
	w.fail("cart")
	require.Eventually(t, func() bool {
		s := w.n.Alertmanagers()
		return len(s) == 1 && strings.Contains(s[0].LastError, "503") && s[0].LastSuccess.IsZero() && s[0].Fails() && s[0].Sent == 0 &&
			s[0].Dropped >= 1
	}, 2*time.Minute, time.Millisecond)
	e.down.Store(false)
	e.await(t, map[string]string{"cart": "firing"})
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		s := w.n.Alertmanagers()[0]
		require.False(c, s.Fails())
		require.Positive(c, s.Sent)
		require.Contains(c, s.LastError, "503", "what the last failure was")
		require.False(c, s.LastFailure.IsZero())
	}, 2*time.Minute, time.Millisecond)
}

// The file has what Prometheus has under alerting; what is not read of it is refused.
func TestLoadForward(t *testing.T) {
	dir := t.TempDir()
	file := dir + "/alerting.yml"
	write := func(text string) { require.NoError(t, writeFile(file, text)) }
	write("alerting:\n  alert_relabel_configs:\n  - {action: labeldrop, regex: replica}\n  alertmanagers:\n  - scheme: https\n    path_prefix: /am\n    timeout: 3s\n    tls_config: {ca_file: ca.pem}\n    basic_auth: {username: a, password_file: pw}\n    static_configs: [{targets: ['a:9093', 'b:9093']}]\n")
	f, err := LoadForward([]string{"http://c:9093/x"}, file)
	require.NoError(t, err)
	require.Len(t, f.Alerting.AlertmanagerConfigs, 2)
	am := f.Alerting.AlertmanagerConfigs[0]
	require.Equal(t, []any{"https", "/am", "3s", dir + "/ca.pem", dir + "/pw"},
		[]any{am.Scheme, am.PathPrefix, am.Timeout.String(), am.HTTPClientConfig.TLSConfig.CAFile,
			am.HTTPClientConfig.BasicAuth.PasswordFile})
	require.Len(t, f.Alerting.AlertRelabelConfigs, 1)
	write("alertmanagers: [{static_configs: [{targets: ['a:9093']}]}]\n")
	f, err = LoadForward(nil, file)
	require.NoError(t, err)
	require.Equal(t, "http", f.Alerting.AlertmanagerConfigs[0].Scheme)
	for _, bad := range []string{"alertmanagers: [{dns_sd_configs: [{names: [a]}]}]\n", "nosuch: 1\n",
		"alertmanagers: [{scheme: 7s, nosuch: x}]\n", "{"} {
		write(bad)
		_, err = LoadForward(nil, file)
		require.Error(t, err, bad)
	}
	for _, bad := range []string{"ftp://x", "x:9093", "http://", "http://user:secret@x:9093"} {
		_, err = LoadForward([]string{bad}, "")
		require.Error(t, err, bad)
	}
	f, err = LoadForward(nil, "")
	require.NoError(t, err)
	require.Nil(t, f)
}
