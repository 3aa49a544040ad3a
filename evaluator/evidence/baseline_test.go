package evidence

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// What an alert is compared with leaves out when its rule had fired before, and when what made it fire may have begun.
func TestBaselineIsQuiet(t *testing.T) {
	seconds := func(s int) time.Time { return time.Unix(int64(s), 0) }
	type span = [2]int
	for name, c := range map[string]struct {
		fired []span // seconds; a negative begin is not remembered
		want  span
	}{
		"never": {nil, span{0, 3600}},
		"once":  {[]span{{660, 1260}}, span{1260, 3600}},
		// a window before 960
		"every ten minutes": {[]span{{360, 480}, {960, 1080}, {1560, 1680}, {2160, 2880}, {3360, 3480}}, span{480, 900}},
		// half of the rest
		"every three minutes":        {faults(180, 34, 145)[:19], span{3385, 3600}},
		"hardly ever at rest":        {faults(60, 10, 50), span{}},
		"two at once":                {[]span{{660, 1860}, {1260, 1560}}, span{1860, 3600}},
		"since before what is known": {[]span{{-1, 2460}}, span{2460, 3600}},
		"all the time":               {[]span{{-5, 3660}}, span{}},
		"another hour":               {[]span{{-6000, -5400}, {4200, 4800}}, span{0, 3600}},
		"still, from before":         {[]span{{1860, 9999}}, span{0, 1800}},
	} {
		var changes []alert.Transition
		for i, f := range c.fired {
			l := labels.FromStrings("n", fmt.Sprint(i))
			if f[0] != -1 {
				changes = append(changes, alert.Transition{Time: seconds(f[0]), RuleID: "r", Labels: l, To: alert.StateFiring})
			}
			if f[1] != 9999 {
				changes = append(changes,
					alert.Transition{Time: seconds(f[1]), RuleID: "r", Labels: l, From: alert.StateFiring, To: alert.StateResolved})
			}
			changes = append(changes, alert.Transition{Time: seconds(f[0]), RuleID: "other", To: alert.StateFiring})
		}
		slices.SortStableFunc(changes, func(a, b alert.Transition) int { return a.Time.Compare(b.Time) })
		list := quiet(changes, "r", seconds(0), seconds(3660), time.Minute) // active a minute after what is looked at begins
		require.Equal(t, c.want != span{}, len(list) > 0, name)
		if len(list) > 0 {
			require.Equal(t, c.want, span{int(list[0].begin.Unix()), int(list[0].end.Unix())}, name)
		}
	}
}

// faults are those of an hour that come again every so many seconds.
func faults(every, from, to int) (out [][2]int) {
	for at := 0; at < 3600; at += every {
		out = append(out, [2]int{at + from, at + to})
	}
	return out
}

// Where the hour before has no quiet stretch, an older one is taken; a rule that never rests is compared with the day before.
func TestBaselineFallsBack(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	restless := func(since time.Duration) *Gatherer {
		return &Gatherer{Transitions: func(f func([]alert.Transition)) {
			f([]alert.Transition{{Time: now.Add(-since), RuleID: "r", To: alert.StateFiring}})
		}}
	}
	chosen := func(since, known time.Duration) (out []any) {
		for _, b := range restless(since).baselines("r", now.Add(-time.Minute), now, now.Add(-known), time.Minute) {
			out = append(out, now.Sub(b.begin), now.Sub(b.end), b.reason)
		}
		return out
	}
	const hour, minute = time.Hour, time.Minute
	require.Equal(t, []any{6*hour + minute, 3*hour + minute, alert.BaselineQuiet}, chosen(3*hour, 100*hour))
	require.Equal(t, []any{4 * hour, 3*hour + minute, alert.BaselineQuiet}, chosen(3*hour, 4*hour))
	require.Equal(t, []any{25*hour + minute, 24*hour + minute, alert.BaselineDayBefore}, chosen(90*hour, 100*hour))
	require.Equal(t, []any{25*hour + minute, 24*hour + minute, alert.BaselineDayBefore, 169*hour + minute, 168*hour + minute, alert.BaselineWeekBefore},
		chosen(300*hour, 200*hour))
	require.Equal(t, []any{hour + minute, minute, alert.BaselineHourBefore}, chosen(9*hour, 9*hour))
}

// calls is a Reader of maps that have a share of failed calls by how long before now they are.
type calls struct {
	views.Reader
	now    time.Time
	failed func(ago time.Duration) uint64 // of 1000 calls
}

func (r *calls) ServiceMap(from, _ time.Time) (model.Map, error) {
	return model.Map{Edges: []model.Edge{edge("user", "web", "virtual_node", 1000, r.failed(r.now.Sub(from)), 40*tick)}}, nil
}

// At three in the morning the hour before may hold the fault already: then the same hour of the day or the week before is compared with.
func TestCalmestHour(t *testing.T) {
	now := time.Unix(10_000_000, 0)
	for reason, failed := range map[string]func(ago time.Duration) uint64{
		alert.BaselineHourBefore: func(time.Duration) uint64 { return 3 },
		alert.BaselineDayBefore: func(ago time.Duration) uint64 {
			if ago < 5*time.Hour {
				return 400
			}
			return 3
		},
		alert.BaselineWeekBefore: func(ago time.Duration) uint64 {
			if ago < 48*time.Hour {
				return 400
			}
			return 3
		},
	} {
		q := (&Gatherer{}).Inquire(t.Context())
		list := append([]baseline{hourBefore(now)}, earlierHours(now, now.Add(-400*time.Hour))...)
		got, err := q.calmest(&calls{now: now, failed: failed}, list, "web", [2]float64{1, 1})
		require.NoError(t, err)
		require.Equal(t, reason, got.reason)
	}
}

// Views that began within the window of an alert are compared with their own first half, if it is long enough.
func TestBaselineOfViewsThatBegan(t *testing.T) {
	known := time.Unix(1000, 0)
	for active, want := range map[int64]int64{1039: 0, 1040: 1020, 1059: 1029, 1060: 1030, 1090: 1045, 1091: 0} {
		at := time.Unix(active, 0)
		first, ok := beginning(known, at, at.Add(-time.Minute))
		require.Equal(t, want != 0, ok, active)
		if ok {
			require.Equal(t, []int64{1000, want}, []int64{first.begin.Unix(), first.end.Unix()}, active)
		}
	}
}
