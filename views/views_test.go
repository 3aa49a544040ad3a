package views_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

func TestScripts(t *testing.T) { datadriven.Walk(t, "testdata", viewstest.Run) }

// TestChartsFallIntoTheirSteps holds every point of a chart to the spans of its step, whatever width of buckets it was read from, and
// whether past hours were summed up before it was asked for or then.
func TestChartsFallIntoTheirSteps(t *testing.T) {
	t.Run("asked", func(t *testing.T) { chartsFallIntoTheirSteps(t, 0) })
	t.Run("prepared", func(t *testing.T) { chartsFallIntoTheirSteps(t, 50) })
	t.Run("half prepared", func(t *testing.T) { chartsFallIntoTheirSteps(t, 2) })
}

func chartsFallIntoTheirSteps(t *testing.T, prepare int) {
	s, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{})
	require.NoError(t, err)
	r := rand.New(rand.NewPCG(7, 7))
	var ends []time.Duration
	for i := range 2000 {
		at := time.Duration(r.Int64N(int64(5 * time.Hour)))
		l, err := viewstest.ParseLine(fmt.Sprintf("%v 0s web internal op id=t%d/a", at, i))
		require.NoError(t, err)
		ends = append(ends, at)
		s.Topic[0] = append(s.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}})
		s.Apply(0, int64(i))
	}
	if _, err := s.Checkpoint(nil); err != nil {
		t.Fatal(err)
	}
	check := func() {
		t.Helper()
		for range prepare {
			require.NoError(t, s.Set.Prepare())
		}
		for _, step := range []time.Duration{10 * time.Second, time.Minute, 5 * time.Minute, 90 * time.Second, time.Hour, 2 * time.Hour} {
			from, to := time.Unix(0, int64(17*time.Minute+13*time.Second)), time.Unix(0, int64(4*time.Hour+41*time.Minute+7*time.Second))
			points, ok, err := s.Set.ServicePoints("web", "", from, to, step)
			if err != nil || !ok {
				t.Fatal(ok, err)
			}
			for _, p := range points {
				want := uint64(0)
				for _, at := range ends {
					if end := time.Unix(0, int64(at)); !end.Before(p.Time) && end.Before(p.Time.Add(step)) &&
						end.Before(to.Truncate(10*time.Second).Add(10*time.Second)) {
						want++
					}
				}
				if p.Calls != want {
					t.Errorf("step %v, point %v: %d calls, want %d", step, p.Time.UTC(), p.Calls, want)
				}
			}
		}
	}
	check()
	// what is remembered of past hours is not good any more once something came late
	for _, at := range []time.Duration{time.Hour + 20*time.Minute, 3*time.Hour + time.Minute} {
		l, err := viewstest.ParseLine(fmt.Sprintf("%v 0s web internal op id=late/a", at))
		require.NoError(t, err)
		ends = append(ends, at)
		s.Topic[0] = append(s.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}})
		s.Apply(0, int64(len(s.Topic[0])-1))
		if _, err := s.Checkpoint(nil); err != nil {
			t.Fatal(err)
		}
		check()
	}
}
