package backup_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage/backup"
)

// gate is a store that fails, or keeps a write waiting.
type gate struct {
	backup.Store
	fail  atomic.Int32  // so many writes fail
	panic atomic.Bool   // a write panics
	hold  chan struct{} // nil: nothing waits
}

func (g *gate) Put(ctx context.Context, name string, b []byte) error {
	if g.fail.Add(-1) >= 0 {
		return errors.New("the store is away")
	}
	if g.panic.Swap(false) {
		panic("a fault")
	}
	if g.hold != nil {
		select {
		case <-g.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return g.Store.Put(ctx, name, b)
}

type running struct {
	*backup.Runner
	reg  *prometheus.Registry
	stop func()
}

func run(t *testing.T, p *process, st backup.Store, c backup.RunnerConfig) *running {
	t.Helper()
	r := &running{reg: prometheus.NewRegistry()}
	c.Source, c.Registerer, c.Logger = p.source(), r.reg, zerolog.Nop()
	c.Open = func(context.Context, string) (backup.Store, error) { return st, nil }
	r.Runner = backup.NewRunner(c)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	ended := false
	r.stop = func() {
		if cancel(); !ended {
			ended = true
			require.NoError(t, <-done)
		}
	}
	t.Cleanup(r.stop)
	return r
}

func (r *running) metric(t *testing.T, name string) float64 {
	t.Helper()
	families, err := r.reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatal(name)
	return 0
}

func eventually(t *testing.T, what func(c *assert.CollectT)) {
	t.Helper()
	require.EventuallyWithT(t, what, time.Minute, 5*time.Millisecond)
}

// TestSchedule: backups are made as often as is set, through failures and panics, and as many stay as are to be kept.
func TestSchedule(t *testing.T) {
	p := start(t, t.TempDir())
	p.apply(20)
	st := &gate{Store: backup.Folder(t.TempDir())}
	st.fail.Store(1)
	st.panic.Store(true)
	r := run(t, p, st, backup.RunnerConfig{Location: "here", Interval: 20 * time.Millisecond, Keep: 2})
	eventually(t, func(c *assert.CollectT) {
		n := map[backup.State]int{}
		for _, j := range r.List() {
			n[j.State]++
			assert.True(c, j.Scheduled)
		}
		assert.Equal(c, 2, n[backup.StateFailed])
		assert.GreaterOrEqual(c, n[backup.StateComplete], 4)
	})
	require.Greater(t, r.metric(t, "watchingcat_backup_last_success_timestamp_seconds"), 1e9)
	require.Greater(t, r.metric(t, "watchingcat_backup_last_size_bytes"), 100.0)
	r.stop()
	list, err := backup.List(t.Context(), st)
	require.NoError(t, err)
	require.LessOrEqual(t, len(list), 3)
	require.NoError(t, testutil.GatherAndCompare(r.reg, strings.NewReader(`
# HELP watchingcat_backup_interval_seconds Configured time between two backups; 0: none are scheduled.
# TYPE watchingcat_backup_interval_seconds gauge
watchingcat_backup_interval_seconds 0.02
# HELP watchingcat_backup_running 1 while a backup is made.
# TYPE watchingcat_backup_running gauge
watchingcat_backup_running 0
`), "watchingcat_backup_interval_seconds", "watchingcat_backup_running"))

	// A restart does not begin another one before its time.
	again := run(t, p, st, backup.RunnerConfig{Location: "here", Interval: time.Hour})
	eventually(t, func(c *assert.CollectT) { assert.Len(c, again.List(), 1) })
	require.Greater(t, again.metric(t, "watchingcat_backup_last_success_timestamp_seconds"), 1e9)
	again.stop()
	require.Len(t, again.List(), 1)
}

// TestOneBackupAtATime: a second one is refused; one that is canceled, or that the process ends, leaves nothing.
func TestOneBackupAtATime(t *testing.T) {
	p := start(t, t.TempDir())
	p.apply(20)
	st := &gate{Store: backup.Folder(t.TempDir()), hold: make(chan struct{})}
	r := run(t, p, st, backup.RunnerConfig{})
	_, err := r.Start(t.Context(), "", -1)
	require.ErrorIs(t, err, backup.ErrNoLocation)
	var first backup.Job
	eventually(t, func(c *assert.CollectT) { // Run has begun
		first, err = r.Start(t.Context(), "there", -1)
		assert.NoError(c, err)
	})
	_, err = r.Start(t.Context(), "there", -1)
	require.ErrorIs(t, err, backup.ErrRunning)
	require.ErrorIs(t, r.Cancel("x"), backup.ErrUnknown)
	require.NoError(t, r.Cancel(first.ID))
	eventually(t, func(c *assert.CollectT) {
		j, err := r.Get(first.ID)
		require.NoError(c, err)
		assert.Equal(c, backup.StateCanceled, j.State)
	})
	_, err = r.Start(t.Context(), "there", -1)
	require.NoError(t, err)
	r.stop() // does not wait for the store
	require.Equal(t, backup.StateCanceled, r.List()[0].State)
	_, err = r.Start(t.Context(), "there", -1)
	require.ErrorIs(t, err, backup.ErrStopped)
	list, err := backup.List(t.Context(), st)
	require.NoError(t, err)
	require.Empty(t, list)
}
