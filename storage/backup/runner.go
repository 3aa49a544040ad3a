package backup

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/rs/zerolog"
)

// Errors of Runner.
var (
	ErrRunning    = errors.New("another backup is in progress")
	ErrUnknown    = errors.New("no such backup was started by this process")
	ErrNoLocation = errors.New("no location: give one, or set WATCHINGCAT_BACKUP_URL")
	ErrStopped    = errors.New("the process starts or stops, or works on a data folder without serving")
	errCanceled   = errors.New("canceled")
)

// RunnerConfig says what is backed up, where to, and how often.
type RunnerConfig struct {
	Source Source
	// Open opens the store at a location; its errors are of the caller's input.
	Open func(ctx context.Context, location string) (Store, error)
	// Location is where backups go without another location ("": there is none), of which Keep stay (0: all).
	Location string
	Keep     int
	// Interval is the time from one backup to Location to the next (0: only those that are started).
	Interval       time.Duration
	BytesPerSecond int64
	Logger         zerolog.Logger
	Registerer     prometheus.Registerer
}

// State is how far a Job is.
type State string

// States of a Job.
const (
	StateRunning  State = "running"
	StateComplete State = "complete"
	StateFailed   State = "failed"
	StateCanceled State = "canceled"
)

// Job is one backup that the process makes or made.
type Job struct {
	ID        string
	Location  string
	State     State
	Scheduled bool
	Bytes     int64 // written
	Started   time.Time
	Finished  time.Time // zero while it runs
	Error     string
	Positions []Position // nil until it is complete
}

// maxJobs is how many jobs are remembered.
const maxJobs = 50

// Runner makes backups, one at a time.
type Runner struct {
	c RunnerConfig
	m runnerMetrics

	mu     sync.Mutex
	ctx    context.Context         //nolint:containedctx // that of Run
	jobs   []*Job                  // the newest last
	cancel context.CancelCauseFunc // of the job that runs; nil: none does
	done   chan struct{}           // closed when the newest job has ended
}

type runnerMetrics struct {
	success, size, took, running prometheus.Gauge
	total                        *prometheus.CounterVec
}

// NewRunner returns a Runner, which makes backups while Run runs.
func NewRunner(c RunnerConfig) *Runner {
	f := promauto.With(c.Registerer)
	gauge := func(name, help string) prometheus.Gauge {
		return f.NewGauge(prometheus.GaugeOpts{Name: name, Help: help})
	}
	r := &Runner{c: c, m: runnerMetrics{
		success: gauge("watchingcat_backup_last_success_timestamp_seconds",
			"Time of the state in the newest complete backup at the configured location; 0 while none is known."),
		size:    gauge("watchingcat_backup_last_size_bytes", "Size of the last backup that this process completed."),
		took:    gauge("watchingcat_backup_last_duration_seconds", "Duration of the last backup that this process completed."),
		running: gauge("watchingcat_backup_running", "1 while a backup is made."),
		total: f.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_backups_total",
			Help: "Backups that ended, by result: complete, failed, canceled."}, []string{"result"}),
	}}
	gauge("watchingcat_backup_interval_seconds", "Configured time between two backups; 0: none are scheduled.").Set(c.Interval.Seconds())
	for _, s := range []State{StateComplete, StateFailed, StateCanceled} {
		r.m.total.WithLabelValues(string(s))
	}
	return r
}

// Location is where backups go without another location, and how often.
func (r *Runner) Location() (location string, interval time.Duration) {
	return r.c.Location, r.c.Interval
}

// Start begins a backup; location "" is the configured one. keep says how many complete backups stay there (0: all; negative: as is set for
// the configured location, all for another).
func (r *Runner) Start(ctx context.Context, location string, keep int) (Job, error) {
	return r.start(ctx, location, keep, false)
}

func (r *Runner) start(ctx context.Context, location string, keep int, scheduled bool) (Job, error) {
	configured := location == "" || location == r.c.Location
	if location == "" {
		location = r.c.Location
	}
	if location == "" {
		return Job{}, ErrNoLocation
	}
	if keep < 0 {
		keep = 0
		if configured {
			keep = r.c.Keep
		}
	}
	st, err := r.c.Open(ctx, location)
	if err != nil {
		return Job{}, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ctx == nil || r.ctx.Err() != nil {
		return Job{}, ErrStopped
	}
	if r.cancel != nil {
		return Job{}, fmt.Errorf("%w: %s", ErrRunning, r.jobs[len(r.jobs)-1].ID)
	}
	now := r.c.Source.Now().UTC()
	job := &Job{ID: newID(now), Location: location, State: StateRunning, Scheduled: scheduled, Started: now}
	if r.jobs = append(r.jobs, job); len(r.jobs) > maxJobs {
		r.jobs = r.jobs[1:]
	}
	var run context.Context
	run, r.cancel = context.WithCancelCause(r.ctx)
	r.m.running.Set(1)
	done := make(chan struct{})
	r.done = done
	go func() {
		defer close(done)
		m, err := r.take(run, st, job, keep)
		r.ended(job, st, configured, m, err)
	}()
	return *job, nil
}

// take makes a panic an error: a backup must not end the process.
func (r *Runner) take(ctx context.Context, st Store, job *Job, keep int) (m *Manifest, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("a panic in the backup: %v", p)
		}
	}()
	return Take(ctx, st, r.c.Source, Options{ID: job.ID, BytesPerSecond: r.c.BytesPerSecond, Keep: keep, Wrote: func(n int64) {
		r.mu.Lock()
		job.Bytes += n
		r.mu.Unlock()
	}})
}

func (r *Runner) ended(job *Job, st Store, configured bool, m *Manifest, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cancel(nil)
	r.cancel = nil
	r.m.running.Set(0)
	job.Finished = r.c.Source.Now().UTC()
	log := r.c.Logger.With().Str("backup", job.ID).Str("location", st.String()).Dur("took_ms", job.Finished.Sub(job.Started)).Logger()
	if job.State = StateComplete; m != nil {
		job.Positions = append([]Position{}, m.Positions...)
		r.m.size.Set(float64(m.Size()))
		r.m.took.Set(job.Finished.Sub(job.Started).Seconds())
		if configured {
			r.m.success.Set(float64(m.Started.UnixMilli()) / 1e3)
		}
	}
	switch {
	case m != nil && err != nil: // older ones were not deleted
		job.Error = err.Error()
		log.Warn().Err(err).Msg("backup complete, older backups were not deleted")
	case err == nil:
		log.Info().Int64("bytes", m.Size()).Msg("backup complete")
	case errors.Is(err, errCanceled) || errors.Is(err, context.Canceled):
		job.State, job.Error = StateCanceled, err.Error()
		log.Warn().Msg("backup canceled")
	default:
		job.State, job.Error = StateFailed, err.Error()
		log.Error().Err(err).Msg("backup failed")
	}
	r.m.total.WithLabelValues(string(job.State)).Inc()
}

// List returns the jobs of this process, the newest first.
func (r *Runner) List() []Job {
	r.mu.Lock()
	defer r.mu.Unlock()
	out := make([]Job, 0, len(r.jobs))
	for i := len(r.jobs) - 1; i >= 0; i-- {
		out = append(out, *r.jobs[i])
	}
	return out
}

// Get returns a job, or ErrUnknown.
func (r *Runner) Get(id string) (Job, error) {
	for _, j := range r.List() {
		if j.ID == id {
			return j, nil
		}
	}
	return Job{}, ErrUnknown
}

// Cancel ends a job that runs.
func (r *Runner) Cancel(id string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, j := range r.jobs {
		if j.ID == id {
			if j.State == StateRunning {
				r.cancel(errCanceled)
			}
			return nil
		}
	}
	return ErrUnknown
}

// Run makes backups as often as is set, and those that are started, until ctx ends. A backup that runs then is canceled.
func (r *Runner) Run(ctx context.Context) error {
	r.mu.Lock()
	r.ctx = ctx
	r.mu.Unlock()
	defer r.idle()
	if r.c.Location == "" {
		<-ctx.Done()
		return nil
	}
	r.lookBack(ctx)
	for {
		wait := time.Duration(1<<63 - 1)
		if r.c.Interval > 0 {
			wait = r.due().Sub(r.c.Source.Now())
		}
		t := time.NewTimer(max(0, wait))
		select {
		case <-ctx.Done():
			t.Stop()
			return nil
		case <-t.C:
		}
		if _, err := r.start(ctx, "", -1, true); err != nil && !errors.Is(err, ErrRunning) {
			r.m.total.WithLabelValues(string(StateFailed)).Inc()
			r.c.Logger.Error().Err(err).Msg("a scheduled backup could not be started")
		}
		r.idle()
		r.pause(ctx)
	}
}

// idle waits for the job that runs.
func (r *Runner) idle() {
	r.mu.Lock()
	done := r.done
	r.mu.Unlock()
	if done != nil {
		<-done
	}
}

// retryAfter is how long after a scheduled backup failed the next one begins, if the interval is longer.
const retryAfter = 5 * time.Minute

// due is when the next scheduled backup begins.
func (r *Runner) due() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := len(r.jobs) - 1; i >= 0; i-- {
		if j := r.jobs[i]; j.State == StateComplete && j.Location == r.c.Location {
			return j.Started.Add(r.c.Interval)
		}
	}
	return time.Time{}
}

// pause waits after a scheduled backup that failed.
func (r *Runner) pause(ctx context.Context) {
	if r.due().After(r.c.Source.Now()) {
		return
	}
	t := time.NewTimer(min(retryAfter, r.c.Interval))
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// lookBack finds the newest complete backup at the configured location, so that a restart does not make one before its time.
func (r *Runner) lookBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	st, err := r.c.Open(ctx, r.c.Location)
	var id string
	if err == nil {
		id, err = Newest(ctx, st)
	}
	var m *Manifest
	if err == nil {
		m, err = ReadManifest(ctx, st, id)
	}
	if errors.Is(err, ErrNoBackup) {
		return
	}
	if err != nil {
		r.c.Logger.Warn().Err(err).Msg("the newest backup could not be read")
		return
	}
	r.m.success.Set(float64(m.Started.UnixMilli()) / 1e3)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.jobs = append([]*Job{{ID: m.ID, Location: r.c.Location, State: StateComplete, Scheduled: true, Bytes: m.Size(), Started: m.Started,
		Finished: m.Finished, Positions: m.Positions}}, r.jobs...)
}
