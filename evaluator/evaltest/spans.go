package evaltest

import (
	"encoding/binary"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// SpanFeed applies records of spans to a Set, a checkpoint after each.
type SpanFeed struct {
	t      *testing.T
	KV     storage.KV
	Set    *views.Set
	offset int64
}

// NewSpanFeed opens views in memory.
func NewSpanFeed(t *testing.T) *SpanFeed {
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, model.Config{Version: 1})
	require.NoError(t, err)
	return &SpanFeed{t: t, KV: kv, Set: set}
}

// Span commits a record with spans of one series.
func (f *SpanFeed) Span(k model.REDKey, obs ...Observation) {
	f.t.Helper()
	a := f.Set.Partition("otlp_spans", 0)
	last := obs[len(obs)-1].At
	require.True(f.t, a.Begin(model.Record{Offset: f.offset, Timestamp: last.UnixMilli(),
		Value: binary.BigEndian.AppendUint64(nil, uint64(f.offset))}))
	f.offset++
	for _, o := range obs {
		end := uint64(o.At.UnixNano())
		a.Span(&model.Resource{Service: []byte(k.Service), HasService: true}, &model.Span{
			TraceID: [16]byte{o.TraceID}, SpanID: [8]byte{o.TraceID}, Name: []byte(k.Operation),
			Start: end - uint64(o.Duration), End: end, Kind: k.Kind, Status: k.Status, Size: 100})
	}
	a.End()
	c, err := f.Set.Collect(nil)
	require.NoError(f.t, err)
	require.NoError(f.t, f.KV.Commit(c.Commit))
	require.NoError(f.t, f.Set.Install(c))
}
