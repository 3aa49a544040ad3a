package caller

import (
	"context"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/storage"
)

const (
	// TrailRound is after how long an entry is written again whose event happened more often; it is written first when it happens.
	TrailRound = time.Minute
	// TrailApart is how many entries of a kind are kept apart in a round; the rest are one entry.
	TrailApart = 32
	trailKept  = 1000 // notes that wait to be written
	trailClose = 2 * time.Second
)

// An Event is an entry of the audit trail although it changes no object, and comes as often as others like.
type Event struct{ Action, Kind, Object, By, Address string }

// The Trail writes events in the background: no login waits for it.
//
// Invariants:
//   - In a round at most trailApart+1 entries of a kind and action are written, each at most twice, whatever comes in.
//   - The goroutine exists only while something waits.
type Trail struct {
	Put func(ctx context.Context, list []storage.Object) error
	now func() time.Time
	log zerolog.Logger

	mu      sync.Mutex
	open    map[Event]*entry
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

// NewTrail makes a trail that writes through objects.
func NewTrail(objects storage.Editor, now func() time.Time, log zerolog.Logger) *Trail {
	return &Trail{Put: objects.Put, now: now, log: log, open: map[Event]*entry{}, notes: map[string]storage.Object{},
		wake: make(chan struct{}, 1), stop: make(chan struct{})}
}

// Happened records an event. rounds is for how long more of the same is counted in one entry.
func (t *Trail) Happened(e Event, rounds int) {
	if t == nil {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.over {
		t.log.Warn().Str("by", e.By).Str("action", e.Action).Str("kind", e.Kind).Str("object", e.Object).
			Msg("an event during shutdown is missing from the audit trail")
		return
	}
	now := t.now().UTC()
	x := t.open[e]
	if x == nil && t.alike(e) >= TrailApart {
		e.Object, e.By, e.Address = "several more", "several", ""
		x = t.open[e]
	}
	if x == nil {
		x = &entry{rounds: rounds, AuditEntry: storage.AuditEntry{ID: storage.NewAuditID(now), Time: now, By: e.By, Action: e.Action,
			Kind: e.Kind, Object: e.Object, Address: e.Address}}
		t.open[e] = x
	}
	x.Count++
	x.Last = &now
	if x.written == 0 {
		t.start()
	}
}

func (t *Trail) alike(e Event) (n int) {
	for o := range t.open {
		if o.Kind == e.Kind && o.Action == e.Action {
			n++
		}
	}
	return n
}

// note keeps an object that is no entry.
func (t *Trail) note(o storage.Object) {
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
func (t *Trail) start() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
	if !t.running {
		t.running = true
		t.wg.Go(t.run)
	}
}

func (t *Trail) run() {
	round := time.NewTicker(TrailRound)
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

// Running reports whether something waits to be written.
func (t *Trail) Running() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.running
}

// idle reports whether nothing waits; then the goroutine is over.
func (t *Trail) idle() bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.running = len(t.open)+len(t.notes) > 0
	return !t.running
}

// write writes what the topic has not of new entries, at the end of a round of all that are over.
func (t *Trail) write(timeout time.Duration, ends bool) {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	t.mu.Lock()
	over := t.over
	var list []storage.Object
	counts, notes := map[Event]int{}, t.notes
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
		err = t.Put(ctx, list)
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

// Close writes what waits; what happens from now on is in the log alone.
func (t *Trail) Close() {
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
func (t *Trail) logged(ctx context.Context, action, name string) {
	t.Happened(Event{Action: action, Kind: storage.KindLogin, Object: name, By: name, Address: Of(ctx).Address}, 1)
}

// refused records a caller that was refused. what is the name of a user who exists, or says what it was instead: what else was typed
// there may be a password.
func (t *Trail) refused(ctx context.Context, what string) {
	t.Happened(Event{Action: storage.ActionRefuse, Kind: storage.KindLogin, Object: what, By: "anonymous",
		Address: Of(ctx).Address}, 1)
}
