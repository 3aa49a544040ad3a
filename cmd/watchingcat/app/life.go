package app

import (
	"context"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// ShutdownTimeout is how long ending may take: less than the 30 s after which Kubernetes kills.
const ShutdownTimeout = 25 * time.Second

// GiveUpAfter calls giveUp when ctx has ended for longer than the timeout and the returned function has not been called.
func GiveUpAfter(ctx context.Context, timeout time.Duration, giveUp func()) (ended func()) {
	done, cancel := context.WithCancel(context.Background())
	go func() {
		select {
		case <-ctx.Done():
		case <-done.Done():
			return
		}
		t := time.NewTimer(timeout)
		defer t.Stop()
		select {
		case <-t.C:
			giveUp()
		case <-done.Done():
		}
	}()
	return cancel
}

// delayed returns a context that ends as long after ctx as is set; readiness ends with ctx.
func (a *App) delayed(ctx context.Context) (context.Context, context.CancelFunc) {
	later, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		a.stopping.Store(true)
		a.log.Info().Dur("delay_ms", a.cfg.ShutdownDelay).Msg("shutting down: readiness off")
		t := time.NewTimer(a.cfg.ShutdownDelay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-later.Done():
		}
		end()
	})
	return later, func() { stop(); end() }
}

// reloads exposes how reading the files again went.
type reloads struct{ ok, at prometheus.Gauge }

func newReloads(reg prometheus.Registerer, start time.Time) *reloads {
	f := promauto.With(reg)
	r := &reloads{
		ok: f.NewGauge(prometheus.GaugeOpts{Name: "watchingcat_config_last_reload_successful",
			Help: "1 if the last reload of rule files, alertmanager.yml and certificate succeeded."}),
		at: f.NewGauge(prometheus.GaugeOpts{Name: "watchingcat_config_last_reload_success_timestamp_seconds",
			Help: "Time of the last successful reload."}),
	}
	r.note(true, start)
	return r
}

func (r *reloads) note(ok bool, now time.Time) {
	if !ok {
		r.ok.Set(0)
		return
	}
	r.ok.Set(1)
	r.at.Set(float64(now.UnixMilli()) / 1e3)
}
