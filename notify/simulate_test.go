package notify

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/dispatch"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/inhibit"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/nflog"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/provider/mem"
	"github.com/prometheus/alertmanager/silence"
	"github.com/prometheus/alertmanager/template"
	"github.com/prometheus/alertmanager/timeinterval"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/stretchr/testify/require"
)

// recorded is an integration that notes its notifications.
type recorded struct {
	mu       *sync.Mutex
	out      *[]SimulatedNotice
	receiver string
	name     string
	resolved bool
}

func (r *recorded) SendResolved() bool { return r.resolved }

func (r *recorded) Notify(ctx context.Context, alerts ...*alert.Alert) (bool, error) {
	n := SimulatedNotice{Time: time.Now(), Receiver: r.receiver, Integration: r.name}
	n.GroupKey, _ = amnotify.GroupKey(ctx)
	reason, _ := amnotify.NotificationReason(ctx)
	n.Reason = reason.String()
	for _, a := range alerts {
		if a.Resolved() {
			n.Resolved = append(n.Resolved, a.Labels)
		} else {
			n.Firing = append(n.Firing, a.Labels)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	*r.out = append(*r.out, n)
	return false, nil
}

// dispatched runs Alertmanager's own dispatcher and pipeline in a bubble of time.
func dispatched(t *testing.T, am *amconfig.Config, changes []AlertChange, end time.Time) (out []SimulatedNotice) {
	synctest.Test(t, func(t *testing.T) {
		log, reg, rec := slog.New(slog.DiscardHandler), prometheus.NewRegistry(), eventrecorder.NopRecorder()
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		sils, err := silence.New(silence.Options{Retention: time.Hour, Logger: log, Metrics: reg, EventRecorder: rec})
		require.NoError(t, err)
		silencer := silence.NewSilencer(sils, log, rec)
		alerts, err := mem.NewAlerts(ctx, 30*time.Minute, 0, silencer, log, rec, reg, featurecontrol.NoopFlags{})
		require.NoError(t, err)
		defer alerts.Close()
		sim, err := newSimulation(am)
		require.NoError(t, err)
		var mu sync.Mutex
		receivers := map[string][]amnotify.Integration{}
		for name, list := range sim.integrations {
			for _, i := range list {
				r := &recorded{&mu, &out, name, i.Name(), i.SendResolved()}
				receivers[name] = append(receivers[name], amnotify.NewIntegration(r, r, i.Name(), i.Index(), name))
			}
		}
		nlog, err := nflog.New(nflog.Options{Retention: 120 * time.Hour, Logger: log, Metrics: reg})
		require.NoError(t, err)
		ih := inhibit.NewInhibitor(alerts, am.InhibitRules, log, rec)
		marks := marker.NewGroupMarker()
		pipeline := amnotify.NewPipelineBuilder(reg, featurecontrol.NoopFlags{}, rec).New(receivers, func() time.Duration { return 0 }, ih,
			silencer, timeinterval.NewIntervener(intervalsOf(am)), marks, nlog, nil)
		tmpl, err := template.FromGlobs(nil)
		require.NoError(t, err)
		d := dispatch.NewDispatcher(alerts, dispatch.NewRoute(am.Route, nil), pipeline, marks, (*gossip)(nil).sendTimeout, 30*time.Second,
			nil, log, rec, dispatch.NewDispatcherMetrics(false, reg, featurecontrol.NoopFlags{}), tmpl)
		go ih.Run()
		ih.WaitForLoading()
		defer ih.Stop()
		go d.Run(time.Now())
		d.WaitForLoading()
		defer d.Stop()
		for _, c := range changes {
			time.Sleep(time.Until(c.Time))
			a := &alert.Alert{Alert: model.Alert{Labels: c.Labels, StartsAt: c.Time}, UpdatedAt: c.Time}
			if !c.Firing {
				a.EndsAt = c.Time
			} else {
				a.EndsAt, a.Timeout = c.Time.Add(1000*time.Hour), true
			}
			require.NoError(t, alerts.Put(ctx, a))
			synctest.Wait()
		}
		time.Sleep(time.Until(end.Add(time.Millisecond)))
		synctest.Wait()
		mu.Lock()
		defer mu.Unlock()
	})
	return out
}

func textOf(list []SimulatedNotice) string {
	slices.SortFunc(list, func(a, b SimulatedNotice) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Receiver, b.Receiver), cmp.Compare(a.GroupKey, b.GroupKey),
			cmp.Compare(a.Integration, b.Integration))
	})
	sets := func(l []model.LabelSet) string {
		var out []string
		for _, x := range l {
			out = append(out, x.String())
		}
		slices.Sort(out)
		return strings.Join(out, " ")
	}
	var b strings.Builder
	for _, n := range list {
		fmt.Fprintf(&b, "%s %s/%s %s (%s) firing %s resolved %s\n", n.Time.UTC().Format(time.TimeOnly), n.Receiver, n.Integration,
			n.GroupKey, n.Reason, sets(n.Firing), sets(n.Resolved))
	}
	return b.String()
}

const simulatedConfig = `
route:
  receiver: all
  group_by: [alertname]
  group_wait: %s
  group_interval: %s
  repeat_interval: %s
  routes:
  - matchers: [severity="page"]
    receiver: pager
    group_by: ['...']
    group_wait: %s
    continue: true
  - matchers: [service="cart"]
    receiver: quiet
    group_by: [service]
    mute_time_intervals: [tea]
receivers:
- name: all
  webhook_configs: [{url: 'http://127.0.0.1:1/'}, {url: 'http://127.0.0.1:2/', send_resolved: false}]
- name: pager
  webhook_configs: [{url: 'http://127.0.0.1:3/'}]
- name: quiet
  webhook_configs: [{url: 'http://127.0.0.1:4/', send_resolved: false}]
time_intervals:
- name: tea
  time_intervals: [{times: [{start_time: '00:20', end_time: '00:40'}]}]
inhibit_rules:
- source_matchers: [severity="page"]
  target_matchers: [severity="warn"]
  equal: [service]
`

// Whatever happens, the simulation notifies what Alertmanager's dispatcher notifies.
func TestSimulateAsDispatcher(t *testing.T) {
	total := 0
	for seed := range uint64(60) {
		rnd := rand.New(rand.NewPCG(seed, 7))
		pick := func(list ...string) string { return list[rnd.IntN(len(list))] }
		am, err := ParseConfig(fmt.Sprintf(simulatedConfig, pick("0s", "10s", "30s"), pick("1m", "5m"), pick("10m", "30m"),
			pick("1s", "20s")))
		require.NoError(t, err)
		start := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC) // where bubbles begin
		var changes []AlertChange
		state := map[string]bool{}
		for s := 1.0; s < 3600; s += rnd.Float64() * 120 {
			l := model.LabelSet{"alertname": model.LabelValue(pick("A", "B")), "service": model.LabelValue(pick("cart", "pay")),
				"severity": model.LabelValue(pick("page", "warn"))}
			key := l.String()
			state[key] = !state[key]
			// Uneven milliseconds: at the very moment of a flush either order would be right.
			at := start.Add(time.Duration(s)*time.Second + time.Duration(1+len(changes))*time.Millisecond)
			if n := len(changes); n > 0 && !at.After(changes[n-1].Time) {
				at = changes[n-1].Time.Add(time.Millisecond)
			}
			changes = append(changes, AlertChange{at, l, state[key]})
		}
		end := start.Add(time.Hour + 10*time.Minute)
		want := dispatched(t, am, changes, end)
		got, err := Simulate(am, changes, end)
		require.NoError(t, err)
		require.Equal(t, textOf(want), textOf(got), "seed %d", seed)
		total += len(got)
	}
	require.Greater(t, total, 1000)
}
