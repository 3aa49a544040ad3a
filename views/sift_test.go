package views_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// TestSift thins out raw spans of traces that have settled, also when a crash comes in between.
func TestSift(t *testing.T) {
	mem := storage.NewMem(storage.MemOptions{})
	cfg := model.Config{TraceBytes: 1 << 20, TraceKeep: &model.Keep{Slow: 100 * time.Millisecond}, FoldEvery: 1}
	s, err := viewstest.New(mem, cfg)
	require.NoError(t, err)
	apply := func(lines ...string) { t.Helper(); applyAndCommit(t, s, lines) }
	kept := func(trace string) (n int) {
		t.Helper()
		var id [16]byte
		copy(id[:], trace)
		_, blocks, _, ok, err := s.Set.Trace(id)
		if err != nil || !ok {
			t.Fatalf("%s: %v %v", trace, ok, err)
		}
		for _, b := range blocks {
			var u ptrace.ProtoUnmarshaler
			td, err := u.UnmarshalTraces(b)
			require.NoError(t, err)
			for _, rs := range td.ResourceSpans().All() {
				for _, ss := range rs.ScopeSpans().All() {
					for _, sp := range ss.Spans().All() {
						if sp.TraceID() == id {
							n++
						}
					}
				}
			}
		}
		return n
	}
	// the error and the length of a trace are known only with its second record
	apply("1s 10ms web server ok id=fine/a", "1s 10ms web server ok id=bad/a", "1s 10ms web server ok id=slow/a")
	apply("1s 10ms cart server ok id=fine/b<a", "1s 10ms cart server ok id=bad/b<a error", "1s 150ms cart server ok id=slow/b<a")
	for i := range 5 {
		apply(fmt.Sprintf("%ds 1ms web server ok id=later%d/a", 2+i, i))
	}
	for _, trace := range []string{"fine", "bad", "slow"} {
		if n := kept(trace); n != 2 {
			t.Errorf("%s: %d spans kept before it has settled", trace, n)
		}
	}
	apply("200s 1ms web server ok id=now/a")
	apply("201s 1ms web server ok id=now/b<a")
	s.KV = mem.Crash(nil)
	if s.Set, err = views.Open(s.KV, cfg); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		apply(fmt.Sprintf("%ds 1ms web server ok id=now/c%d<a", 202+i, i))
	}
	for trace, want := range map[string]int{"fine": 0, "bad": 2, "slow": 2, "later3": 0, "now": 6} {
		if n := kept(trace); n != want {
			t.Errorf("%s: %d spans kept, want %d", trace, n, want)
		}
	}
	// a Set that takes nothing more forgets them by the time of another
	require.NoError(t, s.Set.ForgetRaw(time.Unix(3700, 0), s.KV.Commit))
	if kept("bad") != 0 || kept("now") != 6 {
		t.Errorf("%d and %d spans kept after an hour", kept("bad"), kept("now"))
	}
}

// applyAndCommit applies a record of the spans that lines describe, and commits it.
func applyAndCommit(t *testing.T, s *viewstest.Script, lines []string) {
	t.Helper()
	var rec viewstest.Record
	for _, text := range lines {
		l, err := viewstest.ParseLine(text)
		require.NoError(t, err)
		rec.Spans = append(rec.Spans, l)
	}
	s.Topic[0] = append(s.Topic[0], rec)
	s.Apply(0, int64(len(s.Topic[0])-1))
	if _, err := s.Checkpoint(nil); err != nil {
		t.Fatal(err)
	}
}

// losing is a store whose raw records are lost.
type losing struct {
	storage.KV
	lost   bool
	failed error // of reads of raw records
}

func (l *losing) isLost(key []byte) bool {
	return l.lost && storage.Table(key[storage.KeyPrefixLen-1]) == storage.TableRaw
}

func (l *losing) Get(key []byte) ([]byte, error) {
	if l.isLost(key) {
		return nil, storage.ErrLost
	}
	if l.failed != nil && storage.Table(key[storage.KeyPrefixLen-1]) == storage.TableRaw {
		return nil, l.failed
	}
	return l.KV.Get(key)
}

func (l *losing) Scan(from, to []byte, fn func(key, value []byte) error) error {
	return l.KV.Scan(from, to, func(k, v []byte) error {
		if l.isLost(k) {
			return storage.ErrLost
		}
		return fn(k, v)
	})
}

// TestLostRawRecords: where raw records are lost, checkpoints and sifting go on, the views open, and a trace says that spans are missing.
func TestLostRawRecords(t *testing.T) {
	kv := &losing{KV: storage.NewMem(storage.MemOptions{})}
	s, err := viewstest.New(kv, model.Config{TraceBytes: 1 << 20, TraceKeep: &model.Keep{Slow: 100 * time.Millisecond}, FoldEvery: 1})
	require.NoError(t, err)
	apply := func(lines ...string) { t.Helper(); applyAndCommit(t, s, lines) }
	apply("1s 10ms web server ok id=fine/a")
	apply("1s 10ms web server ok id=bad/a error")
	kv.lost = true
	for i := range 4 {
		apply(fmt.Sprintf("%ds 1ms web server ok id=later/%d", 200+i, i))
	}
	for range 2 {
		id := [16]byte{'b', 'a', 'd'}
		if _, blocks, missing, ok, err := s.Set.Trace(id); err != nil || !ok || missing != 1 || len(blocks) != 0 {
			t.Fatalf("%d blocks, %d missing, %v, %v", len(blocks), missing, ok, err)
		}
		if r, err := s.Set.SearchTraces(views.TraceQuery{Limit: 10, Each: true,
			Find: func([]byte, model.DimFilter) ([][16]byte, error) { return nil, nil }}); err != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		if s.Set, err = views.Open(kv, s.Cfg); err != nil {
			t.Fatal(err)
		}
	}
	if v, err := storage.Versions(kv); err != nil || len(v) != 1 {
		t.Fatalf("versions %v, %v", v, err)
	}
}

// TestUnreadRawRecords: a raw block that cannot be read, as while there are no file descriptors, is sifted by a later checkpoint.
func TestUnreadRawRecords(t *testing.T) {
	kv := &losing{KV: storage.NewMem(storage.MemOptions{})}
	s, err := viewstest.New(kv, model.Config{TraceBytes: 1 << 20, TraceKeep: &model.Keep{Slow: 100 * time.Millisecond}, FoldEvery: 1})
	require.NoError(t, err)
	apply := func(lines ...string) { t.Helper(); applyAndCommit(t, s, lines) }
	size := func() int {
		t.Helper()
		_, blocks, missing, ok, err := s.Set.Trace([16]byte{'f', 'i', 'n', 'e'})
		if err != nil || !ok || missing > 0 || len(blocks) != 1 {
			t.Fatalf("%d blocks, %d missing, %v, %v", len(blocks), missing, ok, err)
		}
		return len(blocks[0])
	}
	apply("1s 10ms web server ok id=fine/a")
	apply("200s 1ms web server ok id=later/a")
	kv.failed = errors.New("too many open files")
	apply("201s 1ms web server ok id=later/b")
	apply("202s 1ms web server ok id=later/c")
	kv.failed = nil
	if size() == 0 {
		t.Fatal("sifted without having been read")
	}
	apply("203s 1ms web server ok id=later/d")
	if n := size(); n != 0 {
		t.Fatalf("%d bytes of a trace that is not kept", n)
	}
}
