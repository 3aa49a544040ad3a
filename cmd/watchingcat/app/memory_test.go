package app

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/views/model"
)

// TestMemoryParts: whatever the limit, what is sized from it leaves room within it, and more memory makes nothing smaller.
func TestMemoryParts(t *testing.T) {
	var last model.Config
	for _, m := range []memory{config.MinMemory, 512 << 20, 1 << 30, 4 << 30, 16 << 30, 256 << 30} {
		var v model.Config
		m.views(&v)
		parts := int64(v.Limits.Waiting)*150 + int64(v.Limits.DedupRecords)*80 + int64(v.Limits.RecentTraces)*600 + int64(v.CacheBytes) +
			int64(v.SpareBytes) +
			2*m.buffered() + 3*int64(m.pending()) + m.applying() + 3*m.memTable() + m.blockCache()
		require.Less(t, parts, m.heap(), "limit %d", m)
		require.Greater(t, m.heap(), int64(m)/2)
		require.GreaterOrEqual(t, v.Limits.Waiting, last.Limits.Waiting)
		require.GreaterOrEqual(t, v.HotBytes, last.HotBytes)
		require.Positive(t, v.HotBytes)
		last = v
	}
	c := config.Default()
	require.GreaterOrEqual(t, memoryLimit(&c), memory(config.MinMemory))
	c.MemoryLimit = 1 << 30
	require.EqualValues(t, 1<<30, memoryLimit(&c))
	var s config.ByteSize
	require.NoError(t, s.UnmarshalText([]byte("1GiB")))
	require.EqualValues(t, 1<<30, s)
	require.Error(t, s.UnmarshalText([]byte("much")))
}
