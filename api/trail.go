package api

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/storage"
)

const (
	trailRound = time.Minute // an entry is written when something first happens, and again after this where it happened more often
	trailApart = 32          // entries of a kind kept apart in a round; the rest are one entry
	trailKept  = 1000        // notes that wait to be written
	trailClose = 2 * time.Second
)

// An event is an entry of the audit trail although it changes no object, and comes as often as others like.
type event struct{ action, kind, object, by, address string }

// The trail writes events in the background: no login waits for it.
//
// Invariants:
//   - In a round at most trailApart+1 entries of a kind and action are written, each at most twice, whatever comes in.
//   - The goroutine exists only while something waits.
type trail struct {
	put func(ctx context.Context, list []storage.Object) error
	now func() time.Time
	log zerolog.Logger

	mu      sync.Mutex
	open    map[event]*entry
	notes   map[string]storage.Object // by kind and id
	running bool
	over    bool
	wake    chan struct{}
	stop    chan struct{}
	wg      sync.WaitGroup
}

// entry is an event of this round.
type entry struct {
	storage.AuditEntry
	rounds  int // before it is closed
	written int // the count that the topic has
}

func newTrail(objects storage.Editor, now func() time.Time, log zerolog.Logger) *trail {
	return &trail{put: objects.Put, now: now, log: log, open: map[event]*entry{}, notes: map[string]storage.Object{},
		wake: make(chan struct{}, 1), stop: make(chan struct{})}
}

// happened records an event. rounds is for how long more of the same is counted in one entry.
func (t *trail) happened(e event, rounds int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		t.log.Warn().Str("by", e.by).Str("action", e.action).Str("kind", e.kind).Str("object", e.object).
			Msg("an event during shutdown is missing from the audit trail")
		return
	}
	now := t.now().UTC()
	x := t.open[e]
	if x == nil && t.alike(e) >= trailApart {
		e.object, e.by, e.address = "several more", "several", ""
		x = t.open[e]
	}
	if x == nil {
		x = &entry{rounds: rounds, AuditEntry: storage.AuditEntry{ID: storage.NewAuditID(now), Time: now, By: e.by, Action: e.action,
			Kind: e.kind, Object: e.object, Address: e.address}}
		t.open[e] = x
	}
	x.Count++
	x.Last = &now
	if x.written == 0 {
		t.start()
	}
}

func (t *trail) alike(e event) (n int) {
	for o := range t.open {
		if o.kind == e.kind && o.action == e.action {
			n++
		}
	}
	return n
}

// note keeps an object that is no entry.
func (t *trail) note(o storage.Object) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over || len(t.notes) >= trailKept {
		return
	}
	t.notes[o.Kind+"/"+o.ID] = o
	t.start()
}

// start wakes the goroutine, or begins it. It is called with the lock held.
func (t *trail) start() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
	if !t.running {
		t.running = true
		t.wg.Go(t.run)
	}
}

func (t *trail) run() {
	round := time.NewTicker(trailRound)
	defer round.Stop()
	for {
		select {
		case <-t.stop:
			t.write(trailClose, true)
			return
		case <-t.wake:
			t.write(auditTimeout, false)
		case <-round.C:
			if t.write(auditTimeout, true); t.idle() {
				return
			}
		}
	}
}

// idle reports whether nothing waits; then the goroutine is over.
func (t *trail) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = len(t.open)+len(t.notes) > 0
	return !t.running
}

// write writes what the topic has not of new entries, at the end of a round of all that are over.
func (t *trail) write(timeout time.Duration, ends bool) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	t.mu.Lock()
	over := t.over
	var list []storage.Object
	counts, notes := map[event]int{}, t.notes
	for e, x := range t.open {
		if ends {
			x.rounds--
		}
		if x.written == 0 || (over || x.rounds <= 0) && x.written < x.Count {
			if o, err := x.Stored(); err == nil {
				list, counts[e] = append(list, o), x.Count
			}
		}
	}
	for _, o := range notes {
		list = append(list, o)
	}
	t.notes = map[string]storage.Object{}
	t.mu.Unlock()
	var err error
	if len(list) > 0 {
		err = t.put(ctx, list)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if err != nil {
		t.log.Warn().Err(err).Int("entries", len(counts)).Bool("lost", over).Msg("writing audit entries failed, will be retried")
		for k, o := range notes {
			if _, newer := t.notes[k]; !newer && len(t.notes) < trailKept {
				t.notes[k] = o
			}
		}
		return
	}
	for e, n := range counts {
		t.open[e].written = n
	}
	for e, x := range t.open {
		if x.rounds <= 0 && x.written == x.Count {
			delete(t.open, e)
		}
	}
}

// close writes what waits; what happens from now on is in the log alone.
func (t *trail) close() {
	if t == nil {
		return
	}
	t.mu.Lock()
	if !t.over {
		t.over = true
		close(t.stop)
	}
	t.mu.Unlock()
	t.wg.Wait()
}

// logged records a login or a logout.
func (s *Server) logged(ctx context.Context, action, name string) {
	s.trail.happened(event{action: action, kind: storage.KindLogin, object: name, by: name, address: callerOf(ctx).address}, 1)
}

// refused records a caller that was refused. what is the name of a user who exists, or says what it was instead: what else was typed
// there may be a password.
func (s *Server) refused(ctx context.Context, what string) {
	s.trail.happened(event{action: storage.ActionRefuse, kind: storage.KindLogin, object: what, by: "anonymous",
		address: callerOf(ctx).address}, 1)
}
