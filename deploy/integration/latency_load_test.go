//go:build integration

package integration

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/deploy/servers"
)

// heardOf notes when a webhook first heard of each service, by alert and service.
type heardOf struct {
	*httptest.Server
	mu sync.Mutex
	at map[[2]string]time.Time
}

func newHeardOf(t *testing.T) *heardOf {
	h := &heardOf{at: map[[2]string]time.Time{}}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var body struct {
			Alerts []struct {
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			return // no notification
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, a := range body.Alerts {
			key := [2]string{a.Labels["alertname"], a.Labels["service_name"]}
			if _, ok := h.at[key]; !ok {
				h.at[key] = time.Now()
			}
		}
	}))
	t.Cleanup(h.Close)
	return h
}

// after is how long after a time each service was heard of, ascending; missing ones are named.
func (h *heardOf) after(alert string, acked map[string]time.Time) (list []time.Duration, missing []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for service, at := range acked {
		if heard, ok := h.at[[2]string{alert, service}]; ok {
			list = append(list, heard.Sub(at))
		} else {
			missing = append(missing, service)
		}
	}
	slices.Sort(list)
	return list, missing
}

// errorsComplete is Errors, but waits until all data is there: vector() is no counter.
const errorsComplete = `      - alert: ErrorsComplete
        expr: sum by (service_name) (increase(traces_span_metrics_calls_total{service_name=~"round-.*",status_code="STATUS_CODE_ERROR"}[1m])) > 3 and on () vector(1)
`

// underLoad is latencyRules, errorsComplete and a thousand rules, each on up to ten of the shop's series.
func underLoad() string {
	var b strings.Builder
	b.WriteString(strings.Replace(latencyRules, "> 2", "> 3", 1) + errorsComplete)
	services := []string{"frontend", "catalog", "recommendation", "review", "search", "auth", "cart", "pricing", "checkout", "payment"}
	for g := range 100 {
		fmt.Fprintf(&b, "  - name: load-%d\n    rules:\n", g)
		for r := range 10 {
			fmt.Fprintf(&b, "      - {alert: Load%d, expr: 'sum(increase(traces_span_metrics_calls_total{service_name=\"%s\"}[5m])) > %d'}\n", g*10+r, services[r], 1_000_000+g)
		}
	}
	return b.String()
}

// TestLatencyUnderLoad measures from Kafka's acknowledgement to the webhook while 10,000 spans a second come in and a thousand rules are
// evaluated, and beside it, on the same records, a Collector with spanmetrics that a Prometheus scrapes and evaluates every 15 s, with
// an Alertmanager of default settings. It asserts that every alert arrives at both.
func TestLatencyUnderLoad(t *testing.T) {
	k := startKafka(t, 1)
	ours, theirs := newHeardOf(t), newHeardOf(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	a := newApp(t, k.Brokers(), "WATCHINGCAT_RULE_FILES="+file("rules.yml", underLoad()),
		"WATCHINGCAT_ALERTMANAGER_CONFIG="+file("alertmanager.yml", strings.ReplaceAll(latencyReceivers, "URL", ours.URL)))
	a.start()
	a.ready()

	metrics, web, am := port(t), port(t), port(t)
	startCollector(t, "reference", "KAFKA="+k.Brokers()[0], fmt.Sprint("METRICS=", metrics))
	start := func(name string, args ...string) {
		p, err := servers.Start(servers.Spec{Name: name, Path: fetched(t, name), Args: args, Dir: t.TempDir()})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(p.Kill)
	}
	start("alertmanager", "--config.file",
		file("theirs.yml", fmt.Sprintf("route: {receiver: test, group_by: [alertname, service_name]}\nreceivers: [{name: test, webhook_configs: [{url: '%s'}]}]\n", theirs.URL)), "--web.listen-address", fmt.Sprintf("127.0.0.1:%d", am), "--cluster.listen-address=", "--storage.path", t.TempDir(), "--log.level=error")
	start("prometheus", "--config.file",
		file("prometheus.yml", fmt.Sprintf("global: {scrape_interval: 15s, evaluation_interval: 15s}\nrule_files: [%s]\nscrape_configs: [{job_name: spanmetrics, static_configs: [{targets: ['127.0.0.1:%d']}]}]\nalerting: {alertmanagers: [{static_configs: [{targets: ['127.0.0.1:%d']}]}]}\n",
			file("theirs-rules.yml", strings.Replace(latencyRules, "> 2", "> 3", 1)), metrics, am)), "--web.listen-address",
		fmt.Sprintf("127.0.0.1:%d", web), "--storage.tsdb.path", t.TempDir(), "--log.level", "error")

	load, err := servers.Start(servers.Spec{Name: "load", Path: *binaryPath, Args: []string{"load", "--rate", "10000"},
		Env: []string{"WATCHINGCAT_KAFKA_BROKERS=" + strings.Join(k.Brokers(), ",")}, Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(load.Kill)

	cl, err := kgo.NewClient(kgo.SeedBrokers(a.brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	send := func(service string, n int) time.Time {
		if err := cl.ProduceSync(t.Context(), kgo.SliceRecord(failingSpans(t, service, n))).FirstErr(); err != nil {
			t.Fatal(err)
		}
		return time.Now()
	}
	name := func(i int) string { return fmt.Sprintf("round-%d", i) }
	for i := range *rounds { // Prometheus does not see the increase of a series that it has not seen before
		send(name(i), i)
	}
	time.Sleep(75 * time.Second) // until those are out of the window
	acked := map[string]time.Time{}
	for i := range *rounds {
		send(name(i), 1000+2*i)
		acked[name(i)] = send(name(i), 1001+2*i)
		time.Sleep(time.Duration(400+i*37%700) * time.Millisecond)
	}
	waitFor(t, func() bool {
		_, missing := ours.after("Errors", acked)
		_, waiting := ours.after("ErrorsComplete", acked)
		_, other := theirs.after("Errors", acked)
		return len(missing)+len(waiting)+len(other) == 0
	})
	at := func(list []time.Duration, q float64) time.Duration {
		return list[int(q*float64(len(list)-1))].Round(time.Millisecond)
	}
	for who, h := range map[string]*heardOf{"watchingcat": ours, "collector, prometheus and alertmanager": theirs} {
		list, missing := h.after("Errors", acked)
		if len(missing) > 0 {
			t.Errorf("%s never notified of %v", who, missing)
			continue
		}
		t.Logf("%s: %d rounds under 10K spans/s, webhook p50 %v p99 %v max %v", who, len(list), at(list, .5), at(list, .99), at(list, 1))
	}
	// What waits for all data sees a bucket when it is over, and that is known when every partition has been read so far.
	ends := map[string]time.Time{}
	for service, at := range acked {
		ends[service] = at.Truncate(10 * time.Second).Add(10 * time.Second)
	}
	list, missing := ours.after("ErrorsComplete", ends)
	if len(missing) > 0 {
		t.Fatalf("watchingcat never notified that %v fail, although all data was there", missing)
	}
	t.Logf("watchingcat: %d rounds, rules that wait for all data, after the end of the bucket: webhook p50 %v p99 %v max %v", len(list),
		at(list, .5), at(list, .99), at(list, 1))
}
