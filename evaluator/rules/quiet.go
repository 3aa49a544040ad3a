package rules

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/cespare/xxhash/v2"
)

// quiet is a log handler for what happens at each evaluation: a rule that fails does so once a second. It passes a line of a rule on when
// its error changed, at most so many in a while, and then after repeatAfter with the number of those left out.
type quiet struct {
	slog.Handler
	state *quietState
	of    uint64 // hash of the attributes of the logger
}

const (
	repeatAfter = 5 * time.Minute
	// changesPassed is how many changes of the error are logged within repeatAfter.
	changesPassed = 5
	maxQuietKeys  = 10_000
)

type quietState struct {
	mu   sync.Mutex
	keys map[uint64]*quietKey
}

type quietKey struct {
	err     uint64
	since   time.Time // when passed began to count
	passed  int
	omitted int
}

// NewQuiet is h with the lines of what fails again and again passed on when their error changes and every 5 min.
func NewQuiet(h slog.Handler) slog.Handler { return quietHandler(h) }

func quietHandler(h slog.Handler) *quiet {
	return &quiet{Handler: h, state: &quietState{keys: map[uint64]*quietKey{}}}
}

// WithAttrs implements slog.Handler.
func (q *quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	h := xxhash.New()
	for _, a := range attrs {
		_, _ = h.WriteString(a.String() + "\xff") // never fails
	}
	return &quiet{q.Handler.WithAttrs(attrs), q.state, q.of*31 + h.Sum64()}
}

// WithGroup implements slog.Handler.
func (q *quiet) WithGroup(name string) slog.Handler {
	return &quiet{q.Handler.WithGroup(name), q.state, q.of}
}

// Handle implements slog.Handler.
func (q *quiet) Handle(ctx context.Context, r slog.Record) error {
	key, text := q.of*31+xxhash.Sum64String(r.Message), ""
	r.Attrs(func(a slog.Attr) bool {
		switch a.Key {
		case "err":
			text, _, _ = strings.Cut(a.Value.String(), "\n") // stacks follow
			text = withoutNumbers(text)
		case "name", "group", "rule":
			key = key*31 + xxhash.Sum64String(a.Value.String())
		}
		return true
	})
	omitted, pass := q.state.take(key, xxhash.Sum64String(text), r.Time)
	if !pass {
		return nil
	}
	if omitted > 0 {
		r = r.Clone()
		r.AddAttrs(slog.Int("not_logged", omitted))
	}
	return q.Handler.Handle(ctx, r)
}

func (s *quietState) take(key, err uint64, now time.Time) (omitted int, pass bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	k := s.keys[key]
	switch {
	case k == nil:
		if len(s.keys) >= maxQuietKeys {
			clear(s.keys) // the count begins anew; rules come and go
		}
		k = &quietKey{since: now}
		s.keys[key] = k
	case now.Sub(k.since) >= repeatAfter || now.Before(k.since):
		k.since, k.passed = now, 0
	case k.err == err || k.passed >= changesPassed:
		k.omitted++
		return 0, false
	}
	omitted, k.omitted = k.omitted, 0
	k.err = err
	k.passed++
	return omitted, true
}

// withoutNumbers is a text without its digits: an error that holds a time or a count is the same error.
func withoutNumbers(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return -1
		}
		return r
	}, s)
}
