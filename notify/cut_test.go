//go:build !race

package notify

// Alertmanager's cluster package reads a node's address while memberlist writes it when replicas meet again (Peer.reconnect and
// Memberlist.aliveNode), which the race detector reports; it is theirs.

import (
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
)

// Two replicas that cannot see each other both notify: nothing is missed, and what is notified twice began during the cut. When they see
// each other again one of them notifies, and each knows what was silenced at the other.
func TestCutGossip(t *testing.T) {
	b := newInbox(t)
	one, toOne := newProxied(t, config(b, ""))
	two, toTwo := newProxied(t, config(b, ""), toOne.addr)
	together(t, one, two)
	both := func(service string) {
		one.fail(service)
		two.fail(service)
	}
	both("before")
	b.await(t, "web: firing before")

	toOne.cut.Store(true)
	toTwo.cut.Store(true)
	for _, w := range []*world{one, two} {
		require.Eventually(t, func() bool { return w.n.ClusterSize() == 1 }, 2*time.Minute, 10*time.Millisecond)
	}
	both("during")
	b.await(t, "web: firing before", "web: firing during", "web: firing during")
	two.silence("quiet")

	toOne.cut.Store(false)
	toTwo.cut.Store(false)
	together(t, one, two)
	require.Eventually(t, func() bool { return one.n.silences.Version() > 0 }, 2*time.Minute, 5*time.Millisecond)
	both("after")
	both("quiet")
	both("last")
	all := []string{"web: firing before", "web: firing during", "web: firing during", "web: firing after", "web: firing last"}
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.ElementsMatch(c, all, b.text()) }, 2*time.Minute, 5*time.Millisecond)
	// whoever waits for the other has had its turn for these when that of a later alert has come
	_, second := first(one, two)
	second.fail("final")
	all = append(all, "web: firing final")
	require.EventuallyWithT(t, func(c *assert.CollectT) { require.ElementsMatch(c, all, b.text()) }, 2*time.Minute, 5*time.Millisecond)
}

// newProxied is a replica that others reach through a proxy.
func newProxied(t *testing.T, config string, peers ...string) (*world, *proxy) {
	t.Helper()
	w := &world{t: t, r: &evaltest.Reader{}, kv: storage.NewMem(storage.MemOptions{}), config: config}
	p := newProxy(t)
	w.cluster = &Cluster{Addr: p.target, Advertise: p.addr, Peers: peers, Timeout: 2 * time.Second, probe: 200 * time.Millisecond,
		reconnect: 300 * time.Millisecond}
	w.start()
	t.Cleanup(w.kill)
	return w, p
}

// proxy passes TCP and UDP on to a port of its own choice until it is cut.
type proxy struct {
	addr, target string
	cut          atomic.Bool
	mu           sync.Mutex
	conns        []net.Conn
}

// bothKinds listens for TCP and UDP at one free port.
func bothKinds(t *testing.T) (net.Listener, net.PacketConn) {
	t.Helper()
	for range 20 {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		u, err := net.ListenPacket("udp", l.Addr().String())
		if err == nil {
			return l, u
		}
		l.Close()
	}
	t.Fatal("no port is free for TCP and UDP")
	return nil, nil
}

func newProxy(t *testing.T) *proxy {
	t.Helper()
	l, u := bothKinds(t)
	free, freeUDP := bothKinds(t)
	p := &proxy{addr: l.Addr().String(), target: free.Addr().String()}
	free.Close()
	freeUDP.Close()
	to, err := net.Dial("udp", p.target)
	require.NoError(t, err)
	t.Cleanup(func() {
		for _, c := range []io.Closer{l, u, to} {
			c.Close()
		}
		p.drop()
	})
	go func() {
		buf := make([]byte, 64<<10)
		for {
			n, _, err := u.ReadFrom(buf)
			if err != nil {
				return
			}
			if !p.cut.Load() {
				_, _ = to.Write(buf[:n]) // as lossy as UDP is
			}
		}
	}()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go p.pass(c)
		}
	}()
	return p
}

func (p *proxy) pass(c net.Conn) {
	defer c.Close()
	if p.cut.Load() {
		return
	}
	d, err := net.Dial("tcp", p.target)
	if err != nil {
		return
	}
	defer d.Close()
	p.mu.Lock()
	p.conns = append(p.conns, c, d)
	p.mu.Unlock()
	go func() {
		_, _ = io.Copy(d, c)
		d.Close()
	}()
	_, _ = io.Copy(c, d)
}

func (p *proxy) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.conns {
		c.Close()
	}
}
