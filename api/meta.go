package api

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

// defaultRange is how far back an answer goes that was not asked for a start.
const defaultRange = 15 * time.Minute

const bucket = model.BucketSeconds * time.Second

// A moment is what was known when a request began; an answer is never older than it says. Whatever a request reads it reads from the
// moment's views: these are of one version, also when a replay swaps versions meanwhile.
type moment struct {
	now      time.Time
	views    views.Reader
	frontier model.Frontier
}

// moment is that of a request, which ends it too.
func (s *Server) moment(ctx context.Context) moment {
	if h, ok := ctx.Value(heldKey{}).(*heldViews); ok {
		h.once.Do(func() {
			h.views, h.release = live.Snapshot(s.cfg.Views)
			h.views = live.Narrow(h.views, h.filter)
		})
		return moment{s.cfg.Now(), h.views, h.views.Frontier()}
	}
	return moment{s.cfg.Now(), s.cfg.Views, s.cfg.Views.Frontier()}
}

// hold is moment for what is no request; the caller ends it.
func (s *Server) hold(f model.DimFilter) (m moment, release func()) {
	v, release := live.Snapshot(s.cfg.Views)
	v = live.Narrow(v, f)
	return moment{s.cfg.Now(), v, v.Frontier()}, release
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

func (s *Server) holdViews(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := &heldViews{release: func() {}, filter: dimFilter(r.URL.Query())}
		defer func() { h.release() }()
		next.ServeHTTP(w, r.WithContext(context.WithValue(r.Context(), heldKey{}, h)))
	})
}

// known is the end of what the views speak for. Quiet partitions are read on with the clock, so it is close to now unless
// reading lags behind: then "the last 15 min" are those before the point that reading has reached.
func (m moment) known() time.Time {
	if m.frontier.Complete.After(m.frontier.Head) {
		return m.frontier.Complete
	}
	return m.frontier.Head
}

// A timeRange is the time that a request asks for: start inclusive, end exclusive.
type timeRange struct {
	start, end time.Time
	asked      bool // start was given, not assumed
	covered    bool // what is older than the views is in the answer, or a warning says why not
}

// unread says why the beginning of a range was never read; "" where nothing is missing.
func (s *Server) unread(m moment, r timeRange) string {
	if r.covered || r.start.IsZero() && !r.asked { // the latter: whatever the views hold
		return ""
	}
	since := m.frontier.Since
	if since.IsZero() {
		since = r.end
	}
	if at, why := s.cfg.Pipeline.Began().Since(since); r.start.Before(at.Truncate(bucket)) {
		return why
	}
	if r.asked && r.start.Before(since.Truncate(bucket)) &&
		(s.cfg.Stores.Traces != nil || s.cfg.Stores.Logs != nil || s.cfg.Stores.Metrics) {
		return fmt.Sprintf("the views begin at %s: what happened before is not in this answer", since.UTC().Format(time.RFC3339))
	}
	return ""
}

// rangeOf reads start and end. An absent end is just after the newest time known, an absent start length before the end.
func (m moment) rangeOf(start, end *string, length time.Duration) (r timeRange, err error) {
	r.end = m.now
	if k := m.known(); !k.IsZero() {
		r.end = k.Add(1)
	}
	if end != nil {
		if r.end, err = timeParam("end", *end); err != nil {
			return r, err
		}
	}
	if start == nil {
		r.start = r.end.Add(-length)
		return r, nil
	}
	r.asked = true
	if r.start, err = timeParam("start", *start); err != nil {
		return r, err
	}
	if r.end.Before(r.start) {
		if end != nil {
			return r, advise(problemf(errBadRequest, "invalid_range", "end lies before start"), "Give an end that lies after start.")
		}
		r.end = r.start // nothing is known of that time yet
	}
	return r, nil
}

// seconds is the length of the part of r that the views speak for, in whole buckets as the counts are: what rates are divided
// by, so that they are right from the first minute on. Whole buckets also let a rate stand still until its calls or the bucket
// change; otherwise every commit would change every rate, and deltas would hold everything.
func (m moment) seconds(r timeRange) float64 {
	from, to := r.start.Truncate(bucket), r.end
	if m.frontier.Since.After(from) {
		from = m.frontier.Since.Truncate(bucket)
	}
	if k := m.known(); !k.IsZero() && k.Before(to) {
		to = k
	}
	return max(to.Add(bucket-1).Truncate(bucket).Sub(from), bucket).Seconds()
}

// warn marks an answer as partial and says why.
func warn(m *rest.Meta, format string, args ...any) {
	m.Partial = true
	m.Warnings = append(m.Warnings, fmt.Sprintf(format, args...))
}

// meta describes an answer over r; the zero range means all that the views hold.
func (s *Server) meta(m moment, r timeRange) rest.Meta {
	f := m.frontier
	out := rest.Meta{Source: rest.Source{sourceView}, UpTo: orNil(f.Head), ViewVersion: int64(f.Version), Warnings: []string{}}
	since := f.Since
	if !since.IsZero() && r.start.After(since) {
		since = r.start
	}
	out.Since = orNil(since)
	// Views that are younger than their retention have dropped nothing: then there is nothing before since.
	dropped := f.Head.Sub(f.Since) >= s.cfg.Retention-bucket
	if r.asked && !r.covered && dropped && r.start.Before(f.Since.Truncate(bucket)) {
		warn(&out, "the views keep what is younger than %s; nothing older is in this answer", f.Since.UTC().Format(time.RFC3339))
	} else if why := s.unread(m, r); why != "" {
		warn(&out, "%s", why)
	}
	partitions := s.cfg.Pipeline.Partitions()
	caughtUp := len(partitions) > 0
	for _, p := range partitions {
		caughtUp = caughtUp && p.Lag == 0 && p.Err == nil
		if p.Err != nil {
			warn(&out, "%s/%d is not being read: %v", p.Topic, p.Partition, p.Err)
		}
	}
	from := r.start
	if from.IsZero() {
		from = m.now.Add(-defaultRange) // alerts look at about as much
	}
	for _, t := range s.cfg.Pipeline.Truncated() {
		if !from.Before(t.Found) {
			continue // whatever was in those records ended before
		}
		warn(&out, "%s/%d: records %d to %d were dropped by the broker before they were read", t.Topic, t.Partition, t.From, t.To-1)
	}
	if !caughtUp && !f.Complete.IsZero() {
		out.LagMs = max(0, m.now.Sub(f.Complete).Milliseconds())
	}
	if !caughtUp && f.Complete.IsZero() {
		warn(&out, "not every partition has been read yet; how far the views lag is not known")
	}
	return out
}

// red turns what was counted into the shape of answers.
func red(c model.RED, seconds float64) rest.RED {
	out := rest.RED{Calls: int64(c.Calls), Errors: int64(c.Errors), Rate: float64(c.Calls) / seconds,
		P50Ms: millis(c.Latency.P50), P95Ms: millis(c.Latency.P95), P99Ms: millis(c.Latency.P99)}
	if c.Calls > 0 {
		out.ErrorRate = float64(c.Errors) / float64(c.Calls)
	}
	return out
}
