//go:build integration

// Package integration holds the promise against real servers and real kills: what the views hold is compared, cell by cell, with
// an oracle that folds the topic on its own (oracle_test.go), and with what the collector's connectors count.
package integration

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/deploy/servers"
)

var (
	binaryPath  = flag.String("watchingcat", "", "binary under test; built from this tree when empty")
	runDir      = flag.String("servers", "../servers/run", "folder that setup.sh filled")
	kills       = flag.Int("kills", 8, "how often watchingcat is killed")
	brokerKills = flag.Int("broker-kills", 3, "how often each kind of Kafka cluster is killed")
	rounds      = flag.Int("rounds", 50, "alerts measured from Kafka's acknowledgement to the webhook")
	realKafka   = flag.Bool("real-kafka", false, "kill watchingcat in front of Apache Kafka rather than the in-process broker")
	seed        = flag.Uint64("seed", 1, "of the traffic and of the moments of the kills")
)

func TestMain(m *testing.M) {
	flag.Parse()
	code, err := withBinary(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func withBinary(m *testing.M) (int, error) {
	var err error
	if *runDir, err = filepath.Abs(*runDir); err != nil {
		return 1, err
	}
	if *binaryPath == "" {
		dir, err := os.MkdirTemp("", "watchingcat")
		if err != nil {
			return 1, err
		}
		defer os.RemoveAll(dir)
		*binaryPath = filepath.Join(dir, "watchingcat")
		cmd := exec.Command("go", "build", "-o", *binaryPath, "../../cmd/watchingcat")
		if out, err := cmd.CombinedOutput(); err != nil {
			return 1, fmt.Errorf("build watchingcat: %w\n%s", err, out)
		}
	}
	return m.Run(), nil
}

// fetched fails the test when setup.sh has not put a part into place: a test that cannot run has not passed.
func fetched(t *testing.T, part string) string {
	t.Helper()
	path := filepath.Join(*runDir, part)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("%v: run deploy/servers/setup.sh first, as make integration does", err)
	}
	return path
}

// app is one `watchingcat serve` with its data folder; it may be started many times.
type app struct {
	t       *testing.T
	dir     string // of data and log
	addr    string
	brokers []string
	env     []string
	*servers.Process
}

func newApp(t *testing.T, brokers []string, env ...string) *app {
	t.Helper()
	port, err := freeport.Servers.Port()
	if err != nil {
		t.Fatal(err)
	}
	a := &app{t: t, dir: t.TempDir(), addr: fmt.Sprintf("127.0.0.1:%d", port), brokers: brokers, env: env}
	t.Cleanup(func() {
		if a.Process != nil {
			a.Kill()
			if t.Failed() {
				t.Logf("last of watchingcat's log:\n%s", a.Tail(15))
			}
		}
	})
	return a
}

func (a *app) data() string { return filepath.Join(a.dir, "data") }

func (a *app) start() {
	a.t.Helper()
	env := append([]string{
		"WATCHINGCAT_HTTP_ADDR=" + a.addr, "WATCHINGCAT_DATA_DIR=" + a.data(), "WATCHINGCAT_KAFKA_BROKERS=" + strings.Join(a.brokers, ","),
		"WATCHINGCAT_MIN_FREE_DISK_BYTES=67108864",
	}, a.env...)
	p, err := servers.Start(servers.Spec{Name: "watchingcat", Path: *binaryPath, Args: []string{"serve"}, Env: env, Dir: a.dir})
	if err != nil {
		a.t.Fatal(err)
	}
	a.Process = p
}

// patience is how long anything may take before a test gives up: long, because how fast a machine is says nothing about whether the product
// is right.
const patience = 5 * time.Minute

// ready waits until the process says that it is caught up, and returns how long that took.
func (a *app) ready() time.Duration {
	a.t.Helper()
	start := time.Now()
	a.answers("/health/ready")
	return time.Since(start)
}

// up waits until the process answers. It is not ready before the topics are there, which a collector makes.
func (a *app) up() {
	a.t.Helper()
	a.answers("/health/live")
}

func (a *app) answers(path string) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	if err := a.WaitFor(ctx, func() error { return get(ctx, "http://"+a.addr+path, nil) }); err != nil {
		a.t.Fatalf("%s within %v: %v", path, patience, err)
	}
}

// metric is the sum over a metric's series on /metrics.
func (a *app) metric(name string) (float64, error) {
	samples, err := scrape(a.t.Context(), "http://"+a.addr+"/metrics")
	if err != nil {
		return 0, err
	}
	sum, found := 0.0, false
	for _, s := range samples {
		if s.name == name {
			sum, found = sum+s.value, true
		}
	}
	if !found {
		return 0, fmt.Errorf("no series of %s", name)
	}
	return sum, nil
}

// settled waits until the views hold the whole topic and no span half waits any more.
func (a *app) settled(records int64) {
	a.t.Helper()
	ctx, cancel := context.WithTimeout(a.t.Context(), patience)
	defer cancel()
	err := a.WaitFor(ctx, func() error {
		if err := get(ctx, "http://"+a.addr+"/health/ready", nil); err != nil {
			return err
		}
		held := 0.0
		for _, p := range a.partitions() {
			held += p
		}
		if int64(held) < records {
			return fmt.Errorf("views hold %v of %d records", held, records)
		}
		waiting, err := a.metric("watchingcat_span_halves_waiting")
		if err == nil && waiting > 0 {
			err = fmt.Errorf("%v span halves wait", waiting)
		}
		return err
	})
	if err != nil {
		a.t.Fatalf("not settled within %v: %v", patience, err)
	}
}

// partitions are the positions of the partitions as /api/v1/pipeline reports them.
func (a *app) partitions() []float64 {
	var body struct {
		Partitions []struct{ Position float64 } `json:"partitions"`
	}
	if err := get(a.t.Context(), "http://"+a.addr+"/api/v1/pipeline", &body); err != nil {
		return nil
	}
	var list []float64
	for _, p := range body.Partitions {
		list = append(list, p.Position)
	}
	return list
}

// get reads a JSON answer; other than 200 is an error with the body.
func get(ctx context.Context, url string, into any) error {
	_, err := getWith(ctx, url, into)
	return err
}

// getWith is get with the headers of the answer.
func getWith(ctx context.Context, url string, into any) (http.Header, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s: %s", url, resp.Status, b)
	}
	if into == nil {
		return resp.Header, nil
	}
	if text, ok := into.(*string); ok {
		*text = string(b)
		return resp.Header, nil
	}
	return resp.Header, json.Unmarshal(b, into)
}

// sample is one series with its value.
type sample struct {
	name   string
	labels map[string]string
	value  float64
}

// query asks watchingcat's PromQL.
func (a *app) query(expr string) []sample {
	a.t.Helper()
	var body struct {
		Data struct {
			Result []struct {
				Metric map[string]string `json:"metric"`
				Value  [2]any            `json:"value"`
			} `json:"result"`
		} `json:"data"`
	}
	if err := get(a.t.Context(), "http://"+a.addr+"/prometheus/api/v1/query?query="+url.QueryEscape(expr), &body); err != nil {
		a.t.Fatal(err)
	}
	var list []sample
	for _, r := range body.Data.Result {
		text, _ := r.Value[1].(string)
		v, err := strconv.ParseFloat(text, 64)
		if err != nil {
			a.t.Fatal(err)
		}
		list = append(list, sample{r.Metric["__name__"], r.Metric, v})
	}
	return list
}
