package views_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// startsIn finds the traces with a span that starts in a range.
func startsIn(from, to time.Time) func([]byte, model.DimFilter) ([][16]byte, error) {
	return func(block []byte, _ model.DimFilter) (ids [][16]byte, err error) {
		var u ptrace.ProtoUnmarshaler
		td, err := u.UnmarshalTraces(block)
		if err != nil {
			return nil, err
		}
		for _, rs := range td.ResourceSpans().All() {
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					if at := sp.StartTimestamp().AsTime(); !at.Before(from) && at.Before(to) {
						ids = append(ids, sp.TraceID())
					}
				}
			}
		}
		return ids, nil
	}
}

// TestSearchesOfSpansThatAreNotKept: a search that needs spans which are not kept says so, and what may be in its range is found.
func TestSearchesOfSpansThatAreNotKept(t *testing.T) {
	open := func(cfg model.Config, lines ...string) *viewstest.Script {
		cfg.FoldEvery = 1
		s, err := viewstest.New(storage.NewMem(storage.MemOptions{}), cfg)
		require.NoError(t, err)
		for i, text := range lines {
			l, err := viewstest.ParseLine(text)
			require.NoError(t, err)
			s.Topic[0] = append(s.Topic[0], viewstest.Record{Spans: []viewstest.Line{l}})
			s.Apply(0, int64(i))
			_, err = s.Checkpoint(nil)
			require.NoError(t, err)
		}
		return s
	}
	at := func(d time.Duration) time.Time { return time.Unix(0, int64(d)).UTC() }
	search := func(s *viewstest.Script, from, to time.Time, each bool) (views.TraceResult, []string) {
		r, err := s.Set.SearchTraces(views.TraceQuery{From: from, To: to, Limit: 10, Find: startsIn(from, to), Each: each})
		require.NoError(t, err)
		var names []string
		for _, tr := range r.Traces {
			names = append(names, strings.TrimRight(string(tr.ID[:]), "\x00"))
		}
		visited := 0
		v, err := s.Set.SearchTraces(views.TraceQuery{From: from, To: to, Find: startsIn(from, to), Each: each,
			Visit: func(time.Time, time.Time, bool) { visited++ }})
		require.NoError(t, err)
		require.Equal(t, len(names), visited, "visited are those that are found")
		require.Equal(t, r.SpansSince, v.SpansSince)
		return r, names
	}
	lines := []string{"10s 100s web server get id=long/a", "20s 1s web server get id=short/a", "300s 1s web server get id=new/a",
		"301s 1s web server get id=newer/a", "302s 1s web server get id=newest/a"}

	none := open(model.Config{}, lines...)
	r, names := search(none, at(15*time.Second), at(30*time.Second), false)
	require.Equal(t, []string{"short", "long"}, names, "by its summary the long one may have a span in the range")
	require.True(t, r.SpansSince.IsZero())
	r, names = search(none, at(15*time.Second), at(30*time.Second), true)
	require.Empty(t, names)
	require.Equal(t, at(303*time.Second).Add(1), r.SpansSince, "no spans are kept")

	all := open(model.Config{TraceBytes: 1 << 20}, lines...)
	for _, each := range []bool{false, true} {
		r, names = search(all, at(15*time.Second), at(30*time.Second), each)
		require.Equal(t, []string{"short"}, names)
		require.True(t, r.SpansSince.IsZero())
		require.False(t, r.Sifted)
	}

	sifted := open(model.Config{TraceBytes: 1 << 20, TraceKeep: &model.Keep{Slow: time.Hour}}, lines...)
	_, names = search(sifted, at(15*time.Second), at(30*time.Second), false)
	require.Equal(t, []string{"short", "long"}, names)
	r, names = search(sifted, at(15*time.Second), at(30*time.Second), true)
	require.Empty(t, names)
	require.True(t, r.Sifted)
}
