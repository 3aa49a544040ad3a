package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"golang.org/x/sync/errgroup"
	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/deploy/servers"
)

// clientMix is what deploy/k6/clients.mjs asks too.
type clientMix struct {
	ThinkMS  [2]int `json:"think_ms"`
	Requests []struct {
		Name, Path string
		Weight     int
	}
	Subscriptions []struct {
		View   string
		Weight int
	}
}

// clientBench is users who read and WebSockets that stay open, while spans come in.
type clientBench struct {
	base     string
	pprof    string
	mix      clientMix
	client   *http.Client
	known    atomic.Pointer[knowledge]
	counting atomic.Bool // after the warm-up

	mu     sync.Mutex
	took   map[string][]time.Duration
	failed map[string]int
	first  error // that a request failed with

	open, frames, early atomic.Int64
}

// knowledge is what there is to ask about.
type knowledge struct{ services, traces []string }

// serveClients starts watchingcat on the broker, lets spans come in, then the clients, and shows what they saw.
func serveClients(ctx context.Context, bin, broker, dir string) error {
	b := &clientBench{took: map[string][]time.Duration{}, failed: map[string]int{}}
	text, err := os.ReadFile(filepath.Join(*root, "deploy/k6/mix.json"))
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &b.mix); err != nil {
		return err
	}
	ports := [2]string{}
	for i := range ports {
		port, err := freeport.Servers.Port()
		if err != nil {
			return err
		}
		ports[i] = fmt.Sprintf("127.0.0.1:%d", port)
	}
	b.base, b.pprof = "http://"+ports[0], "http://"+ports[1]
	rules, err := filepath.Abs(filepath.Join(*root, "deploy/compose/rules.yml"))
	if err != nil {
		return err
	}
	env := []string{"WATCHINGCAT_KAFKA_BROKERS=" + broker, "WATCHINGCAT_HTTP_ADDR=" + ports[0], "WATCHINGCAT_PPROF_ADDR=" + ports[1],
		"WATCHINGCAT_DATA_DIR=" + filepath.Join(dir, "data"), "WATCHINGCAT_RULE_FILES=" + rules}
	if w := windows.String(); *windows > 0 {
		env = append(env, "WATCHINGCAT_DEDUP_WINDOW="+w, "WATCHINGCAT_PAIRING_COMPENSATION="+w, "WATCHINGCAT_RETENTION_TRACES="+w+",4GiB",
			"WATCHINGCAT_RETENTION_LOGS="+w+",2GiB")
	}
	p, err := servers.Start(servers.Spec{Name: "watchingcat", Path: bin, Args: []string{"serve"}, Dir: filepath.Join(dir, "clients"),
		Env: env})
	if err != nil {
		return err
	}
	defer p.Kill()
	all, stop := context.WithCancel(ctx)
	defer stop()
	var g errgroup.Group
	total := *warm + *steady + *ramp
	if *k6 != "" {
		total += k6Leave
	}
	acked := 0
	g.Go(func() (err error) {
		acked, err = load(all, bin, broker, "--logs", "--rate", strconv.Itoa(*rate), "--duration", (total + 5*time.Second).String())
		return err
	})
	if err := sleepFor(all, *warm); err != nil {
		return err
	}
	b.client = &http.Client{Transport: &http.Transport{MaxIdleConns: *clients, MaxIdleConnsPerHost: *clients}, Timeout: 30 * time.Second}
	if err := b.learn(all); err != nil {
		return err
	}
	if *k6 != "" {
		if err := b.runK6(all, p.Pid); err != nil {
			return err
		}
		if err := g.Wait(); err != nil {
			return err
		}
		return b.exact(ctx, acked)
	}
	asking, enough := context.WithCancel(all)
	g.Go(func() error { return b.probe(asking) })
	g.Go(func() error {
		for sleepFor(asking, 10*time.Second) == nil {
			if err := b.learn(asking); err != nil && asking.Err() == nil {
				return err
			}
		}
		return nil
	})
	var waiting sync.WaitGroup
	for i := range *sockets {
		waiting.Go(func() { b.watch(asking, rand.New(rand.NewPCG(2, uint64(i)))) })
	}
	for i := range *clients {
		waiting.Go(func() { b.read(asking, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	defer enough()
	if err := sleepFor(all, *ramp); err != nil {
		return err
	}
	before, err := b.state(all, p.Pid, "heap-before.pprof")
	if err != nil {
		return err
	}
	b.counting.Store(true)
	b.frames.Store(0)
	if *profiles != "" {
		g.Go(func() error { return fetchProfiles(all, b.pprof, *profiles, *steady/2) })
	}
	if err := sleepFor(all, *steady); err != nil {
		return err
	}
	after, err := b.state(all, p.Pid, "heap-after.pprof")
	if err != nil {
		return err
	}
	b.counting.Store(false)
	open := b.open.Load()
	enough()
	waiting.Wait()
	if err := g.Wait(); err != nil {
		return err
	}
	b.print(before, after, open)
	return b.exact(ctx, acked)
}

func sleepFor(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func fetchProfiles(ctx context.Context, base, dir string, of time.Duration) error {
	for name, path := range map[string]string{"cpu.pprof": fmt.Sprintf("/debug/pprof/profile?seconds=%d", int(of.Seconds())),
		"goroutine.pprof": "/debug/pprof/goroutine"} {
		body, err := fetch(ctx, http.DefaultClient, base+path)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(dir, name), body, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func fetch(ctx context.Context, c *http.Client, url string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := c.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %d %.300s", url, res.StatusCode, body)
	}
	return body, err
}

// learn asks what there is to ask about: traces come and go.
func (b *clientBench) learn(ctx context.Context) error {
	var services struct{ Services []struct{ Name string } }
	var traces struct{ Traces []struct{ TraceID string } }
	for path, into := range map[string]any{"/api/v1/services": &services, "/api/v1/traces?limit=200": &traces} {
		body, err := fetch(ctx, b.client, b.base+path)
		if err == nil {
			err = json.Unmarshal(body, into)
		}
		if err != nil {
			return err
		}
	}
	var k knowledge
	for _, s := range services.Services {
		k.services = append(k.services, s.Name)
	}
	for _, t := range traces.Traces {
		k.traces = append(k.traces, t.TraceID)
	}
	if len(k.services) == 0 || len(k.traces) == 0 {
		return errors.New("nothing was read yet: a longer -warm is needed")
	}
	b.known.Store(&k)
	return nil
}

// pick is the place of one of the weights, each as often as it weighs.
func pick(r *rand.Rand, n int, weight func(int) int) int {
	sum := 0
	for i := range n {
		sum += weight(i)
	}
	at := r.IntN(sum)
	for i := range n {
		if at -= weight(i); at < 0 {
			return i
		}
	}
	return 0
}

func (b *clientBench) think(ctx context.Context, r *rand.Rand) error {
	least, most := b.mix.ThinkMS[0], b.mix.ThinkMS[1]
	return sleepFor(ctx, time.Duration(least+r.IntN(most-least+1))*time.Millisecond)
}

// read is one user.
func (b *clientBench) read(ctx context.Context, r *rand.Rand) {
	for first := true; ; first = false {
		if first { // not all at once
			if sleepFor(ctx, time.Duration(r.Int64N(int64(*ramp/2)+1))) != nil {
				return
			}
		}
		ask := b.mix.Requests[pick(r, len(b.mix.Requests), func(i int) int { return b.mix.Requests[i].Weight })]
		now := time.Now()
		k := b.known.Load()
		path := strings.NewReplacer("{service}", url.PathEscape(k.services[r.IntN(len(k.services))]), "{trace}",
			k.traces[r.IntN(len(k.traces))], "{hour_ago}", strconv.FormatInt(now.Unix()-3600, 10), "{now}",
			strconv.FormatInt(now.Unix(), 10)).Replace(ask.Path)
		_, err := fetch(ctx, b.client, b.base+path)
		if ctx.Err() != nil {
			return
		}
		if b.counting.Load() {
			b.count(ask.Name, time.Since(now), err)
		}
		if b.think(ctx, r) != nil {
			return
		}
	}
}

// probe measures which part of the waiting is the machine's: how late its own timer is, and how long a request takes that reads no view.
func (b *clientBench) probe(ctx context.Context) error {
	for due := time.Now(); ; {
		due = due.Add(20 * time.Millisecond)
		if sleepFor(ctx, time.Until(due)) != nil {
			return nil
		}
		now := time.Now()
		late := now.Sub(due)
		_, err := fetch(ctx, b.client, b.base+"/livez")
		if ctx.Err() != nil {
			return nil
		}
		if b.counting.Load() {
			b.count(timerRow, late, nil)
			b.count(livezRow, time.Since(now), err)
		}
		if due = due.Add(time.Since(now)); time.Since(due) > 0 {
			due = time.Now()
		}
	}
}

const (
	timerRow = "a timer of the generator is late"
	livezRow = "/livez, which reads no view"
)

func (b *clientBench) count(name string, took time.Duration, err error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.took[name] = append(b.took[name], took)
	if err != nil {
		b.failed[name]++
		if b.first == nil {
			b.first = err
		}
	}
}

// watch is one WebSocket.
func (b *clientBench) watch(ctx context.Context, r *rand.Rand) {
	if sleepFor(ctx, time.Duration(r.Int64N(int64(*ramp/2)+1))) != nil {
		return
	}
	conn, _, err := websocket.Dial(ctx, strings.Replace(b.base, "http", "ws", 1)+"/ws", nil)
	if err == nil {
		defer conn.CloseNow()
		conn.SetReadLimit(-1)
		view := b.mix.Subscriptions[pick(r, len(b.mix.Subscriptions), func(i int) int { return b.mix.Subscriptions[i].Weight })].View
		err = conn.Write(ctx, websocket.MessageText, fmt.Appendf(nil, `{"type":"subscribe","id":"a","view":%q}`, view))
	}
	if err == nil {
		b.open.Add(1)
		defer b.open.Add(-1)
		for {
			var in io.Reader
			if _, in, err = conn.Reader(ctx); err != nil {
				break
			}
			if _, err = io.Copy(io.Discard, in); err != nil {
				break
			}
			b.frames.Add(1)
		}
	}
	if ctx.Err() == nil {
		b.early.Add(1)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.first = errors.Join(b.first, err)
	}
}

// clientState is what the server used until a moment.
type clientState struct {
	at       time.Time
	cpu      time.Duration
	resident int64 // bytes
	heap     int64 // bytes that are in use after a collection
	slow     int64
}

func (b *clientBench) state(ctx context.Context, pid int, name string) (s clientState, err error) {
	heap, err := fetch(ctx, http.DefaultClient, b.pprof+"/debug/pprof/heap?gc=1")
	if err == nil && *profiles != "" {
		err = os.WriteFile(filepath.Join(*profiles, name), heap, 0o600)
	}
	if err != nil {
		return s, err
	}
	u, err := used(pid)
	if err != nil {
		return s, err
	}
	s = clientState{at: time.Now(), cpu: u.cpu}
	for name, v := range map[string]*int64{"process_resident_memory_bytes": &s.resident, "go_memstats_heap_alloc_bytes": &s.heap,
		"watchingcat_ws_slow_clients_total": &s.slow} {
		n, err := sum(ctx, b.base+"/metrics", func(s string) bool { return s == name })
		if err != nil {
			return s, err
		}
		*v = int64(n)
	}
	return s, nil
}

// print shows what was used since a moment before.
func (s clientState) print(before clientState) {
	seconds := s.at.Sub(before.at).Seconds()
	fmt.Printf("watchingcat: %.0f %% of a core; resident %d MiB at the start, %d MiB after %.0f s; heap in use %d and %d MiB\n",
		100*(s.cpu-before.cpu).Seconds()/seconds, before.resident>>20, s.resident>>20, seconds, before.heap>>20, s.heap>>20)
}

// printTook shows how long requests took, and says how many there were.
func (b *clientBench) printTook() int {
	t := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "requests\tfailed\tp50 ms\tp95 ms\tp99 ms\tmax ms\t  \t")
	row := func(name string, took []time.Duration, failed int) {
		if len(took) == 0 {
			return
		}
		slices.Sort(took)
		at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1e3 }
		fmt.Fprintf(t, "%d\t%d\t%.1f\t%.1f\t%.1f\t%.1f\t  %s\t\n", len(took), failed, at(.5), at(.95), at(.99), at(1), name)
	}
	var all []time.Duration
	failed := 0
	for _, q := range b.mix.Requests {
		all, failed = append(all, b.took[q.Name]...), failed+b.failed[q.Name]
		row(q.Name, b.took[q.Name], b.failed[q.Name])
	}
	row("all", all, failed)
	for _, name := range []string{livezRow, timerRow} {
		row(name, b.took[name], b.failed[name])
	}
	_ = t.Flush() // to standard output
	if b.first != nil {
		fmt.Println("the first failure:", b.first)
	}
	return len(all)
}

func (b *clientBench) print(before, after clientState, open int64) {
	asked := b.printTook()
	seconds := after.at.Sub(before.at).Seconds()
	fmt.Printf("%d users, %.0f requests a second; %d of %d WebSockets open, %.0f frames a second, %d closed early, %d closed as too slow\n", *clients, float64(asked)/seconds, open, *sockets,
		float64(b.frames.Load())/seconds, b.early.Load(), after.slow)
	after.print(before)
}

// exact waits until every acknowledged span is counted.
func (b *clientBench) exact(ctx context.Context, acked int) error {
	began := time.Now()
	for {
		n, err := sum(ctx, b.base+"/metrics", func(s string) bool { return s == "watchingcat_spans_total" })
		if err != nil {
			return err
		}
		if n >= acked || time.Since(began) > time.Minute {
			fmt.Printf("%d of %d acknowledged spans counted %.1f s after the last was written\n", n, acked, time.Since(began).Seconds())
			return nil
		}
		if err := sleepFor(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
}
