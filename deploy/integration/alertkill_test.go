//go:build integration

package integration

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
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
)

const killRules = `groups:
  - name: kill
    interval: 1s
    rules:
      - alert: Errors
        expr: sum by (service_name) (increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[30s])) > 2
        for: 2s
`

// inbox is a webhook that keeps its notifications, by service.
type inbox struct {
	*httptest.Server
	mu      sync.Mutex
	notices map[string][]notice
}

type notice struct {
	at     time.Time
	status string
}

func newInbox(t *testing.T) *inbox {
	b := &inbox{notices: map[string][]notice{}}
	b.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct {
			Alerts []struct {
				Status string            `json:"status"`
				Labels map[string]string `json:"labels"`
			} `json:"alerts"`
		}
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		b.mu.Lock()
		defer b.mu.Unlock()
		for _, a := range body.Alerts {
			name := a.Labels["service_name"]
			b.notices[name] = append(b.notices[name], notice{time.Now(), a.Status})
		}
	}))
	t.Cleanup(b.Close)
	return b
}

func (b *inbox) of(service string) []notice {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.notices[service])
}

// TestAlertKill kills watchingcat at random moments while alerts become pending, fire and resolve, one beginning every second. Every
// alert is notified, and notified as resolved; a kill repeats each at most once; no silence is lost; `for` waits no longer than it must.
func TestAlertKill(t *testing.T) {
	in := newInbox(t)
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	receivers := strings.ReplaceAll(strings.ReplaceAll(latencyReceivers, "URL", in.URL), "send_resolved: false", "send_resolved: true")
	a := newApp(t, startKfake(t), "WATCHINGCAT_RULE_FILES="+file("rules.yml", killRules),
		"WATCHINGCAT_ALERTMANAGER_CONFIG="+file("alertmanager.yml", receivers))
	a.start()
	a.ready()
	silence := silenceQuiet(t, a)

	life := startLives(t, a.brokers)
	r := rand.New(rand.NewPCG(*seed, 23))
	var killed []time.Time
	var down time.Duration // longest without an evaluation
	var since time.Time    // when it was ready last
	for range *kills {
		time.Sleep(time.Duration(r.IntN(2500)) * time.Millisecond)
		a.Kill()
		killed = append(killed, time.Now())
		if since.IsZero() {
			since = killed[len(killed)-1]
		}
		a.start()
		if r.IntN(3) > 0 { // sometimes it is killed while it starts
			a.ready()
			down, since = max(down, time.Since(since)), time.Time{}
		}
	}
	lives := life.stop()
	a.ready()
	if !since.IsZero() {
		down = max(down, time.Since(since))
	}
	waitFor(t, func() bool {
		for service := range lives {
			if list := in.of(service); !quiet(service) && (len(list) == 0 || list[len(list)-1].status != "resolved") {
				return false
			}
		}
		return true
	})
	repeats := 0
	for service, born := range lives {
		list := in.of(service)
		if quiet(service) {
			if len(list) > 0 {
				t.Errorf("%s is silenced and was notified: %v", service, list)
			}
			continue
		}
		if list[0].status != "firing" {
			t.Errorf("%s: the first notification is %v", service, list)
		}
		during := 0
		for _, k := range killed {
			if k.After(born) && k.Before(list[len(list)-1].at.Add(time.Second)) {
				during++
			}
		}
		if extra := len(list) - 2; extra > during {
			t.Errorf("%s: notified %d times more than once by %d kills: %v", service, extra, during, list)
		} else {
			repeats += extra
		}
	}
	var silences []struct{ ID string }
	if err := get(t.Context(), "http://"+a.addr+"/alertmanager/api/v2/silences", &silences); err != nil || len(silences) != 1 ||
		silences[0].ID != silence {
		t.Errorf("silences %v, want %s (%v)", silences, silence, err)
	}
	drift := forDrift(t, a, 2*time.Second)
	if limit := time.Second + down + time.Second; slices.Max(drift) > limit || slices.Min(drift) < 0 {
		t.Errorf("`for` waited %v to %v longer than it says; an interval, the longest time down and a span of data are %v",
			slices.Min(drift), slices.Max(drift), limit)
	}
	t.Logf("%d kills, %d alerts: none missed, %d notified again, silence kept; `for` %v longer than it says at the median, %v at most (longest time down %v)", len(killed), len(lives),
		repeats, median(drift), slices.Max(drift).Round(time.Millisecond), down.Round(time.Millisecond))
}

func quiet(service string) bool { return strings.HasPrefix(service, "quiet-") }

func silenceQuiet(t *testing.T, a *app) string {
	t.Helper()
	body := fmt.Sprintf(`{"matchers":[{"name":"service_name","value":"quiet-.*","isRegex":true,"isEqual":true}],"startsAt":%q,"endsAt":%q,"createdBy":"me","comment":"known"}`,
		time.Now().UTC().Format(time.RFC3339), time.Now().Add(time.Hour).UTC().Format(time.RFC3339))
	resp, err := http.Post("http://"+a.addr+"/alertmanager/api/v2/silences", "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	var answer struct{ SilenceID string }
	if err := json.NewDecoder(bytes.NewReader(b)).Decode(&answer); err != nil || answer.SilenceID == "" {
		t.Fatalf("silence: %s", b)
	}
	return answer.SilenceID
}

// lives are services that fail for five seconds each, one after the other.
type lives struct {
	done  chan struct{}
	ended chan map[string]time.Time
}

func startLives(t *testing.T, brokers []string) *lives {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	l := &lives{make(chan struct{}), make(chan map[string]time.Time, 1)}
	go func() {
		defer cl.Close()
		born := map[string]time.Time{}
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		stopping, n := false, 0
		for {
			<-tick.C
			select {
			case <-l.done:
				stopping = true
			default:
			}
			if !stopping {
				name := fmt.Sprintf("life-%d", n)
				if n%5 == 0 {
					name = fmt.Sprintf("quiet-%d", n)
				}
				born[name] = time.Now()
			}
			alive := false
			for name, at := range born {
				if age := time.Since(at); age < 5*time.Second {
					alive = true
					n++
					_ = cl.ProduceSync(t.Context(), kgo.SliceRecord(failingSpans(t, name, n))).FirstErr() // the broker is in this process
				}
			}
			n++
			if stopping && !alive {
				l.ended <- born
				return
			}
		}
	}()
	return l
}

func (l *lives) stop() map[string]time.Time {
	close(l.done)
	return <-l.ended
}

// forDrift is how much longer than it has to each alert was pending.
func forDrift(t *testing.T, a *app, hold time.Duration) []time.Duration {
	t.Helper()
	pending := map[string]time.Time{}
	var out []time.Duration
	var all []transition
	next := ""
	for {
		var page struct {
			History []transition
			Next    string
		}
		if err := get(t.Context(), "http://"+a.addr+"/api/v1/alerts/history?limit=1000"+next, &page); err != nil {
			t.Fatal(err)
		}
		all = append(all, page.History...)
		if page.Next == "" {
			break
		}
		next = "&next=" + page.Next
	}
	slices.SortFunc(all, func(a, b transition) int { return a.Time.Compare(b.Time) })
	for _, x := range all {
		switch x.To {
		case "pending":
			pending[x.Fingerprint] = x.Time
		case "firing":
			if at, ok := pending[x.Fingerprint]; ok {
				out = append(out, x.Time.Sub(at)-hold)
			}
		}
	}
	if len(out) == 0 {
		t.Fatal("no alert was pending before it fired")
	}
	return out
}

type transition struct {
	Time        time.Time
	Fingerprint string
	To          string
}
