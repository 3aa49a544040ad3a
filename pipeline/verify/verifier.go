package verify

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/views"
)

// Config is what New needs.
type Config struct {
	Kafka kafka.Config
	// Views returns the views, which agree with each other until the function is called.
	Views func() (views.Reader, func())
	// Positions returns up to which offsets of spans and logs the views hold the topics.
	Positions func() map[source.PartitionID]Position
	// Since returns from when on the views hold every record.
	Since func() time.Time
	Rules func() Rules
	// Decoder returns how the records of a topic are written.
	Decoder func(topic string) encoding.Decoder
	// Settled is how far behind the complete frontier a window must lie.
	Settled time.Duration
	// Share is the part of one core that Run takes; 0: Run only waits.
	Share   float64
	Metrics *Metrics
	Logger  zerolog.Logger
}

// Verifier compares the views with the topics. Its methods may be called by several goroutines.
type Verifier struct {
	c Config

	mu     sync.Mutex
	late   time.Duration // how late spans came
	always progress.Verification
	list   []*progress.Verification // asked for, oldest first
	cancel context.CancelFunc       // of the one that runs
	number int
	base   context.Context // of Run; nil: it does not run
	wg     sync.WaitGroup
}

const (
	// maxMinutes is how long a range may be that is asked for.
	maxMinutes = 24 * 60
	maxKept    = 20 // verifications that were asked for
)

// New returns a Verifier.
func New(c Config) *Verifier {
	if c.Metrics == nil {
		c.Metrics = NewMetrics(nil)
	}
	return &Verifier{c: c, always: progress.Verification{State: progress.VerificationRunning}}
}

// span is the range that can be verified now.
func (v *Verifier) span() (from, to time.Time) {
	r, done := v.c.Views()
	defer done()
	return span(r.Frontier(), v.c.Since(), v.c.Settled)
}

// slack is how long after a window its spans are expected to have come.
func (v *Verifier) slack() time.Duration {
	v.mu.Lock()
	defer v.mu.Unlock()
	return max(around, min(latest, v.late+v.late/4))
}

// came notes how late the last span of a window came. What is expected falls slowly: a second reading costs more than a few records.
func (v *Verifier) came(late time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if late > 0 {
		v.late = max(late, v.late-v.late/16)
	}
}

// Run compares one window after the other until ctx ends, and lets Start work.
func (v *Verifier) Run(ctx context.Context) error {
	v.mu.Lock()
	v.base = ctx
	v.always.Began = time.Now().UTC()
	v.mu.Unlock()
	defer v.wg.Wait()
	if v.c.Share <= 0 {
		<-ctx.Done()
		return nil
	}
	//nolint:gosec // which range is verified next is no secret
	i := itinerary{rand: rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 0))}
	pace := &pacer{share: v.c.Share}
	for ctx.Err() == nil {
		wait := time.Second
		if w, ok := i.pick(v.span()); ok {
			wait = v.next(ctx, &i, w, pace)
		}
		v.c.Metrics.missed.Set(float64(i.missed))
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
	return nil
}

// next compares a window and returns how long to wait after it.
func (v *Verifier) next(ctx context.Context, i *itinerary, w Window, pace *pacer) time.Duration {
	r, err := v.check(ctx, w, pace)
	switch {
	case ctx.Err() != nil:
		return 0
	case i.gone(w, err):
		return 100 * time.Millisecond
	case err != nil:
		v.c.Metrics.failures.Inc()
		v.c.Logger.Warn().Err(err).Stringer("window", w).Msg("counting a past minute of the topics again failed")
		return 10 * time.Second
	}
	v.mu.Lock()
	r.addTo(&v.always)
	v.always.From, v.always.To = earlier(v.always.From, r.From), later(v.always.To, r.To)
	v.mu.Unlock()
	v.report(r)
	return max(100*time.Millisecond, pace.worked(0))
}

// report counts and logs what a comparison found.
func (v *Verifier) report(r Result) {
	v.c.Metrics.count(r)
	for _, d := range r.Differing[:min(3, len(r.Differing))] {
		v.c.Logger.Error().Stringer("window", r.Window).Int("cells", len(r.Differing)).Stringer("first", d).
			Msg("the views differ from the topics")
	}
}

// addTo adds the result of a minute to a verification.
func (r *Result) addTo(n *progress.Verification) {
	n.Compared++
	n.Records += r.Records
	n.Cells += int64(r.Cells)
	n.Uncertain += int64(r.Uncertain)
	n.Differing += int64(len(r.Differing))
	n.Differences = append(n.Differences, r.Differing[:min(len(r.Differing), progress.MaxDifferences-len(n.Differences))]...)
	n.Busy += r.Busy
	n.Updated = time.Now().UTC()
}

// usual is how long a range is that is asked for without its ends.
const usual = 10 * time.Minute

// Start begins to compare a range as fast as it can, and returns at once. One range is compared at a time. A zero to is the end of what can
// be verified, a zero from is ten minutes before to.
func (v *Verifier) Start(from, to time.Time) (progress.Verification, error) {
	first, last := v.span()
	if to.IsZero() {
		to = last
	}
	if from.IsZero() {
		from = later(first, to.Add(-usual))
	}
	switch {
	case last.IsZero() || !first.Before(last):
		return progress.Verification{}, fmt.Errorf("%w: no minute is complete yet: try again in a minute", progress.ErrVerificationRange)
	case !from.Before(to):
		return progress.Verification{}, fmt.Errorf("%w: it ends before it begins", progress.ErrVerificationRange)
	case from.Before(first) || to.After(last):
		return progress.Verification{}, fmt.Errorf("%w: choose one within %s", progress.ErrVerificationRange, Window{first, last})
	}
	list := windows(from, to)
	if len(list) > maxMinutes {
		return progress.Verification{}, fmt.Errorf("%w: it has %d minutes, at most %d are possible", progress.ErrVerificationRange, len(list), maxMinutes)
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.base == nil || v.base.Err() != nil {
		return progress.Verification{}, errors.New("the process is starting or ending: try again")
	}
	if slices.ContainsFunc(v.list, func(n *progress.Verification) bool { return n.State == progress.VerificationRunning }) {
		return progress.Verification{}, progress.ErrVerificationRuns
	}
	v.number++
	n := &progress.Verification{ID: strconv.Itoa(v.number), From: list[0].From, To: list[len(list)-1].To, State: progress.VerificationRunning,
		Minutes: len(list), Began: time.Now().UTC(), Updated: time.Now().UTC()}
	v.list = append(v.list, n)
	if len(v.list) > maxKept {
		v.list = v.list[1:]
	}
	ctx, cancel := context.WithCancel(v.base)
	v.cancel = cancel
	v.wg.Go(func() {
		defer cancel()
		v.all(ctx, n, list)
	})
	return n.Clone(), nil
}

// Cancel ends a verification, whose result so far stays; one that has ended is left as it is.
func (v *Verifier) Cancel(id string) bool {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.list {
		if n.ID != id {
			continue
		}
		if n.State == progress.VerificationRunning {
			n.State, n.Updated = progress.VerificationCanceled, time.Now().UTC()
			v.cancel()
		}
		return true
	}
	return false
}

// all compares the windows of a verification.
func (v *Verifier) all(ctx context.Context, n *progress.Verification, list []Window) {
	pace := &pacer{share: 1}
	for _, w := range list {
		r, err := v.check(ctx, w, pace)
		v.mu.Lock()
		switch {
		case n.State != progress.VerificationRunning: // it was canceled
		case errors.Is(err, ErrGone):
			n.Skipped++
		case err != nil:
			n.State, n.Error = progress.VerificationFailed, err.Error()
		default:
			r.addTo(n)
		}
		ended := n.State != progress.VerificationRunning
		v.mu.Unlock()
		if err == nil {
			v.report(r)
		}
		if ended {
			return
		}
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	n.State = progress.VerificationFinished
	if n.Compared == 0 {
		n.State, n.Error = progress.VerificationFailed, ErrGone.Error()
	}
}

// Span is the range that can be verified now; ok is false while there is none.
func (v *Verifier) Span() (from, to time.Time, ok bool) {
	from, to = v.span()
	return from, to, !to.IsZero() && from.Before(to)
}

// Always is what the comparison that runs all the time has found; ok is false if none does.
func (v *Verifier) Always() (n progress.Verification, ok bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.always.Clone(), v.c.Share > 0
}

// List are the verifications that were asked for, newest first.
func (v *Verifier) List() []progress.Verification {
	v.mu.Lock()
	defer v.mu.Unlock()
	out := make([]progress.Verification, 0, len(v.list))
	for _, n := range slices.Backward(v.list) {
		out = append(out, n.Clone())
	}
	return out
}

// Get returns a verification.
func (v *Verifier) Get(id string) (progress.Verification, bool) {
	v.mu.Lock()
	defer v.mu.Unlock()
	for _, n := range v.list {
		if n.ID == id {
			return n.Clone(), true
		}
	}
	return progress.Verification{}, false
}
