//go:build integration

package integration

import (
	"flag"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

var ownWrites = flag.Int("own-writes", 1000, "how many acknowledged records TestReadYourWrites asks for")

// TestReadYourWrites: what Kafka has acknowledged is in each answer that requires it by min_position, or there is no answer.
func TestReadYourWrites(t *testing.T) {
	a := newApp(t, broker(t), "WATCHINGCAT_LIMIT_SERVICES=100000", "WATCHINGCAT_LIMIT_SERIES=1000000")
	a.start()
	a.ready()
	cl, err := kgo.NewClient(kgo.SeedBrokers(a.brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(0),
		kgo.DefaultProduceTopic(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer cl.Close()
	var (
		next, late atomic.Int64
		mu         sync.Mutex
		took       []time.Duration
		wg         sync.WaitGroup
	)
	for range 32 {
		wg.Go(func() {
			for i := next.Add(1); i <= int64(*ownWrites) && !t.Failed(); i = next.Add(1) {
				service := fmt.Sprintf("own-%d", i)
				r := kgo.SliceRecord(failingSpans(t, service, int(i)))
				if err := cl.ProduceSync(t.Context(), r).FirstErr(); err != nil {
					t.Error(err)
					return
				}
				acked := time.Now()
				err := get(t.Context(), fmt.Sprintf("http://%s/api/v1/services/%s?min_position=%s/%d/%d&timeout=30s", a.addr, service, r.Topic,
					r.Partition, r.Offset), nil)
				if err != nil && strings.Contains(err.Error(), "504") {
					late.Add(1) // an error, never an older state
					continue
				}
				if err != nil {
					t.Errorf("%s: %v", service, err)
					return
				}
				mu.Lock()
				took = append(took, time.Since(acked))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if t.Failed() || len(took) == 0 {
		t.Fatalf("%d answers", len(took))
	}
	slices.Sort(took)
	t.Logf("%d acknowledged records were in the answers that required them, %d answers came too late; p50 %v, p99 %v", len(took), late.Load(),
		took[len(took)/2].Round(time.Millisecond), took[len(took)*99/100].Round(time.Millisecond))
}
