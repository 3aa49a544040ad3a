package older

import (
	"context"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/raw"
)

// TraceStore is a store of the traces that the views do not hold any more. *raw.Jaeger is one.
type TraceStore interface {
	Name() string
	Search(ctx context.Context, q raw.TraceQuery) (list []raw.Trace, more bool, err error)
	Trace(ctx context.Context, id [16]byte) (ptrace.Traces, error)
	// Services, Operations and Dependencies name what was ever seen; the last counts calls within a time.
	Services(ctx context.Context) ([]string, error)
	Operations(ctx context.Context, service string) ([]raw.Operation, error)
	Dependencies(ctx context.Context, from, to time.Time) ([]raw.Dependency, error)
}

// LogStore is a store of the log lines that the views do not hold any more. *raw.Elasticsearch is one.
type LogStore interface {
	Name() string
	Search(ctx context.Context, q raw.LogQuery) (raw.LogResult, error)
	Volume(ctx context.Context, q raw.LogQuery, step time.Duration) (list []raw.LogBucket, incomplete string, err error)
}

// Stores are what is asked for what the views do not hold; each may be nil. Samples of metrics are read through the Queryable.
type Stores struct {
	Traces TraceStore
	Logs   LogStore
	// Metrics says that the Queryable reads a store.
	Metrics bool
	// States says how each store and the cache is doing; nil: there are none.
	States func() []raw.Status
}

// Provenance is who gave an answer, and what is missing of it.
type Provenance struct {
	sources  []string
	Since    time.Time // from when on a store has answered; zero: none has
	covered  bool      // a store is asked for what lies before the views; that it did not answer is a warning
	Warnings []string
}

// answered notes that a store has answered for the time from since on.
func (p *Provenance) answered(name string, since time.Time) {
	if !slices.Contains(p.sources, name) {
		p.sources = append(p.sources, name)
	}
	p.Since = since
}

// fail notes that a store did not answer: what is missing then.
func (p *Provenance) fail(err error, what string) {
	p.covered = true
	p.warn(unanswered(err, what))
}

func (p *Provenance) warn(text string) { p.Warnings = append(p.Warnings, text) }

// Meta describes an answer over r that stores may have had a part in.
func (p *Provenance) Meta(s *answer.Moments, m answer.Moment, r answer.Range) rest.Meta {
	asked := r
	asked.Covered = asked.Covered || p.covered || !p.Since.IsZero()
	out := s.Meta(m, asked)
	if len(p.sources) > 0 {
		out.Source = p.sources
	}
	if !p.Since.IsZero() {
		out.Since = answer.TimeOrNil(p.Since)
	}
	if len(p.Warnings) > 0 {
		out.Partial = true
		out.Warnings = append(out.Warnings, p.Warnings...)
	}
	return out
}

// unanswered is the warning about a store that did not answer.
func unanswered(err error, what string) string { return err.Error() + "; " + what }

// Missing are the warnings of an answer whose format has no meta.
func (p *Provenance) Missing(s *answer.Moments, m answer.Moment, r answer.Range) []string {
	r.Covered = r.Covered || p.covered || !p.Since.IsZero()
	if why := s.Unread(m, r); why != "" {
		return append(slices.Clip(p.Warnings), why)
	}
	return p.Warnings
}
