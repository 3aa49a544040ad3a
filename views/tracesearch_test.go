package views_test

import (
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// TestSearchesBesideCheckpoints: blocks are read without the lock while folds write new ones and late spans take traces out of theirs.
// Each committed trace is found, once and with the spans committed, by search and by id.
func TestSearchesBesideCheckpoints(t *testing.T) {
	script, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{FoldEvery: 2, TraceRetention: 24 * time.Hour})
	require.NoError(t, err)
	const commits, each, late = 250, 6, 40
	id := func(n int) (id [16]byte) {
		binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
		return id
	}
	span := func(n, at int, sp byte) viewstest.Line {
		l := viewstest.Line{Resource: model.Resource{Service: []byte("cart"), HasService: true}}
		l.Span = model.Span{TraceID: id(n), SpanID: [8]byte{sp}, Name: []byte("op"), Kind: model.KindServer, Start: uint64(at) * 1e9,
			End: uint64(at)*1e9 + 1e6}
		return l
	}
	spans := func(n, committed int) uint64 { // of a trace, at least
		if n < committed-late*each {
			return 2
		}
		return 1
	}
	var committed atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	for seed := range uint64(2) {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(3, seed))
			for {
				select {
				case <-done:
					return
				default:
				}
				least := int(committed.Load())
				res, err := script.Set.SearchTraces(views.TraceQuery{Service: "cart", Limit: 10_000, Slowest: seed == 1})
				if err != nil {
					t.Error(err)
					return
				}
				found := map[[16]byte]uint64{}
				for _, s := range res.Traces {
					if found[s.ID] > 0 {
						t.Errorf("%x is found twice", s.ID)
					}
					found[s.ID] = s.Spans
				}
				visited, most := 0, map[time.Time]int{}
				_, err = script.Set.SearchTraces(views.TraceQuery{Service: "cart", Visit: func(start, _ time.Time, _ bool) {
					visited++
					if most[start]++; most[start] > each {
						t.Errorf("of %d traces that start at %v more are visited", each, start)
					}
				}})
				if err != nil || visited < least {
					t.Errorf("%d of %d traces are visited: %v", visited, least, err)
					return
				}
				for n := range least {
					if found[id(n)] < spans(n, least) {
						t.Errorf("trace %d of %d is found with %d spans", n, least, found[id(n)])
						return
					}
				}
				if least == 0 {
					continue
				}
				n := r.IntN(least)
				if s, _, _, ok, err := script.Set.Trace(id(n)); err != nil || !ok || s.Spans < spans(n, least) {
					t.Errorf("trace %d of %d by its id: %v %v %d spans", n, least, ok, err, s.Spans)
					return
				}
			}
		})
	}
	for c := range commits {
		var r viewstest.Record
		for i := range each {
			r.Spans = append(r.Spans, span(c*each+i, 1000+10*c, 1))
			if c >= late {
				r.Spans = append(r.Spans, span((c-late)*each+i, 1000+10*c, 2))
			}
		}
		script.Topic[0] = append(script.Topic[0], r)
		script.Apply(0, int64(c))
		if _, err := script.Checkpoint(nil); err != nil {
			t.Fatal(err)
		}
		committed.Store(int64(c+1) * each)
	}
	close(done)
	wg.Wait()
}

// TestVisitsThatEnd: where the time is too short for all traces, each that starts from the time on that is named is visited.
func TestVisitsThatEnd(t *testing.T) {
	script, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{FoldEvery: 1, TraceRetention: 24 * time.Hour})
	require.NoError(t, err)
	const traces = 40
	for i := range traces {
		l, err := viewstest.ParseLine(fmt.Sprintf("%ds 1s web server get id=t%d/a", 10*(i+1), i))
		require.NoError(t, err)
		script.Topic[0] = append(script.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}})
		script.Apply(0, int64(i))
		_, err = script.Checkpoint(nil)
		require.NoError(t, err)
	}
	ended := 0
	for reads := range 8 {
		left, started := reads, []time.Time{}
		res, err := script.Set.SearchTraces(views.TraceQuery{
			Proceed: func() bool { left--; return left >= 0 },
			Visit:   func(start, _ time.Time, _ bool) { started = append(started, start) },
		})
		require.NoError(t, err)
		if !res.Ended {
			require.Len(t, started, traces)
			continue
		}
		ended++
		whole := slices.DeleteFunc(started, func(at time.Time) bool { return at.Before(res.SearchedTo) })
		require.Len(t, whole, int(time.Unix(10*traces, 0).Sub(res.SearchedTo).Truncate(10*time.Second)/(10*time.Second))+1)
	}
	require.Positive(t, ended, "no search had too little time")
}
