package views

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// TestKept: what retention or the bound of bytes has dropped is not claimed.
func TestKept(t *testing.T) {
	s, err := Open(storage.NewMem(storage.MemOptions{}), model.Config{TraceRetention: time.Minute, LogRetention: time.Minute})
	require.NoError(t, err)
	require.Equal(t, Kept{}, s.Kept(), "nothing was counted")
	at := func(seconds uint64) time.Time { return model.Time(seconds * 1e9) }
	s.red.oldest, s.head = 100, 130e9
	require.Equal(t, Kept{Traces: at(100), Logs: at(100)}, s.Kept(), "nothing is older than retention")
	s.head = 200e9
	require.Equal(t, Kept{Traces: at(140), Logs: at(140)}, s.Kept())
	s.rawLogs.Dropped = 170e9
	require.Equal(t, Kept{Traces: at(140), Logs: at(170)}, s.Kept(), "lines were dropped for their bytes")
	s.cfg.LogRetention = -1
	require.Equal(t, at(200).Add(1), s.Kept().Logs, "no lines are kept")
}
