//go:build integration

package integration

import (
	"flag"
	"math/rand/v2"
	"testing"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

var (
	burstSeeds = flag.Int("burst-seeds", 2, "seeds of each burst of TestBurst")
	burstSpans = flag.Int("burst-spans", 200_000, "spans that wait in the topic in TestBurst")
)

// TestBurst starts watchingcat before a topic in which a burst waits, and sends another one while it runs: ordinary spans, and spans of
// which some hold 50 KB that do not compress. It counts each
// exactly and never ends by itself.
func TestBurst(t *testing.T) {
	for _, c := range []struct {
		name  string
		share int // one span in so many is fat; 0: none
		spans int
		env   []string
	}{
		{"ordinary spans", 0, *burstSpans, nil},
		{"fat spans", 20, *burstSpans / 8, nil},
		{"fat spans in little memory", 20, *burstSpans / 8, []string{"WATCHINGCAT_MEMORY_LIMIT=256MiB"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			for n := range *burstSeeds {
				burst(t, *seed+uint64(n), c.share, c.spans, c.env)
			}
		})
	}
}

func burst(t *testing.T, seed uint64, share, spans int, env []string) {
	t.Helper()
	a := newApp(t, broker(t), append([]string{"WATCHINGCAT_DEDUP_WINDOW=0s"}, env...)...)
	r := rand.New(rand.NewPCG(seed, 17))
	junk := make([]byte, 50<<10)
	w := newTraffic(t, a.brokers, topic, func(w *traffic) {
		w.r, w.poison = r, 0
		w.fatten = func(sp ptrace.Span) {
			if share > 0 && r.IntN(share) == 0 {
				for i := range junk {
					junk[i] = byte(r.Uint32())
				}
				sp.Attributes().PutEmptyBytes("junk").FromRaw(junk)
			}
		}
	})
	send := func(n int) {
		for n > 0 {
			now := time.Now()
			w.release(now)
			n -= w.step(now)
		}
	}
	send(spans / 2)
	a.start()
	send(spans - spans/2)
	sent := w.stop(t)
	a.settled(sent) // it fails when the process has ended
	a.Kill()
	records, cells, counted := exact(t, a, topic, false)
	t.Logf("seed %d: %d records, %d spans: 0 of %d cells differ", seed, records, counted, cells)
}
