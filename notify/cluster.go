package notify

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/prometheus/alertmanager/cluster"
	amnotify "github.com/prometheus/alertmanager/notify"
)

// Cluster lets replicas exchange what they have notified and silenced, by the gossip of Alertmanager's own package. Every replica
// evaluates every rule and routes every alert; the first of them notifies at once, each further one waits Timeout longer and then finds in
// the notification log that this was done. When one dies, the next notifies. While two cannot see each other, both notify.
type Cluster struct {
	Addr  string   // host:port to listen on, TCP and UDP
	Peers []string // host:port of others; those that do not answer are tried again
	// Advertise is the host:port at which others reach this replica, where that is not Addr: behind a proxy or in a container.
	Advertise string
	// Timeout is how long a replica waits for each one before it (5 s).
	Timeout time.Duration

	probe, reconnect time.Duration // between pings, and attempts to reach who is gone; 0: Alertmanager's
}

// gossip is a running Cluster.
type gossip struct {
	*cluster.Peer
	timeout time.Duration
	cancel  context.CancelFunc
}

// join starts gossip over the silences and the notification log. They keep being written through.
func (n *Notifier) join() error {
	c := n.cfg.Cluster
	if c == nil {
		return nil
	}
	p, err := cluster.Create(n.cfg.Logger, n.cfg.Registerer, c.Addr, c.Advertise, c.Peers, true, cluster.DefaultPushPullInterval,
		cluster.DefaultGossipInterval, cluster.DefaultTCPTimeout, cluster.DefaultResolvePeersTimeout, cluster.DefaultProbeTimeout,
		cmp.Or(c.probe, cluster.DefaultProbeInterval), nil, false, "", "")
	if err != nil {
		return fmt.Errorf("notify: cluster at %s: %w", c.Addr, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.gossip = &gossip{p, cmp.Or(c.Timeout, 5*time.Second), cancel}
	logged := p.AddState("nfl", n.log, n.cfg.Registerer)
	n.log.SetBroadcast(func(b []byte) {
		n.keeper.logged(b)
		logged.Broadcast(b)
	})
	silenced := p.AddState("sil", n.silences, n.cfg.Registerer)
	n.silences.SetBroadcast(func(b []byte) {
		n.keeper.silenced(b)
		silenced.Broadcast(b)
	})
	if err := p.Join(cmp.Or(c.reconnect, cluster.DefaultReconnectInterval), cluster.DefaultReconnectTimeout); err != nil &&
		len(c.Peers) > 0 {
		n.cfg.Logger.Warn("no other replica answers yet; it is tried again", "peers", c.Peers, "err", err)
	}
	if len(c.Peers) == 0 {
		cancel() // there is no peer to wait for
	}
	go p.Settle(ctx, 3*cluster.DefaultGossipInterval)
	return nil
}

// wait is how long this replica lets those before it notify first.
func (g *gossip) wait() time.Duration {
	if g == nil {
		return 0
	}
	return time.Duration(g.Position()) * g.timeout
}

// peer is nil where there is no cluster, as Alertmanager's packages expect.
func (g *gossip) peer() amnotify.Peer {
	if g == nil {
		return nil
	}
	return g.Peer
}

func (g *gossip) leave() error {
	if g == nil {
		return nil
	}
	g.cancel()
	return g.Leave(5 * time.Second)
}

// ClusterAddr is where this replica listens for others; empty without a cluster.
func (n *Notifier) ClusterAddr() string {
	if n.gossip == nil {
		return ""
	}
	return n.gossip.Self().Address()
}

// ClusterSize is how many replicas see each other, 1 without a cluster.
func (n *Notifier) ClusterSize() int {
	if n.gossip == nil {
		return 1
	}
	return n.gossip.ClusterSize()
}
