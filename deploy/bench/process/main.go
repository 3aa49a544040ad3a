// Command process compares whole processes: `watchingcat serve` and a Collector with kafkareceiver, spanmetrics and servicegraph
// each drain the same backlog from a real Kafka, in turn, and the CPU seconds and the peak memory of each are shown.
//
// deploy/servers/setup.sh kafka collector must have run.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/deploy/servers"
)

var (
	spans  = flag.Int("spans", 1_000_000, "spans in the topic")
	reps   = flag.Int("reps", 3, "runs of each")
	runDir = flag.String("run", "../servers/run", "folder that setup.sh filled")
	peer   = flag.Bool("collector", true, "compare with the Collector")
	limit  = flag.String("memory", "", "WATCHINGCAT_MEMORY_LIMIT of the watchingcat processes, as 1GiB; empty: the default")
	steady = flag.Duration("steady", 0, "instead of a backlog: how long spans, log lines and points of metrics come at -rate, -logs and -points")
	rate   = flag.Int("rate", 10_000, "spans a second with -steady")
	logs   = flag.Int("logs", 5_000, "log lines a second with -steady")
	points = flag.Int("points", 20_000, "points of metrics a second with -steady")
	series = flag.Int("series", 50_000, "series that the points are of")
	binary = flag.String("binary", "", "the program watchingcat; empty: it is built")
	root   = flag.String("root", "../..", "the repository")

	clients = flag.Int("clients", 0, "instead of log lines and points with -steady: how many users ask what deploy/k6/mix.json says, while spans come at -rate")
	sockets = flag.Int("sockets", 1000, "WebSockets that are open beside -clients")
	k6      = flag.String("k6", "", "the program k6, which then is the -clients and -sockets")
	warm    = flag.Duration("warm", 30*time.Second, "how long spans come before -clients do")
	ramp    = flag.Duration("ramp", 20*time.Second, "how long -clients ask before it counts")
	windows = flag.Duration("windows", 0,
		"under -clients: de-duplication, compensation and retention of raw data, so that they are full before it counts; 0: the defaults")
	profiles = flag.String("profiles", "", "folder for CPU, heap and goroutine profiles of watchingcat under -clients")
)

func main() {
	flag.Parse()
	if err := run(context.Background()); err != nil {
		fmt.Fprintln(os.Stderr, "process:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "watchingcat-process-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	abs, err := filepath.Abs(*runDir)
	if err != nil {
		return err
	}
	bin := *binary
	if bin == "" {
		bin = filepath.Join(dir, "watchingcat")
		build := exec.CommandContext(ctx, "go", "build", "-o", bin, "./cmd/watchingcat")
		build.Dir = *root
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build: %w\n%s", err, out)
		}
	}
	if *clients == 0 && *steady == 0 {
		return drainBacklogs(ctx, bin, abs, dir)
	}
	broker, end, err := brokerFor(ctx, abs, dir)
	if err != nil {
		return err
	}
	defer end()
	if *clients > 0 {
		if *steady == 0 {
			*steady = 2 * time.Minute
		}
		return serveClients(ctx, bin, broker, dir)
	}
	return keepUp(ctx, bin, broker, dir)
}

// keepUp shows what a process with every view uses while everything comes at a rate.
func keepUp(ctx context.Context, bin, broker, dir string) error {
	port, err := freeport.Servers.Port()
	if err != nil {
		return err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	data := filepath.Join(dir, "data")
	p, err := servers.Start(servers.Spec{Name: "watchingcat", Path: bin, Args: []string{"serve"}, Dir: filepath.Join(dir, "steady"),
		Env: []string{"WATCHINGCAT_KAFKA_BROKERS=" + broker, "WATCHINGCAT_HTTP_ADDR=" + addr, "WATCHINGCAT_DATA_DIR=" + data,
			"GOMAXPROCS=1"}})
	if err != nil {
		return err
	}
	defer p.Kill()
	acked, err := write(ctx, bin, broker)
	if err != nil {
		return err
	}
	u, err := used(p.Pid)
	if err != nil {
		return err
	}
	began, total := time.Now(), 0
	for _, k := range [][2]string{{"spans", "watchingcat_spans_total"}, {"log lines", "watchingcat_log_records_total"},
		{"points", "watchingcat_metric_points_total"}} {
		what, name := k[0], k[1]
		n, err := 0, error(nil)
		for n < acked[what] && time.Since(began) < time.Minute {
			if n, err = sum(ctx, "http://"+addr+"/metrics", func(s string) bool { return strings.HasPrefix(s, name) }); err != nil {
				return err
			}
			time.Sleep(20 * time.Millisecond)
		}
		fmt.Printf("%-10s %9d of %d acknowledged  %7.0f a second\n", what, n, acked[what], float64(n)/steady.Seconds())
		if what == "spans" {
			total = n
		}
	}
	fmt.Printf("all shown %.1f s after the last was written\n", time.Since(began).Seconds())
	var disk, samples int64
	err = filepath.Walk(data, func(name string, f os.FileInfo, err error) error {
		if err == nil && !f.IsDir() {
			disk += f.Size()
			if strings.HasPrefix(name, filepath.Join(data, "metrics")) {
				samples += f.Size()
			}
		}
		return nil
	})
	fmt.Printf("CPU %.1f s of %.0f s: %.0f %% of a core; peak memory %d MiB; %d MiB on disk, %d of them samples; %.0f MiB a million spans with their log lines\n", u.cpu.Seconds(), steady.Seconds(),
		100*u.cpu.Seconds()/steady.Seconds(), u.peak>>20, disk>>20, samples>>20, float64(disk-samples)/float64(total)*1e6/(1<<20))
	return err
}

// write writes spans, log lines and points at their rates, and returns how many of each were acknowledged.
func write(ctx context.Context, bin, broker string) (map[string]int, error) {
	lines, err := logWriter("otlp_logs", *logs)
	if err != nil {
		return nil, err
	}
	metrics, err := pointWriter("otlp_metrics", *points, *series)
	if err != nil {
		return nil, err
	}
	writing, cancel := context.WithTimeout(ctx, *steady)
	defer cancel()
	var g errgroup.Group
	g.Go(func() error { return lines.run(writing, broker) })
	g.Go(func() error { return metrics.run(writing, broker) })
	acked := map[string]int{}
	g.Go(func() (err error) {
		acked["spans"], err = load(ctx, bin, broker, "--rate", strconv.Itoa(*rate), "--duration", steady.String())
		return err
	})
	err = g.Wait()
	acked["log lines"], acked["points"] = int(lines.acked.Load()), int(metrics.acked.Load())
	return acked, err
}

// load writes spans by `watchingcat load`.
func load(ctx context.Context, bin, broker string, args ...string) (int, error) {
	cmd := exec.CommandContext(ctx, bin,
		append([]string{"load", "--kafka-brokers", broker, "--compression", "zstd", "--partition-traces-by-id"}, args...)...)
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return 0, fmt.Errorf("load: %w", err)
	}
	fmt.Print(string(out))
	for _, f := range strings.Fields(string(out)) {
		if v, ok := strings.CutPrefix(f, "acknowledged="); ok {
			return strconv.Atoi(v)
		}
	}
	return 0, fmt.Errorf("load printed %q", out)
}

// usage is what a process used until it had everything.
type usage struct {
	cpu  time.Duration
	sys  time.Duration // the part of the operating system
	peak int64         // bytes resident
	n    int           // spans counted
	wall time.Duration
}

func drainCollector(ctx context.Context, bin, config, broker, dir, group string, n int) (usage, error) {
	if info, err := os.Stat(bin); err == nil && info.IsDir() {
		bin = filepath.Join(bin, "otelcol")
	}
	port, err := freeport.Servers.Port()
	if err != nil {
		return usage{}, err
	}
	text, err := os.ReadFile(config)
	if err != nil {
		return usage{}, err
	}
	// a group of its own, so that each run reads from the beginning
	own := filepath.Join(dir, "config.yaml")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return usage{}, err
	}
	if err := os.WriteFile(own, []byte(strings.Replace(string(text), "group_id: reference", "group_id: "+group, 1)), 0o600); err != nil {
		return usage{}, err
	}
	return drain(ctx, servers.Spec{Name: "collector", Path: bin, Args: []string{"--config", own}, Dir: dir,
		Env: []string{"KAFKA=" + broker, fmt.Sprintf("METRICS=%d", port)}},
		fmt.Sprintf("http://127.0.0.1:%d/metrics", port),
		func(name string) bool { return strings.HasPrefix(name, "traces_span_metrics_calls_total{") }, n)
}

// drain starts a process, waits until the sum of a metric reaches n, and stops it.
func drain(ctx context.Context, spec servers.Spec, url string, is func(string) bool, n int) (usage, error) {
	start := time.Now()
	p, err := servers.Start(spec)
	if err != nil {
		return usage{}, err
	}
	defer p.Kill()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	var u usage
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return u, fmt.Errorf("%d of %d spans counted: %w; it said:\n%s", u.n, n, ctx.Err(), p.Tail(10))
		case <-p.Done():
			return u, fmt.Errorf("it ended:\n%s", p.Tail(10))
		case <-t.C:
		}
		got, err := sum(ctx, url, is)
		if err != nil {
			continue
		}
		if u, err = used(p.Pid); err != nil {
			return u, err
		}
		u.wall, u.n = time.Since(start), got
		if got < n {
			continue
		}
		p.Stop(20 * time.Second)
		return u, nil
	}
}

func sum(ctx context.Context, url string, is func(string) bool) (int, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err
	}
	defer res.Body.Close()
	total := 0.0
	for s := bufio.NewScanner(io.LimitReader(res.Body, 64<<20)); s.Scan(); {
		name, value, ok := strings.Cut(s.Text(), " ")
		if i := strings.LastIndexByte(s.Text(), '}'); i >= 0 {
			name, value = s.Text()[:i+1], s.Text()[i+2:]
		}
		if ok && is(name) {
			v, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			if err != nil {
				return 0, err
			}
			total += v
		}
	}
	return int(total), nil
}

// used reads a process's CPU time and peak memory from /proc.
func used(pid int) (u usage, err error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return u, err
	}
	_, rest, ok := strings.Cut(string(stat), ") ")
	f := strings.Fields(rest)
	if !ok || len(f) < 13 {
		return u, errors.New("/proc/pid/stat has an unknown form")
	}
	user, err1 := strconv.Atoi(f[11])
	system, err2 := strconv.Atoi(f[12])
	const tick = 10 * time.Millisecond // USER_HZ is 100
	u.cpu, u.sys = time.Duration(user+system)*tick, time.Duration(system)*tick
	status, err3 := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for l := range strings.Lines(string(status)) {
		if v, ok := strings.CutPrefix(l, "VmHWM:"); ok {
			kb, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(v), "kB")), 10, 64)
			if err != nil {
				return u, err
			}
			u.peak = kb << 10
		}
	}
	return u, errors.Join(err1, err2, err3)
}
