//go:build integration

package integration

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/deploy/servers"
	"github.com/gaurav/watchingcat/storage"
)

const (
	topic      = "otlp_spans"
	deadLetter = "watchingcat_dead_letter"
	group      = "watchingcat"
	partitions = 4
)

// broker is what the kill tests read from: the in-process broker with its log on disk, or with -real-kafka one Kafka node.
func broker(t *testing.T) []string {
	t.Helper()
	if *realKafka {
		return startKafka(t, 1).Brokers()
	}
	return startKfake(t)
}

func startKfake(t *testing.T) []string {
	t.Helper()
	port, err := freeport.Servers.Port()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "broker")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		t.Fatal(err)
	}
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port), kfake.DataDir(dir))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	for name, n := range map[string]int32{topic: partitions, deadLetter: 1} {
		if err := c.CreateTopic(name, n, nil); err != nil {
			t.Fatal(err)
		}
	}
	return c.ListenAddrs()
}

func startKafka(t *testing.T, nodes int) *servers.Kafka {
	t.Helper()
	fetched(t, "kafka/ready")
	k, err := servers.NewKafka(*runDir, t.TempDir(), nodes)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.Close)
	if err := k.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	createTopics(t, k.Brokers(), topic, deadLetter)
	return k
}

func createTopics(t *testing.T, brokers []string, names ...string) {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for {
		created, err := kadm.NewClient(cl).CreateTopics(ctx, partitions, -1, nil, names...)
		if err == nil {
			err = created.Error()
		}
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatal(err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// TestKill kills watchingcat at random moments of a stream. In the end no cell differs from the fold of the topic. It logs how long each
// start took.
func TestKill(t *testing.T) {
	for _, c := range []struct {
		name  string
		kills int
		dedup string
		start func(*traffic)
	}{
		{"positions alone", *kills, "0s", func(*traffic) {}},
		{"batches sent twice", max(2, *kills/4), "5m", func(w *traffic) { w.resend = 0.05 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newApp(t, broker(t), "WATCHINGCAT_DEDUP_WINDOW="+c.dedup)
			w := startTraffic(t, a.brokers, topic, 2000, c.start)
			took := killing(t, a, c.kills, func() {}, func() {})
			sent := w.stop(t)
			a.settled(sent)
			a.Kill() // the last one: what is compared was committed before it
			records, n, spans := exact(t, a, topic, c.dedup != "0s")
			third := max(1, len(took)/3)
			early, late := median(took[:third]), median(took[len(took)-third:])
			t.Logf("%d kills, %d records, %d spans: 0 of %d cells differ; ready after %v at the median (%v in the first third, %v in the last), %v at most",
				c.kills+1, records, spans, n, median(took), early, late, slices.Max(took).Round(time.Millisecond))
		})
	}
}

func median(list []time.Duration) time.Duration {
	list = slices.Clone(list)
	slices.Sort(list)
	return list[len(list)/2].Round(time.Millisecond)
}

// killing starts and kills, calling alive before each kill and dead after it, and lets it run in the end. It returns how long each
// start took to be ready.
func killing(t *testing.T, a *app, n int, alive, dead func()) []time.Duration {
	t.Helper()
	r := rand.New(rand.NewPCG(*seed, 11))
	var took []time.Duration
	for range n {
		a.start()
		took = append(took, a.ready())
		alive()
		time.Sleep(time.Duration(r.IntN(1000)) * time.Millisecond)
		a.Kill()
		if code := a.ExitCode(); code != -1 {
			t.Fatalf("ended by itself with exit code %d:\n%s", code, a.Tail(20))
		}
		dead()
	}
	a.start()
	return append(took, a.ready())
}

// TestKillControl resumes from the offsets that the group committed instead of the stored positions: the same comparison must
// fail, or it would prove nothing.
func TestKillControl(t *testing.T) {
	a := newApp(t, broker(t), "WATCHINGCAT_DEDUP_WINDOW=0s")
	w := startTraffic(t, a.brokers, topic, 2000)
	last := int64(0)
	killing(t, a, 2, func() { // both kills after the group has committed
		waitFor(t, func() bool {
			n := int64(0)
			for _, o := range groupOffsets(t, a) {
				n += max(0, o.At)
			}
			moved := n > last
			last = n
			return moved
		})
	}, func() { resumeFromGroup(t, a) })
	sent := w.stop(t)
	a.settled(sent)
	a.Kill()
	mustDiffer(t, a, "resuming from group offsets")
}

// mustDiffer fails the test if the views of a stopped process equal the fold of the topic although something was done to them.
func mustDiffer(t *testing.T, a *app, done string) {
	t.Helper()
	o := newOracle(false)
	o.fold(topicRecords(t, a.brokers, topic))
	want := o.cells()
	diff := differing(want, held(t, a.data()))
	if len(diff) == 0 {
		t.Fatalf("%s counted exactly: the comparison sees nothing", done)
	}
	t.Logf("%s: %d of %d cells differ, as they must", done, len(diff), len(want))
}

// resumeFromGroup puts the offsets that the group committed in the place of the stored positions of a stopped process.
func resumeFromGroup(t *testing.T, a *app) {
	t.Helper()
	committed := groupOffsets(t, a)
	db, err := storage.Open(a.data(), storage.Options{MinFreeBytes: 1, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	positions, err := db.Positions(0, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(positions) == 0 {
		t.Fatal("no position is stored")
	}
	for i := range positions {
		p := &positions[i]
		p.Offset, p.LeaderEpoch = max(0, committed[p.Partition].At), -1
	}
	if err := db.Commit(storage.Commit{Positions: positions}); err != nil {
		t.Fatal(err)
	}
}

// groupOffsets are what the group committed of the topic, by partition; none while the group does not exist.
func groupOffsets(t *testing.T, a *app) map[int32]kadm.Offset {
	t.Helper()
	return offsetsOf(t, a, group)
}

// offsetsOf are the offsets in the topic of spans that a group has committed.
func offsetsOf(t *testing.T, a *app, group string) map[int32]kadm.Offset {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(a.brokers...))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	committed, err := kadm.NewClient(cl).FetchOffsets(t.Context(), group)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) {
		t.Fatal(err)
	}
	offsets := map[int32]kadm.Offset{}
	for p, o := range committed[topic] {
		offsets[p] = o.Offset
	}
	return offsets
}

// TestBrokerKill kills Kafka's nodes while producing with required_acks all. Every acknowledged record is in the topic once and
// counted once.
func TestBrokerKill(t *testing.T) {
	for _, nodes := range []int{1, 3} {
		t.Run(fmt.Sprintf("%d nodes", nodes), func(t *testing.T) {
			k := startKafka(t, nodes)
			a := newApp(t, k.Brokers(), "WATCHINGCAT_DEDUP_WINDOW=0s")
			a.start()
			n := uint64(0)
			w := startTraffic(t, a.brokers, topic, 1000, func(w *traffic) {
				// Records that the producer held while the broker was away come after the pairing window. A half alone makes up for
				// that, a second server does not: it counts as unpaired (see deploy/docs/migrate-connectors.md).
				w.single = true
				w.each = func(r *kgo.Record) {
					n++
					r.Key = fmt.Append(nil, "record ", n)
				}
			})
			r := rand.New(rand.NewPCG(*seed, 13))
			for i := range *brokerKills {
				before := w.count()
				waitFor(t, func() bool { return w.count() > before+200 })
				time.Sleep(time.Duration(r.IntN(500)) * time.Millisecond)
				k.Kill(i % nodes)
				time.Sleep(time.Duration(r.IntN(1500)) * time.Millisecond)
				if err := k.StartNode(t.Context(), i%nodes); err != nil {
					t.Fatal(err)
				}
			}
			before := w.count()
			waitFor(t, func() bool { return w.count() > before+200 })
			acked := w.stop(t)
			times := map[string]int{}
			log := topicRecords(t, a.brokers, topic)
			for _, r := range log {
				times[string(r.Key)]++
			}
			for _, r := range w.acked {
				if times[string(r.Key)] != 1 {
					t.Errorf("%s was acknowledged and is %d times in the topic", r.Key, times[string(r.Key)])
				}
			}
			a.settled(int64(len(log)))
			a.Kill()
			records, cellsCompared, spans := exact(t, a, topic, false)
			t.Logf("%d kills, %d acknowledged, %d in the topic, %d spans: 0 of %d cells differ", *brokerKills, acked, records, spans,
				cellsCompared)
		})
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	end := time.Now().Add(patience)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("did not happen within %v", patience)
		}
		time.Sleep(10 * time.Millisecond)
	}
}
