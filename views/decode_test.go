package views_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// TestDecodersEnd: a value that says that more follows than can is refused; no decoder counts to what it says.
func TestDecodersEnd(t *testing.T) {
	for _, v := range []string{"\xb8\x10\xcb\xcb\xcb\xcb\xcb\xcb\x04", "\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
		"\x01\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"} {
		for i, decode := range views.Decoders {
			if err := decode([]byte(v)); i < 5 { // the last are of numbers, which may have any size
				require.Error(t, err, "decoder %d of %x", i, v)
			}
		}
	}
}

// FuzzStored: whatever a stored value holds, a decoder returns, without a panic and without memory that the value only claims to need.
func FuzzStored(f *testing.F) {
	kv := storage.NewMem(storage.MemOptions{})
	s, err := viewstest.New(kv, model.Config{TraceBytes: 1 << 20, LogBytes: 1 << 20, FoldEvery: 2})
	require.NoError(f, err)
	for i := range 4 {
		r := viewstest.Record{TS: time.Duration(i) * time.Minute}
		for _, text := range []string{"1s 20ms front client GET id=t1/a service.version=1.0",
			"1s 10ms back server GET id=t1/b<a error exception=E:it_broke", "1s 5ms back client SELECT id=t2/c peer.service=db"} {
			l, err := viewstest.ParseLine(text)
			require.NoError(f, err)
			l.Span.Start, l.Span.End = l.Span.Start+uint64(r.TS), l.Span.End+uint64(r.TS)
			r.Spans = append(r.Spans, l)
		}
		log, err := viewstest.ParseLog("2s back ERROR id=t1/b | order 17 failed")
		require.NoError(f, err)
		r.Logs = []viewstest.LogLine{log}
		s.Topic[0] = append(s.Topic[0], r)
		s.Apply(0, int64(i))
		checkpoint(f, s.Set, kv)
	}
	seen := map[int]int{}
	require.NoError(f, kv.Scan([]byte{0}, []byte{255}, func(_, v []byte) error {
		for kind, decode := range views.Decoders {
			if decode(v) == nil {
				f.Add(uint8(kind), v)
				seen[kind]++
			}
		}
		return nil
	}))
	require.Greater(f, seen[0], 0, "entries of the journal are among the seeds")
	f.Fuzz(func(_ *testing.T, kind uint8, v []byte) {
		_ = views.Decoders[int(kind)%len(views.Decoders)](v)
	})
}
