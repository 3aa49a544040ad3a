package live

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"fmt"
	"math"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
)

const (
	// pushEvery is the least time between two computations of a view: at most four a second, however many commits there are. A filter may
	// make it longer.
	pushEvery = 250 * time.Millisecond
	// refreshEvery is when a view is computed without a commit: ranges slide, and reading that stands still shows.
	refreshEvery = 5 * time.Second
	// ResumeFor is how long a client that was cut off finds what it missed. Topics without subscribers rest as long.
	ResumeFor = time.Minute
	// ResumeDeltas bounds how much that is, as does the size of a snapshot, which would serve the client as well.
	ResumeDeltas = 240
	// MaxResting is how many topics rest at most, with at most maxRestingBytes of snapshots.
	MaxResting      = 64
	maxRestingBytes = 16 << 20
	// costShare keeps computing a view below this share of the time, whatever it costs; all together have half of the cores.
	costShare = 4
)

// The Hub computes what WebSockets and event streams look at.
//
// The simple version: clients that look at the same view through the same filter share one topic. A topic is a goroutine that
// computes the view when a commit arrives, encodes what changed once, and puts it into the queue of each subscription. It lives
// while it has subscribers, and rests for a while after that: a client that comes back gets what it missed, and the difference to what is
// computed then.
//
// Invariants:
//   - A subscription's first frame is a snapshot, or the delta after the last one that the client has; each later delta is the
//     difference to the frame before.
//   - A cursor counts with the stream that it was given with: of this topic of this process, so of this view and filter.
//   - A topic never waits for a client, and a resting one computes nothing.
type Hub struct {
	Config
	// Catalog are the views that can be subscribed to.
	Catalog []*View
	metrics *metrics

	tails    atomic.Int64 // log tails open
	stop     sync.Once
	stopping chan struct{}

	ctx context.Context
	end context.CancelFunc
	wg  sync.WaitGroup // topics and clients
	// turn is taken by a topic while it computes. Thousands of different ranges make updates come later, and leave cores to others.
	turn chan struct{}

	mu      sync.Mutex
	closed  bool
	topics  map[string]*topic
	resting []*topic // the longest first
	clients int
}

// NewHub makes a hub; it computes only while clients are connected.
func NewHub(c Config) *Hub {
	c.Limits.setDefaults()
	ctx, end := context.WithCancel(context.Background())
	return &Hub{Config: c, Catalog: Views, metrics: newMetrics(c.Registry, c.Panics), stopping: make(chan struct{}), ctx: ctx,
		end: end, topics: map[string]*topic{}, turn: make(chan struct{}, max(1, runtime.GOMAXPROCS(0)/2))}
}

// StopTails ends the log tails.
func (h *Hub) StopTails() { h.stop.Do(func() { close(h.stopping) }) }

// TopicState is what a topic holds: one view through one filter, computed while it has subscribers and resting for a while after.
type TopicState struct {
	Filter                            Filter
	Resting                           bool
	Deltas, DeltaBytes, SnapshotBytes int
}

// Topics lists the topics, those that rest last.
func (h *Hub) Topics() (list []TopicState) {
	h.mu.Lock()
	defer h.mu.Unlock()
	add := func(t *topic, resting bool) {
		t.mu.Lock()
		defer t.mu.Unlock()
		st := TopicState{Filter: t.filter, Resting: resting, Deltas: len(t.log), DeltaBytes: t.logged}
		if t.current != nil {
			st.SnapshotBytes = len(t.current.snapshot)
		}
		list = append(list, st)
	}
	for _, t := range h.topics {
		add(t, false)
	}
	for _, t := range h.resting {
		add(t, true)
	}
	return list
}

// Close ends the live views, closes their clients as going away, and waits for both.
func (h *Hub) Close() {
	h.mu.Lock()
	h.closed = true
	for _, t := range h.resting {
		t.expire.Stop()
	}
	h.resting = nil
	h.mu.Unlock()
	h.end()
	h.wg.Wait()
}

// State is a view at one moment. items are the parts that deltas speak of, by key; a view without them is sent whole.
type State struct {
	meta     rest.Meta
	snapshot json.RawMessage
	items    map[string][]byte
	keys     []string // of items, in the order of the snapshot
	rest     []byte   // what else must be equal for a delta to be left out
	delta    func(changed []json.RawMessage, removed []string) any
}

// deltaTo is the encoded difference from old to st, nil when there is none.
func (st *State) deltaTo(old *State) (json.RawMessage, error) {
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
	hub    *Hub
	id     string // of no other topic, here or in another process
	key    string
	view   *View
	filter Filter
	stop   context.CancelFunc
	expire *time.Timer // ends the rest

	mu      sync.Mutex
	subs    map[*subscription]struct{}
	current *State
	stale   bool  // current is from before a rest
	at      int64 // how many deltas there were
	log     []missed
	logged  int // bytes of log
}

// missed is a delta for those who come back.
type missed struct {
	made time.Time
	st   rest.Meta
	data json.RawMessage
}

// receiver is a client of either kind. It is never waited for: one whose queue is full is cut off.
type receiver interface {
	queueFrames(...frame)
	cut()
}

// subscription is one client's place in a topic.
type subscription struct {
	client receiver
	topic  *topic
	id     string
	seq    uint64 // of the frame before
	base   int64  // what seq is ahead of topic.at, the other way round
	primed bool   // has its snapshot
}

// place is where a client was: the number of the last frame that it has, and of which stream.
type place struct {
	cursor uint64
	stream string // "": not known
}

// stream names the numbering of a subscription.
func (sub *subscription) stream() string {
	return sub.topic.id + "." + strconv.FormatInt(sub.base, 10)
}

// subscribe joins the topic of a view and filter, and starts it when it is the first to.
func (h *Hub) subscribe(c receiver, id string, v *View, f Filter, from place) (*subscription, error) {
	key, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("api: filter: %w", err)
	}
	sub := &subscription{client: c, id: id, seq: from.cursor}
	name := v.Name + string(key)
	h.mu.Lock()
	defer h.mu.Unlock()
	t := h.topics[name]
	if t == nil {
		if h.closed {
			return nil, answer.Problemf(answer.ErrUnavailable, "", "WatchingCat is stopping")
		}
		if limit := h.Limits.LiveViews; len(h.topics) >= limit {
			h.metrics.refused.WithLabelValues(v.Name).Inc()
			return nil, answer.Advise(answer.Problemf(answer.ErrUnavailable, "too_many_live_views",
				"%d different live views are open, which is the limit; equal ones are computed once", limit),
				"Subscribe with a view, range and filter that others use (range 15m), or read the view by GET.")
		}
		ctx, stop := context.WithCancel(h.ctx)
		if t = h.wake(name); t == nil {
			t = &topic{hub: h, id: rand.Text(), key: name, view: v, filter: f, subs: map[*subscription]struct{}{}}
		}
		t.stop = stop
		h.topics[name] = t
		h.wg.Go(func() { t.run(ctx) })
	}
	sub.topic = t
	h.metrics.subscriptions.WithLabelValues(v.Name).Inc()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.subs[sub] = struct{}{}
	if outcome := sub.resume(from); outcome != "" {
		h.metrics.resumes.WithLabelValues(outcome).Inc()
	}
	if !sub.primed && t.current != nil && !t.stale {
		sub.snapshot(t.current)
	}
	return sub, nil
}

// resume sends what was missed since from, if the topic has all of that. What became of it is returned for counting; "" of a client that
// has no place.
func (sub *subscription) resume(from place) (outcome string) {
	t := sub.topic
	id, base, ok := strings.Cut(from.stream, ".")
	if from.stream == "" {
		return ""
	}
	n, err := strconv.ParseInt(base, 10, 64)
	has := n + int64(min(from.cursor, math.MaxInt64/2)) //nolint:gosec // it fits
	switch {
	case !ok || err != nil || id != t.id || n < -math.MaxInt64/2 || n > math.MaxInt64/2 || has < 0 || has > t.at:
		return "unknown"
	case has < t.at-int64(len(t.log)):
		return "too_old"
	}
	sub.primed, sub.base = true, n
	frames := []frame{sub.frame("resumed", t.current.meta, json.RawMessage("null"))}
	for _, m := range t.log[len(t.log)-int(t.at-has):] {
		sub.seq++
		frames = append(frames, sub.frame("delta", m.st, m.data))
	}
	sub.client.queueFrames(frames...)
	return "resumed"
}

// wake takes a topic out of its rest; nil: there is none.
func (h *Hub) wake(key string) *topic {
	i := slices.IndexFunc(h.resting, func(t *topic) bool { return t.key == key })
	if i < 0 {
		return nil
	}
	t := h.resting[i]
	t.expire.Stop()
	t.stale = true
	h.resting = slices.Delete(h.resting, i, i+1)
	return t
}

// rest keeps a topic without subscribers, and forgets the oldest ones where there are too many.
func (h *Hub) rest(t *topic) {
	if t.current == nil || h.closed {
		return
	}
	t.expire = time.AfterFunc(ResumeFor, func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		if i := slices.Index(h.resting, t); i >= 0 {
			h.resting = slices.Delete(h.resting, i, i+1)
		}
	})
	h.resting = append(h.resting, t)
	size := 0
	for i := len(h.resting) - 1; i >= 0; i-- {
		if size += len(h.resting[i].current.snapshot); size > maxRestingBytes || len(h.resting)-i > MaxResting {
			for _, old := range h.resting[:i+1] {
				old.expire.Stop()
			}
			h.resting = slices.Delete(h.resting, 0, i+1)
			break
		}
	}
}

func (h *Hub) unsubscribe(sub *subscription) {
	h.mu.Lock()
	defer h.mu.Unlock()
	t := sub.topic
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.subs[sub]; !ok {
		return
	}
	delete(t.subs, sub)
	h.metrics.subscriptions.WithLabelValues(t.view.Name).Dec()
	if len(t.subs) == 0 {
		t.stop()
		delete(h.topics, t.key)
		h.rest(t)
	}
}

func (t *topic) run(ctx context.Context) {
	s := t.hub
	feed := s.Views.Feed().Subscribe()
	defer feed.Close()
	var alerts <-chan struct{}
	if t.view.Alerts {
		var stop func()
		alerts, stop = s.Alerts.Evaluator.Changed().Subscribe()
		defer stop()
	}
	refresh := time.NewTimer(refreshEvery)
	defer refresh.Stop()
	for {
		if !t.hub.takeTurn(ctx) {
			return
		}
		feed.Take()
		began := time.Now() // for pacing alone
		t.update(ctx)
		<-t.hub.turn
		if !sleep(ctx, max(t.filter.pause(began), costShare*time.Since(began))) {
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

func (h *Hub) takeTurn(ctx context.Context) bool {
	select {
	case h.turn <- struct{}{}:
		return true
	case <-ctx.Done():
		return false
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

// compute makes a panic one failed computation: there is no request here that would be the one to fail.
func (t *topic) compute() (st *State, err error) {
	defer func() {
		if v := recover(); v != nil {
			t.hub.metrics.panics.WithLabelValues("live view").Inc()
			err = fmt.Errorf("api: computing a live view panicked: %v\n%s", v, debug.Stack())
		}
	}()
	return t.view.Compute(t.hub, t.filter)
}

// update computes the view and queues it for every subscription, unless ctx has ended.
func (t *topic) update(ctx context.Context) {
	s := t.hub
	s.metrics.computed.WithLabelValues(t.view.Name).Inc()
	st, err := t.compute()
	if err != nil {
		s.Logger.Error().Err(err).Str("view", t.view.Name).Msg("computing a live view failed; clients keep the previous data")
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if ctx.Err() != nil {
		return // it rests, or another goroutine computes by now
	}
	var delta json.RawMessage
	if t.current != nil {
		if delta, err = st.deltaTo(t.current); err != nil {
			s.Logger.Error().Err(err).Str("view", t.view.Name).Msg("encoding a delta failed")
			return
		}
	}
	t.current, t.stale = st, false
	if delta != nil {
		t.remember(missed{time.Now(), st.meta, delta})
	}
	for sub := range t.subs {
		switch {
		case !sub.primed:
			sub.snapshot(st)
		case delta != nil:
			sub.seq++
			sub.client.queueFrames(sub.frame("delta", st.meta, delta))
		}
	}
}

// remember keeps a delta for those who come back, and forgets what is old or more than a snapshot.
func (t *topic) remember(m missed) {
	t.at++
	t.log, t.logged = append(t.log, m), t.logged+len(m.data)
	for len(t.log) > 0 && (len(t.log) > ResumeDeltas || t.logged > len(t.current.snapshot) || m.made.Sub(t.log[0].made) > ResumeFor) {
		t.logged -= len(t.log[0].data)
		t.log = t.log[1:]
	}
}

func (sub *subscription) snapshot(st *State) {
	sub.primed = true
	sub.seq++
	sub.base = sub.topic.at - int64(sub.seq) //nolint:gosec // cursors that do not fit have no stream
	sub.client.queueFrames(sub.frame("snapshot", st.meta, st.snapshot))
}

// frameHead is a frame but for its data, which is encoded once for all clients.
type frameHead struct {
	Type   string     `json:"type"`
	ID     string     `json:"id"`
	Seq    uint64     `json:"seq"`
	Stream string     `json:"stream"`
	UpTo   *time.Time `json:"up_to"`
}

// frame is the frame of the number that the subscription has reached.
func (sub *subscription) frame(typ string, meta rest.Meta, data json.RawMessage) frame {
	stream := sub.stream()
	head, _ := json.Marshal(frameHead{typ, sub.id, sub.seq, stream, meta.UpTo}) // texts, numbers and times always can be
	head = append(head[:len(head)-1], `,"data":`...)
	return frame{typ: typ, seq: sub.seq, stream: stream, head: head, data: data}
}
