package notify

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// dyingKV takes some commits more and then none: what the disk is to a process that is killed.
type dyingKV struct {
	storage.KV
	left atomic.Int64
}

func (k *dyingKV) Commit(c storage.Commit) error {
	if k.left.Add(-1) < 0 {
		return errors.New("killed")
	}
	return k.KV.Commit(c)
}

func (k *dyingKV) dead() bool { return k.left.Load() < 0 }

// TestKilledAtEachCommit kills the process before each commit in an alert's life: deciding, handing over, logging the
// notification, and the same for the resolved alert. No notification is missing, and a kill repeats at most one notification.
func TestKilledAtEachCommit(t *testing.T) {
	bubble(t, func(t *testing.T) {
		for kill := range 8 {
			b := newInbox(t)
			disk := storage.NewMem(storage.MemOptions{})
			kv := &dyingKV{KV: disk}
			kv.left.Store(int64(kill))
			w := &world{t: t, r: &evaltest.Reader{}, kv: kv, config: config(b, "")}
			w.start()
			t.Cleanup(w.kill)
			time.Sleep(time.Second) // an evaluation is due
			now := time.Now()
			o := evaltest.Observation{At: now}
			w.r.Span(key("cart"), o, o, o, o)
			w.r.Commit(now)
			until := func(what string) {
				require.Eventually(t, func() bool { return kv.dead() || slices.Contains(b.text(), what) }, 2*time.Minute, time.Millisecond)
			}
			advance := func() error {
				return w.e.Advance(context.Background(), model.Change{Frontier: w.r.Frontier()}, time.Now())
			}
			_ = advance()
			until("web: firing cart")
			if !kv.dead() {
				w.r.Complete(now.Add(10 * time.Minute))
				require.Eventually(t, func() bool { return advance() != nil || kv.dead() || len(w.e.Active()) == 0 }, 2*time.Minute,
					time.Millisecond)
				until("web: resolved cart")
			}
			w.kill()

			w.kv = disk
			w.start()
			require.NoError(t, advance())
			seen := func(what string) {
				t.Helper()
				require.EventuallyWithT(t, func(c *assert.CollectT) { require.Contains(c, b.text(), what) }, 2*time.Minute,
					time.Millisecond, "killed at %d", kill)
			}
			seen("web: firing cart")
			w.calm()
			seen("web: resolved cart")
			w.kill()
			got := strings.Join(b.text(), "; ")
			require.LessOrEqual(t, len(b.text()), 3, "killed at %d: %s", kill, got)
			require.Less(t, strings.LastIndex(got, "firing"), strings.Index(got, "resolved"), "killed at %d: %s", kill, got)
			require.Empty(t, w.e.Active(), "killed at %d", kill)
		}
	})
}
