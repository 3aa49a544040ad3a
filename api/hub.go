package api

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/api/rest"
)

const (
	// pushEvery is the least time between two computations of a view: at most four a second, however many commits there are.
	pushEvery = 250 * time.Millisecond
	// refreshEvery is when a view is computed without a commit: ranges slide, and reading that stands still shows.
	refreshEvery = 5 * time.Second
	// costShare keeps computing a view below this share of the time, whatever it costs.
	costShare = 4
)

// The hub computes what WebSockets and event streams look at.
//
// The simple version: clients that look at the same view through the same filter share one topic. A topic is a goroutine that
// computes the view when a commit arrives, encodes what changed once, and puts it into the queue of each subscription. It lives
// while somebody looks.
//
// Invariants:
//   - A subscription's first frame is a snapshot; each later delta is the difference to the frame before.
//   - A topic never waits for a client.
type hub struct {
	s   *Server
	ctx context.Context
	end context.CancelFunc
	wg  sync.WaitGroup // topics and clients

	mu      sync.Mutex
	closed  bool
	topics  map[string]*topic
	clients int
}

func newHub(s *Server) *hub {
	ctx, end := context.WithCancel(context.Background())
	return &hub{s: s, ctx: ctx, end: end, topics: map[string]*topic{}}
}

func (h *hub) close() {
	h.mu.Lock()
	h.closed = true
	h.mu.Unlock()
	h.end()
	h.wg.Wait()
}

// state is a view at one moment. items are the parts that deltas speak of, by key; a view without them is sent whole.
type state struct {
	meta     rest.Meta
	snapshot json.RawMessage
	items    map[string][]byte
	keys     []string // of items, in the order of the snapshot
	rest     []byte   // what else must be equal for a delta to be left out
	delta    func(changed []json.RawMessage, removed []string) any
}

// deltaTo is the encoded difference from old to st, nil when there is none.
func (st *state) deltaTo(old *state) (json.RawMessage, error) {
	changed := []json.RawMessage{}
	for _, k := range st.keys {
		if !bytes.Equal(old.items[k], st.items[k]) {
			changed = append(changed, st.items[k])
		}
	}
	removed := []string{}
	for _, k := range old.keys {
		if _, ok := st.items[k]; !ok {
			removed = append(removed, k)
		}
	}
	if len(changed) == 0 && len(removed) == 0 && bytes.Equal(st.rest, old.rest) {
		return nil, nil
	}
	return json.Marshal(st.delta(changed, removed))
}

// topic is one view through one filter.
type topic struct {
	hub     *hub
	key     string
	view    *liveView
	filter  filter
	stop    context.CancelFunc
	mu      sync.Mutex
	subs    map[*subscription]struct{}
	current *state
}

// receiver is a client of either kind. It is never waited for: one whose queue is full is cut off.
type receiver interface {
	queueFrame(frame)
	cut()
}

// subscription is one client's place in a topic.
type subscription struct {
	client receiver
	topic  *topic
	id     string
	seq    uint64 // of the frame before
	primed bool   // has its snapshot
}

// subscribe joins the topic of a view and filter, and starts it when it is the first to.
func (h *hub) subscribe(c receiver, id string, v *liveView, f filter, cursor uint64) (*subscription, error) {
	key, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("api: filter: %w", err)
	}
	sub := &subscription{client: c, id: id, seq: cursor}
	name := v.name + string(key)
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[name]
	if t == nil {
		if h.closed {
			return nil, problemf(errUnavailable, "", "WatchingCat is stopping")
		}
		ctx, stop := context.WithCancel(h.ctx)
		t = &topic{hub: h, key: name, view: v, filter: f, stop: stop, subs: map[*subscription]struct{}{}}
		h.topics[name] = t
		h.wg.Go(func() { t.run(ctx) })
	}
	sub.topic = t
	h.s.metrics.subscriptions.WithLabelValues(v.name).Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subs[sub] = struct{}{}
	if t.current != nil {
		sub.snapshot(t.current)
	}
	return sub, nil
}

func (h *hub) unsubscribe(sub *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := sub.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.subs[sub]; !ok {
		return
	}
	delete(t.subs, sub)
	h.s.metrics.subscriptions.WithLabelValues(t.view.name).Dec()
	if len(t.subs) == 0 {
		t.stop()
		delete(h.topics, t.key)
	}
}

func (t *topic) run(ctx context.Context) {
	s := t.hub.s
	feed := s.cfg.Views.Feed().Subscribe()
	defer feed.Close()
	var alerts <-chan struct{}
	if t.view.alerts {
		var stop func()
		alerts, stop = s.cfg.Alerts.Changed().Subscribe()
		defer stop()
	}
	refresh := time.NewTimer(refreshEvery)
	defer refresh.Stop()
	for {
		feed.Take()
		began := time.Now() // for pacing alone
		t.update()
		if !sleep(ctx, max(pushEvery, costShare*time.Since(began))) {
			return
		}
		refresh.Reset(refreshEvery)
		select {
		case <-ctx.Done():
			return
		case <-feed.C:
		case <-alerts:
		case <-refresh.C:
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// update computes the view and queues it for every subscription.
func (t *topic) update() {
	s := t.hub.s
	s.metrics.computed.WithLabelValues(t.view.name).Inc()
	st, err := t.view.compute(s, t.filter)
	if err != nil {
		s.cfg.Logger.Error().Err(err).Str("view", t.view.name).Msg("computing a live view failed, clients keep what they have")
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	var delta json.RawMessage
	if t.current != nil {
		if delta, err = st.deltaTo(t.current); err != nil {
			s.cfg.Logger.Error().Err(err).Str("view", t.view.name).Msg("encoding a delta failed")
			return
		}
	}
	t.current = st
	for sub := range t.subs {
		switch {
		case !sub.primed:
			sub.snapshot(st)
		case delta != nil:
			sub.send("delta", st, delta)
		}
	}
}

func (sub *subscription) snapshot(st *state) {
	sub.primed = true
	sub.send("snapshot", st, st.snapshot)
}

// frameHead is a frame but for its data, which is encoded once for all clients.
type frameHead struct {
	Type string     `json:"type"`
	ID   string     `json:"id"`
	Seq  uint64     `json:"seq"`
	UpTo *time.Time `json:"up_to"`
}

func (sub *subscription) send(typ string, st *state, data json.RawMessage) {
	sub.seq++
	head, err := json.Marshal(frameHead{typ, sub.id, sub.seq, st.meta.UpTo})
	if err != nil {
		sub.client.cut()
		return
	}
	head = append(head[:len(head)-1], `,"data":`...)
	sub.client.queueFrame(frame{typ: typ, seq: sub.seq, head: head, data: data})
}
