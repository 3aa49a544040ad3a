//go:build integration

package integration

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/metricstest"
)

// TestReplayKill replays a live stream, kills the process three times on the way and reads all the while. In the end the new
// version equals the fold of the topic, counters that were sent as deltas have the sum of all increments, the old version is gone,
// and no answer was an error, older than the one before or of an earlier version.
func TestReplayKill(t *testing.T) {
	a := newApp(t, broker(t), "WATCHINGCAT_DEDUP_WINDOW=0s")
	createTopics(t, a.brokers, metricsTopic)
	w := startTraffic(t, a.brokers, topic, 4000)
	d := startDeltas(t, a.brokers)
	a.start()
	a.ready()
	time.Sleep(20 * time.Second)
	reads := startReads(t, a)
	postReplay(t, a)
	r := rand.New(rand.NewPCG(*seed, 13))
	running := 0
	for range 3 {
		time.Sleep(time.Duration(100+r.IntN(800)) * time.Millisecond)
		reads.pause(func() {
			a.Kill()
			if state(t, a) == "running" {
				running++
			}
			a.start()
			a.ready()
		})
	}
	begun := time.Now()
	var done struct {
		State   string
		Error   *string
		Version int64
		Records int64
		Rate    float64
	}
	waitFor(t, func() bool {
		if err := get(t.Context(), "http://"+a.addr+"/api/v1/replays/1", &done); err != nil {
			t.Fatal(err)
		}
		if done.State == "failed" {
			t.Fatal(*done.Error)
		}
		return done.State == "swapped"
	})
	took := time.Since(begun)
	sent := w.stop(t)
	hits := d.stop(t)
	a.settled(sent)
	for end := time.Now().Add(time.Minute); ; time.Sleep(50 * time.Millisecond) {
		got := a.query("hits_total")
		if len(got) == 1 && got[0].value == hits {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("the counter is %v, the increments that were sent sum up to %v", got, hits)
		}
	}
	n := reads.stop(t)
	if reads.version != done.Version {
		t.Errorf("answers of version %d after the swap to %d", reads.version, done.Version)
	}
	a.Kill()
	records, cells, spans := exact(t, a, topic, false)
	if running == 0 {
		t.Error("no kill came while the replay ran")
	}
	t.Logf("3 kills, %d of them while the replay ran, %d records, %d spans: 0 of %d cells differ; a counter of deltas has all %v; %d reads, none failed; swapped %v after the last kill",
		running, records, spans, cells, hits, n, took.Round(100*time.Millisecond))
	db := openData(t, a)
	defer db.Close()
	if ps, err := db.Positions(0, 0); err != nil || len(ps) != 0 {
		t.Errorf("version 0 is still there: %v, %v", ps, err)
	}
	folders := samples.Folders{DataDir: a.data()}
	if left, err := folders.Versions(); err != nil || len(left) != 1 || left[0] != 1 {
		t.Errorf("samples of versions %v are left, %v", left, err)
	}
}

// deltas writes a counter's increments to the metrics topic, dealt out to partitions.
type deltas struct {
	cl     *kgo.Client
	sum    float64
	cancel context.CancelFunc
	done   chan error
}

func startDeltas(t *testing.T, brokers []string) *deltas {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.UniformBytesPartitioner(1, false, false, nil)))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	d := &deltas{cl: cl, cancel: cancel, done: make(chan error, 1)}
	go func() { d.done <- d.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		cl.Close()
	})
	return d
}

func (d *deltas) run(ctx context.Context) error {
	r := rand.New(rand.NewPCG(*seed, 17))
	before := time.Now()
	for tick := time.NewTicker(20 * time.Millisecond); ; {
		select {
		case <-ctx.Done():
			tick.Stop()
			return nil
		case <-tick.C:
		}
		now, n := time.Now(), r.IntN(10)
		if now.UnixMilli() == before.UnixMilli() {
			continue // samples are distinguished by the millisecond
		}
		md := pmetric.NewMetrics()
		ms := metricstest.Resource(md, "cart", "cart-0")
		metricstest.Sum(ms, "hits", pmetric.AggregationTemporalityDelta, pcommon.NewTimestampFromTime(before),
			pcommon.NewTimestampFromTime(now)).SetIntValue(int64(n))
		var m pmetric.ProtoMarshaler
		b, err := m.MarshalMetrics(md)
		if err != nil {
			return err
		}
		if err := d.cl.ProduceSync(context.WithoutCancel(ctx), &kgo.Record{Topic: metricsTopic, Value: b}).FirstErr(); err != nil {
			return err
		}
		d.sum, before = d.sum+float64(n), now
	}
}

// stop ends the writing and returns the sum of what was acknowledged.
func (d *deltas) stop(t *testing.T) float64 {
	t.Helper()
	d.cancel()
	if err := <-d.done; err != nil {
		t.Fatal(err)
	}
	return d.sum
}

func openData(t *testing.T, a *app) *storage.DB {
	t.Helper()
	db, err := storage.Open(a.data(), storage.Options{MinFreeBytes: 1, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// state is that of the replay in the data folder of a killed process.
func state(t *testing.T, a *app) string {
	t.Helper()
	db := openData(t, a)
	defer db.Close()
	found := ""
	prefix := storage.Key(0, 0, storage.TableReplay, 'r')
	err := db.Scan(prefix, storage.PrefixEnd(prefix), func(_, v []byte) error {
		if strings.Contains(string(v), `"state":"running"`) {
			found = "running"
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func postReplay(t *testing.T, a *app) {
	t.Helper()
	resp, err := http.Post("http://"+a.addr+"/api/v1/replays", "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusAccepted {
		b, _ := io.ReadAll(resp.Body)
		t.Fatalf("begin a replay: %s: %s", resp.Status, b)
	}
}

// reads asks for the services again and again, but while paused.
type reads struct {
	a      *app
	mu     sync.Mutex // held during a read, and while reads are forbidden
	cancel context.CancelFunc
	done   chan struct{}

	n       int
	version int64
	calls   int64
	failed  error
}

func startReads(t *testing.T, a *app) *reads {
	ctx, cancel := context.WithCancel(t.Context())
	r := &reads{a: a, cancel: cancel, done: make(chan struct{})}
	start := time.Now().Add(-time.Hour).Unix()
	go func() {
		defer close(r.done)
		for ctx.Err() == nil {
			r.mu.Lock()
			if err := r.read(ctx, start); err != nil && ctx.Err() == nil && r.failed == nil {
				r.failed = err
			}
			r.mu.Unlock()
			time.Sleep(2 * time.Millisecond)
		}
	}()
	return r
}

func (r *reads) read(ctx context.Context, start int64) error {
	var body struct {
		Services []struct{ Calls int64 }
		Meta     struct {
			ViewVersion int64 `json:"view_version"`
		}
	}
	if err := get(ctx, fmt.Sprintf("http://%s/api/v1/services?start=%d&end=%d", r.a.addr, start, start+7200), &body); err != nil {
		return err
	}
	calls := int64(0)
	for _, s := range body.Services {
		calls += s.Calls
	}
	if body.Meta.ViewVersion < r.version || calls < r.calls {
		return fmt.Errorf("version %d with %d calls after version %d with %d", body.Meta.ViewVersion, calls, r.version, r.calls)
	}
	r.n, r.version, r.calls = r.n+1, body.Meta.ViewVersion, calls
	return nil
}

func (r *reads) pause(fn func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	fn()
}

func (r *reads) stop(t *testing.T) int {
	t.Helper()
	r.cancel()
	<-r.done
	if r.failed != nil {
		t.Errorf("after %d reads: %v", r.n, r.failed)
	}
	return r.n
}
