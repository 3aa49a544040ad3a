package notify

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
)

// newReplica is a world that gossips with others.
func newReplica(t *testing.T, config string, peers ...string) *world {
	t.Helper()
	w := &world{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), config: config,
		cluster: &Cluster{Addr: "127.0.0.1:0", Peers: peers, Timeout: 2 * time.Second}}
	w.start()
	t.Cleanup(w.kill)
	return w
}

func together(t *testing.T, ws ...*world) {
	t.Helper()
	for _, w := range ws {
		require.Eventually(t, func() bool { return w.n.ClusterSize() == len(ws) && w.n.gossip.Ready() }, 2*time.Minute, 10*time.Millisecond)
	}
}

// first is the replica that notifies first, and the other.
func first(a, b *world) (*world, *world) {
	if a.n.gossip.Position() == 0 {
		return a, b
	}
	return b, a
}

func TestReplicasNotifyOnce(t *testing.T) {
	b := newInbox(t)
	one := newReplica(t, config(b, ""))
	two := newReplica(t, config(b, ""), one.n.ClusterAddr())
	together(t, one, two)
	one.fail("cart")
	two.fail("cart")
	b.await(t, "web: firing cart")
	_, second := first(one, two)
	require.Eventually(t, func() bool {
		log, err := second.n.keeper.snapshot(kindLog)
		return err == nil && len(log) > 0
	}, 2*time.Minute, 5*time.Millisecond, "the other has written what was notified")
	// A silence of one holds for both, and outlives the one where it was made.
	one.silence("web")
	require.Eventually(t, func() bool { return two.n.silences.Version() > 0 }, 2*time.Minute, 5*time.Millisecond)
	one.kill()
	together(t, two)
	two.fail("web")
	two.fail("pay")
	b.await(t, "web: firing cart", "web: firing pay")
	two.calm()
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.ElementsMatch(c, []string{"web: firing cart", "web: firing pay", "web: resolved cart", "web: resolved pay"}, b.text())
	}, 2*time.Minute, 10*time.Millisecond)
}

// The replica that would notify dies with the alert in its outbox: the other notifies.
func TestTheOtherReplicaNotifies(t *testing.T) {
	b := newInbox(t)
	one := newReplica(t, config(b, ""))
	two := newReplica(t, config(b, ""), one.n.ClusterAddr())
	together(t, one, two)
	notifier, other := first(one, two)
	b.down.Store(true) // it tries, and nothing arrives
	notifier.fail("cart")
	require.Eventually(t, func() bool { return len(notifier.n.Notices(0)) > 0 }, 2*time.Minute, 5*time.Millisecond)
	other.fail("cart")
	notifier.kill()
	b.down.Store(false)
	b.await(t, "web: firing cart")
}

// One that was away learns from the others what was notified meanwhile.
func TestAReplicaComesBack(t *testing.T) {
	b := newInbox(t)
	one := newReplica(t, config(b, ""))
	two := newReplica(t, config(b, ""), one.n.ClusterAddr())
	together(t, one, two)
	two.kill()
	together(t, one)
	one.fail("cart")
	b.await(t, "web: firing cart")
	require.Eventually(t, func() bool {
		log, err := one.n.log.MarshalBinary()
		return err == nil && len(log) > 0
	}, 2*time.Minute, 5*time.Millisecond)
	two.fail("cart") // its rules see the same
	two.start()
	two.fail("cart")
	together(t, one, two)
	one.fail("last")
	two.fail("last")
	b.await(t, "web: firing cart", "web: firing last")
}

// copyOf is what a backup of a replica holds.
func copyOf(t *testing.T, kv storage.KV) storage.KV {
	t.Helper()
	out := storage.NewMem(storage.MemOptions{})
	var c storage.Commit
	require.NoError(t, kv.Scan(nil, nil, func(k, v []byte) error {
		c.Entries = append(c.Entries, storage.Entry{Key: append([]byte{}, k...), Value: append([]byte{}, v...)})
		return nil
	}))
	require.NoError(t, out.Commit(c))
	return out
}

// TestRestoredReplicaNotifiesOnce: a replica that starts from a backup of another one and joins it repeats none of the notifications that were
// sent, neither those before the backup nor those after it, and when the other dies it sends the next ones.
func TestRestoredReplicaNotifiesOnce(t *testing.T) {
	b := newInbox(t)
	one := newReplica(t, config(b, ""))
	together(t, one)
	one.fail("cart")
	b.await(t, "web: firing cart")
	logged := func(n int) {
		t.Helper()
		require.Eventually(t, func() bool {
			log, err := one.n.keeper.snapshot(kindLog)
			return err == nil && len(log) >= n
		}, 2*time.Minute, 5*time.Millisecond)
	}
	logged(1)
	backup := copyOf(t, one.kv)
	one.fail("late") // after the backup
	b.await(t, "web: firing cart", "web: firing late")
	two := &world{t: t, r: &evaltest.Reader{}, kv: backup, config: config(b, ""),
		cluster: &Cluster{Addr: "127.0.0.1:0", Peers: []string{one.n.ClusterAddr()}, Timeout: 2 * time.Second}}
	two.start()
	t.Cleanup(two.kill)
	together(t, one, two)
	two.fail("cart") // it has caught up
	two.fail("late")
	one.fail("last")
	two.fail("last")
	b.await(t, "web: firing cart", "web: firing late", "web: firing last")
	require.Eventually(t, func() bool {
		log, err := two.n.keeper.snapshot(kindLog)
		return err == nil && len(log) >= 3
	}, 2*time.Minute, 5*time.Millisecond, "the restored replica knows all that was notified")
	one.kill()
	together(t, two)
	two.fail("alone")
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.ElementsMatch(c, []string{"web: firing cart", "web: firing late", "web: firing last", "web: firing alone"}, b.text())
	}, 2*time.Minute, 10*time.Millisecond)
}

// TestRestoredAlone: what starts from a backup in the place of a process that is gone sends what that had not sent at the time of the backup, does
// not repeat what it had sent before.
func TestRestoredAlone(t *testing.T) {
	b := newInbox(t)
	one := newReplica(t, config(b, ""))
	together(t, one)
	one.fail("cart")
	b.await(t, "web: firing cart")
	require.Eventually(t, func() bool {
		log, err := one.n.keeper.snapshot(kindLog)
		return err == nil && len(log) > 0
	}, 2*time.Minute, 5*time.Millisecond)
	b.down.Store(true)
	one.fail("waits") // in the outbox when the backup is made
	require.Eventually(t, func() bool { return len(one.n.Notices(0)) > 1 }, 2*time.Minute, 5*time.Millisecond)
	backup := copyOf(t, one.kv)
	one.kill()
	b.down.Store(false)
	two := &world{t: t, r: one.r, kv: backup, config: config(b, "")} // the views that are restored are those of one
	two.start()
	t.Cleanup(two.kill)
	b.await(t, "web: firing cart", "web: firing waits")
	two.fail("next") // what was sent once is not sent again with it
	b.await(t, "web: firing cart", "web: firing waits", "web: firing next")
}

// TestRestoredAloneRepeats: what the process that is gone sent after the backup is sent again, once, because the backup does not know of it.
func TestRestoredAloneRepeats(t *testing.T) {
	b := newInbox(t)
	one := newWorld(t, config(b, ""))
	backup := copyOf(t, one.kv)
	one.fail("cart")
	b.await(t, "web: firing cart")
	one.kill()
	two := &world{t: t, r: one.r, kv: backup, config: config(b, "")}
	two.start()
	t.Cleanup(two.kill)
	two.fail("next")
	require.EventuallyWithT(t, func(c *assert.CollectT) {
		require.ElementsMatch(c, []string{"web: firing cart", "web: firing cart", "web: firing next"}, b.text())
	}, 2*time.Minute, 10*time.Millisecond)
}
