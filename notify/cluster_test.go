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
