//go:build integration

package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/metricstest"
)

// command runs a command of the binary beside the process.
func (a *app) command(ctx context.Context, args ...string) (string, error) {
	c := exec.CommandContext(ctx, *binaryPath, args...)
	c.Env = append(os.Environ(), "WATCHINGCAT_HTTP_ADDR="+a.addr, "WATCHINGCAT_KAFKA_BROKERS="+strings.Join(a.brokers, ","),
		"WATCHINGCAT_DATA_DIR="+a.data(), "WATCHINGCAT_MIN_FREE_DISK_BYTES=67108864")
	out, err := c.CombinedOutput()
	if err != nil {
		err = fmt.Errorf("watchingcat %s: %w\n%s", strings.Join(args, " "), err, out)
	}
	return string(out), err
}

// sendMetrics writes points of delta counters to the topic until it is stopped, and returns how many records it wrote.
func sendMetrics(t *testing.T, brokers []string) (stop func() int64) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n, done := int64(0), make(chan error, 1)
	go func() {
		r := rand.New(rand.NewPCG(*seed, 17))
		before := map[int]pcommon.Timestamp{}
		for i := 0; ctx.Err() == nil; i++ {
			s := i % 3
			now := pcommon.NewTimestampFromTime(time.Now())
			if before[s] == 0 {
				before[s] = now - 1e6
			}
			md := pmetric.NewMetrics()
			ms := metricstest.Resource(md, fmt.Sprint("service", s), "0")
			metricstest.Sum(ms, "hits", pmetric.AggregationTemporalityDelta, before[s], now).SetIntValue(int64(r.IntN(10)))
			metricstest.Gauge(ms, "depth", now, float64(r.IntN(1000)))
			before[s] = now
			m := pmetric.ProtoMarshaler{}
			b, err := m.MarshalMetrics(md)
			if err == nil {
				err = cl.ProduceSync(context.Background(), &kgo.Record{Topic: metricsTopic, Partition: int32(s), Value: b}).FirstErr()
			}
			if err != nil {
				done <- err
				return
			}
			n++
			time.Sleep(10 * time.Millisecond)
		}
		done <- nil
	}()
	return func() int64 {
		cancel()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		cl.Close()
		return n
	}
}

// samplesOf are all samples of the metrics that sendMetrics sends.
func samplesOf(a *app) []string {
	a.t.Helper()
	var body struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Values []json.RawMessage
			}
		}
	}
	err := get(a.t.Context(), "http://"+a.addr+"/prometheus/api/v1/query?query="+url.QueryEscape(`{__name__=~"hits.*|depth.*"}[1h]`), &body)
	if err != nil {
		a.t.Fatal(err)
	}
	var list []string
	for _, r := range body.Data.Result {
		for _, v := range r.Values {
			list = append(list, fmt.Sprint(r.Metric["__name__"], r.Metric["job"], string(v)))
		}
	}
	slices.Sort(list)
	return list
}

// restored starts a process over the newest backup of a folder, with the topics of the one that was backed up.
func restored(t *testing.T, of *app, from string) *app {
	t.Helper()
	b := newApp(t, of.brokers, of.env...)
	out, err := b.command(t.Context(), "restore", from)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(out, "the server continues at") || !strings.Contains(out, topic) {
		t.Fatalf("restore does not say where the server continues:\n%s", out)
	}
	return b
}

// TestBackup backs up a process while it applies a stream and folds. Some time later it is killed, now and then within
// a backup. What starts from a backup continues: in the end no cell and no sample differs from the process that was backed up, and no cell
// from the fold of the topic.
func TestBackup(t *testing.T) {
	a := newApp(t, broker(t), "WATCHINGCAT_DEDUP_WINDOW=0s")
	createTopics(t, a.brokers, metricsTopic)
	a.start()
	a.ready()
	w := startTraffic(t, a.brokers, topic, 2000)
	points := sendMetrics(t, a.brokers)
	to := filepath.Join(t.TempDir(), "backups")
	r := rand.New(rand.NewPCG(*seed, 19))
	var copies []*app
	for i := range max(2, *kills/4) {
		time.Sleep(time.Duration(500+r.IntN(2000)) * time.Millisecond)
		if _, err := a.command(t.Context(), "backup", to, "--keep", "2"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		// Another one is cut off by a kill, of which nothing is restored.
		cut := make(chan error, 1)
		go func() {
			_, err := a.command(t.Context(), "backup", to)
			cut <- err
		}()
		time.Sleep(time.Duration(r.IntN(120)) * time.Millisecond)
		a.Kill()
		<-cut
		copies = append(copies, restored(t, a, to))
		if i == 0 {
			copies[0].start() // beside the other; the others start later
		}
		a.start()
		a.ready()
	}
	for _, c := range copies[1:] {
		c.start()
	}
	sent := w.stop(t) + points()
	a.settled(sent)
	want := samplesOf(a)
	for _, c := range copies {
		c.settled(sent)
		got := samplesOf(c)
		if !slices.Equal(want, got) {
			t.Errorf("%d samples after a restore, the process that was backed up has %d others", len(got), len(want))
		}
		c.Kill()
	}
	a.Kill()
	records, n, _ := exact(t, a, topic, false)
	original := held(t, a.data())
	for _, c := range copies {
		exact(t, c, topic, false)
		if diff := differing(original, held(t, c.data())); len(diff) > 0 {
			t.Errorf("%d cells differ from those of the process that was backed up\n%s", len(diff), report(diff))
		}
	}
	t.Logf("%d restores, %d records, %d samples: 0 of %d cells differ", len(copies), records, len(want), n)
}

// TestBackupControl moves the positions of a restored state: the comparison must fail, or it would prove nothing.
func TestBackupControl(t *testing.T) {
	a := newApp(t, broker(t), "WATCHINGCAT_DEDUP_WINDOW=0s")
	a.start()
	w := startTraffic(t, a.brokers, topic, 2000)
	waitFor(t, func() bool { return w.count() > 500 })
	a.ready()
	to := filepath.Join(t.TempDir(), "backups")
	if _, err := a.command(t.Context(), "backup", to); err != nil {
		t.Fatal(err)
	}
	before := w.count()
	waitFor(t, func() bool { return w.count() > before+500 })
	b := restored(t, a, to)
	db, err := storage.Open(b.data(), storage.Options{MinFreeBytes: 1, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	positions, err := db.Positions(0, 0)
	if err != nil || len(positions) == 0 {
		t.Fatal(positions, err)
	}
	for i := range positions {
		positions[i].Offset++
	}
	if err := errors.Join(db.Commit(storage.Commit{Positions: positions}), db.Close()); err != nil {
		t.Fatal(err)
	}
	sent := w.stop(t)
	b.start()
	b.settled(sent)
	b.Kill()
	mustDiffer(t, b, "a restored state whose positions were moved by one record")
}
