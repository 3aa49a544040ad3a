package answer

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

const (
	// DefaultRange is how far back an answer goes that was not asked for a start.
	DefaultRange = 15 * time.Minute
	// Bucket is the narrowest width of the views' buckets.
	Bucket = model.BucketSeconds * time.Second
	// MaxPoints is how many points a series of an answer has at most, as Prometheus bounds a range query.
	MaxPoints = 11_000
	// DefaultPoints is how many points a series has where the request names no step.
	DefaultPoints = 90
	// SourceView names the views as the source of an answer.
	SourceView = "view"
)

// A Moment is what was known when a request began; an answer is never older than it says. Whatever a request reads it reads from the
// moment's views: these are of one version, also when a replay swaps versions meanwhile.
type Moment struct {
	Now      time.Time
	Views    views.Reader
	Frontier model.Frontier
}

// Progress is how far the pipeline has read, as answers describe it. Its methods must not block.
type Progress interface {
	// Partitions is ordered by topic and partition.
	Partitions() []progress.Partition
	// Truncated lists records that the broker had dropped before they were read.
	Truncated() []progress.Gap
	// Began says what was never read because reading began later.
	Began() progress.Beginning
}

// Moments makes the moments of requests, and describes answers by them.
type Moments struct {
	Views     views.Reader
	Pipeline  Progress
	Now       func() time.Time
	Retention time.Duration // of the widest buckets of the views
	Stores    bool          // a store of raw data is read for what is older than the views
}

// Moment is that of a request, which ends it too.
func (s *Moments) Moment(ctx context.Context) Moment {
	if h, ok := ctx.Value(heldKey{}).(*heldViews); ok {
		h.once.Do(func() {
			h.views, h.release = live.Snapshot(s.Views)
			h.views = live.Narrow(h.views, h.filter)
		})
		return Moment{s.Now(), h.views, h.views.Frontier()}
	}
	return Moment{s.Now(), s.Views, s.Views.Frontier()}
}

// Hold is Moment for what is no request; the caller ends it.
func (s *Moments) Hold(f model.DimFilter) (m Moment, release func()) {
	v, release := live.Snapshot(s.Views)
	v = live.Narrow(v, f)
	return Moment{s.Now(), v, v.Frontier()}, release
}

// heldViews are what a request reads, from when it first asks. What goes on for long, as a stream, must not ask: an old version is
// kept while it has readers.
type heldViews struct {
	once    sync.Once
	filter  model.DimFilter
	views   views.Reader
	release func()
}

type heldKey struct{}

// HoldViews makes the moments of a request within next be of one version of the views, narrowed by its filter.
func (s *Moments) HoldViews(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := &heldViews{release: func() {}, filter: DimFilter(r.URL.Query())}
		defer func() { h.release() }()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), heldKey{}, h)))
	})
}

// Known is the end of what the views speak for. Quiet partitions are read on with the clock, so it is close to now unless
// reading lags behind: then "the last 15 min" are those before the point that reading has reached.
func (m Moment) Known() time.Time {
	if m.Frontier.Complete.After(m.Frontier.Head) {
		return m.Frontier.Complete
	}
	return m.Frontier.Head
}

// A Range is the time that a request asks for: start inclusive, end exclusive.
type Range struct {
	Start, End time.Time
	Asked      bool // start was given, not assumed
	Covered    bool // what is older than the views is in the answer, or a warning says why not
}

// Unread says why the beginning of a range was never read; "" where nothing is missing.
func (s *Moments) Unread(m Moment, r Range) string {
	if r.Covered || r.Start.IsZero() && !r.Asked { // the latter: whatever the views hold
		return ""
	}
	since := m.Frontier.Since
	if since.IsZero() {
		since = r.End
	}
	if at, why := s.Pipeline.Began().Since(since); r.Start.Before(at.Truncate(Bucket)) {
		return why
	}
	if r.Asked && s.Stores && r.Start.Before(since.Truncate(Bucket)) {
		return fmt.Sprintf("the views begin at %s: what happened before is not in this answer", since.UTC().Format(time.RFC3339))
	}
	return ""
}

// RangeOf reads start and end. An absent end is just after the newest time known, an absent start length before the end.
func (m Moment) RangeOf(start, end *string, length time.Duration) (r Range, err error) {
	r.End = m.Now
	if k := m.Known(); !k.IsZero() {
		r.End = k.Add(1)
	}
	if end != nil {
		if r.End, err = ParseTime("end", *end); err != nil {
			return r, err
		}
	}
	if start == nil {
		r.Start = r.End.Add(-length)
		return r, nil
	}
	r.Asked = true
	if r.Start, err = ParseTime("start", *start); err != nil {
		return r, err
	}
	if r.End.Before(r.Start) {
		if end != nil {
			return r, Advise(Problemf(ErrBadRequest, "invalid_range", "end lies before start"), "Give an end that lies after start.")
		}
		r.End = r.Start // nothing is known of that time yet
	}
	return r, nil
}

// Seconds is the length of the part of r that the views speak for, in whole buckets as the counts are: what rates are divided
// by, so that they are right from the first minute on. Whole buckets also let a rate stand still until its calls or the bucket
// change; otherwise every commit would change every rate, and deltas would hold everything.
func (m Moment) Seconds(r Range) float64 {
	from, to := r.Start.Truncate(Bucket), r.End
	if m.Frontier.Since.After(from) {
		from = m.Frontier.Since.Truncate(Bucket)
	}
	if k := m.Known(); !k.IsZero() && k.Before(to) {
		to = k
	}
	return max(to.Add(Bucket-1).Truncate(Bucket).Sub(from), Bucket).Seconds()
}

// Warn marks an answer as partial and says why.
func Warn(m *rest.Meta, format string, args ...any) {
	m.Partial = true
	m.Warnings = append(m.Warnings, fmt.Sprintf(format, args...))
}

// Meta describes an answer over r; the zero range means all that the views hold.
func (s *Moments) Meta(m Moment, r Range) rest.Meta {
	f := m.Frontier
	out := rest.Meta{Source: rest.Source{SourceView}, UpTo: TimeOrNil(f.Head), ViewVersion: int64(f.Version), Warnings: []string{}}
	since := f.Since
	if !since.IsZero() && r.Start.After(since) {
		since = r.Start
	}
	out.Since = TimeOrNil(since)
	// Views that are younger than their retention have dropped nothing: then there is nothing before since.
	dropped := f.Head.Sub(f.Since) >= s.Retention-Bucket
	if r.Asked && !r.Covered && dropped && r.Start.Before(f.Since.Truncate(Bucket)) {
		Warn(&out, "the views keep what is younger than %s; nothing older is in this answer", f.Since.UTC().Format(time.RFC3339))
	} else if why := s.Unread(m, r); why != "" {
		Warn(&out, "%s", why)
	}
	partitions := s.Pipeline.Partitions()
	caughtUp := len(partitions) > 0
	for _, p := range partitions {
		caughtUp = caughtUp && p.Lag == 0 && p.Err == nil
		if p.Err != nil {
			Warn(&out, "%s/%d is not being read: %v", p.Topic, p.Partition, p.Err)
		}
	}
	from := r.Start
	if from.IsZero() {
		from = m.Now.Add(-DefaultRange) // alerts look at about as much
	}
	for _, t := range s.Pipeline.Truncated() {
		if !from.Before(t.Found) {
			continue // whatever was in those records ended before
		}
		Warn(&out, "%s/%d: records %d to %d were dropped by the broker before they were read", t.Topic, t.Partition, t.From, t.To-1)
	}
	if !caughtUp && !f.Complete.IsZero() {
		out.LagMs = max(0, m.Now.Sub(f.Complete).Milliseconds())
	}
	if !caughtUp && f.Complete.IsZero() {
		Warn(&out, "not every partition has been read yet; how far the views lag is not known")
	}
	return out
}

// RED turns what was counted into the shape of answers.
func RED(c model.RED, seconds float64) rest.RED {
	out := rest.RED{Calls: int64(c.Calls), Errors: int64(c.Errors), Rate: float64(c.Calls) / seconds,
		P50Ms: Millis(c.Latency.P50), P95Ms: Millis(c.Latency.P95), P99Ms: Millis(c.Latency.P99)}
	if c.Calls > 0 {
		out.ErrorRate = float64(c.Errors) / float64(c.Calls)
	}
	return out
}

// BeforeViews reports whether a range begins before the views do, and up to when the store answers for it.
func (m Moment) BeforeViews(r Range) (to time.Time, ok bool) {
	since := m.Frontier.Since
	if since.IsZero() {
		return r.End, r.Start.Before(r.End)
	}
	return Earlier(since, r.End), r.Start.Before(since.Truncate(Bucket))
}

// StepOf is the width of points: whole buckets, as wide as those kept of the time where the range begins.
func (m Moment) StepOf(r Range, asked *string) (time.Duration, error) {
	step := r.End.Sub(r.Start) / DefaultPoints
	if asked != nil {
		var err error
		if step, err = ParseDuration("step", *asked); err != nil {
			return 0, err
		}
	}
	width := max(Bucket, m.Frontier.WidthAt(r.Start))
	step = max(width, step.Truncate(width)+min(step%width, 1)*width)
	if r.End.Sub(r.Start)/step > MaxPoints {
		return 0, Advise(Problemf(ErrBadRequest, "too_many_points", "range and step make more than %d points", MaxPoints),
			"Give a longer step or a shorter range.")
	}
	return step, nil
}

// KeptTraces is from when on the views hold all traces; otherwise while they hold none.
func (m Moment) KeptTraces(otherwise time.Time) time.Time {
	if t := m.Views.Kept().Traces; !t.IsZero() {
		return t
	}
	return otherwise
}
