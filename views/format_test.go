package views_test

import (
	"encoding/gob"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest/seeds"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// stored is what a Set had stored when half of a workload was counted: some of it in folds, some in the journal.
type stored struct {
	Entries   []storage.Entry
	Positions []storage.Position
}

func (s *stored) kv(t *testing.T) storage.KV {
	kv := storage.NewMem(storage.MemOptions{})
	require.NoError(t, kv.Commit(storage.Commit{Entries: s.Entries, Positions: s.Positions}))
	return kv
}

// TestStoredFormat continues from state that was stored when the format was new: a program reads what earlier ones of the same
// format wrote. The file is made where there is none, as after a change of the format.
func TestStoredFormat(t *testing.T) {
	window := 3 * time.Second
	cfg := model.Config{FoldEvery: 7, Hot: 10 * time.Second, MaxCommitBytes: 4 << 20, PairingWindow: window, LogBytes: 1 << 20, TraceBytes: 1 << 20,
		Limits: model.Limits{Patterns: 3}, DedupSpans: true}
	r := rand.New(rand.NewPCG(3, 1))
	topic := workload(r, 60)
	rebatch(r, topic)
	_, current, _, err := views.StoredFormat(storage.NewMem(storage.MemOptions{}), 0, 0)
	require.NoError(t, err)
	file := fmt.Sprintf("viewstest/testdata/format-%d", current)
	var half stored
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		half = countHalf(t, cfg, topic)
		f, err = os.Create(file)
		require.NoError(t, err)
		require.NoError(t, gob.NewEncoder(f).Encode(half))
	} else {
		require.NoError(t, err)
		require.NoError(t, gob.NewDecoder(f).Decode(&half))
	}
	require.NoError(t, f.Close())

	s := openScript(t, half.kv(t), cfg, topic)
	next := positions(t, s)
	for p := range int32(simPartitions) {
		require.NotZero(t, next[p])
		for ; next[p] < int64(len(topic[p])); next[p]++ {
			s.Apply(p, next[p])
			commit(t, s, nil, "")
		}
	}
	settle(t, s)
	require.Empty(t, seeds.Diff(dump(t, s), plain(t, topic, window, true)))
}

func countHalf(t *testing.T, cfg model.Config, topic map[int32][]viewstest.Record) (half stored) {
	kv := storage.NewMem(storage.MemOptions{})
	s := openScript(t, kv, cfg, topic)
	for i := range 20 {
		for p := range int32(simPartitions) {
			if i < len(topic[p])/2 {
				s.Apply(p, int64(i))
			}
		}
		commit(t, s, nil, "")
	}
	var err error
	half.Positions, err = kv.Positions(0, 0)
	require.NoError(t, err)
	require.NoError(t, kv.Scan([]byte{0}, []byte{255}, func(k, v []byte) error {
		half.Entries = append(half.Entries, storage.Entry{Key: append([]byte(nil), k...), Value: append([]byte(nil), v...)})
		return nil
	}))
	return half
}
