package samples

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"github.com/gaurav/watchingcat/storage"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/wlog"
)

// errSeriesLimit refuses a series to the TSDB.
var errSeriesLimit = errors.New("storage: limit of metric series")

// seriesLimit keeps the TSDB from making more series than it may.
type seriesLimit struct{ s *Store }

func (l seriesLimit) PreCreation(labels.Labels) error {
	if db := l.s.db; db != nil && db.Head().NumSeries() >= uint64(l.s.o.MaxSeries) {
		return errSeriesLimit
	}
	return nil
}

func (seriesLimit) PostCreation(labels.Labels) {}

func (seriesLimit) PostDeletion(map[chunks.HeadSeriesRef]labels.Labels) {}

// Appended says what became of samples.
type Appended struct {
	Samples int            // of data points
	Points  int            // of which every sample was taken
	Dropped map[string]int // points of which a sample was refused, by the reason of the first
}

// Reasons why samples are dropped.
const (
	DropTooOld      = "too_old"      // older than the newest less the retention
	DropConflict    = "conflict"     // another value for the same series and time was there first
	DropSeriesLimit = "series_limit" // its series would be one too many
	DropInvalid     = "invalid"      // labels or histogram make no sense
)

// Append writes samples and returns when they are on disk. After an error it may be tried again with the same samples.
func (s *Store) Append(ctx context.Context, list []Sample) (Appended, error) {
	if err := s.Wait(ctx); err != nil {
		return Appended{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Load() {
		return Appended{}, storage.ErrClosed
	}
	if err := s.writable(uint64(len(list)) * 64); err != nil {
		return Appended{}, err
	}
	out, err := s.append(list)
	if err != nil {
		return Appended{}, fmt.Errorf("storage: append samples: %w", storage.AsUnwritable(err))
	}
	if err := s.sync(); err != nil {
		return Appended{}, fmt.Errorf("storage: sync samples: %w", storage.AsUnwritable(err))
	}
	if err := s.guard.Same(); err != nil {
		return Appended{}, err // deleted meanwhile: what was written went with it
	}
	if h := s.db.Head(); h.MaxTime()-h.MinTime() > s.blocks().Milliseconds()/2*3 { // as the TSDB itself has it
		select {
		case s.tend <- struct{}{}:
		default:
		}
	}
	return out, nil
}

func (s *Store) append(list []Sample) (out Appended, err error) {
	defer func() {
		if p := recover(); p != nil {
			err = panicked(p)
		}
	}()
	out = Appended{Dropped: map[string]int{}}
	newest := s.newest.Load()
	app := s.db.AppenderV2(context.Background())
	first := make(map[sampleKey]*Sample, len(list))
	for point := range PointsOf(list) {
		refused := ""
		for i := range point {
			p := &point[i]
			reason, err := appendSample(app, first, p)
			switch {
			case err != nil:
				return out, errors.Join(err, app.Rollback())
			case reason != "":
				refused = cmp.Or(refused, reason)
				continue
			}
			if !p.NoPoint {
				out.Samples++
			}
			newest = max(newest, p.T)
		}
		switch {
		case point[0].NoPoint:
		case refused != "":
			out.Dropped[refused]++
		default:
			out.Points++
		}
	}
	if err := app.Commit(); err != nil {
		return out, err
	}
	s.newest.Store(newest)
	return out, nil
}

// sampleKey is the place of a sample in an append. Series are distinguished by their hash, then by their labels.
type sampleKey struct {
	labels uint64
	t      int64
}

// appendSample appends one sample, or says why not. Two samples of one append for one series and time are compared here: the TSDB notices
// them when it commits, and says nothing.
func appendSample(app promstorage.AppenderV2, first map[sampleKey]*Sample, p *Sample) (reason string, err error) {
	key := sampleKey{p.Labels.Hash(), p.T}
	if o := first[key]; o != nil && labels.Equal(o.Labels, p.Labels) {
		if !o.equals(p) {
			return DropConflict, nil
		}
		return "", nil
	}
	_, err = app.Append(0, p.Labels, p.Start, p.T, p.V, p.H, p.FH, promstorage.AOptions{Exemplars: p.Exemplars})
	var partial *promstorage.AppendPartialError
	if err != nil && !errors.As(err, &partial) {
		if reason = dropReason(err); reason == "" {
			return "", err
		}
		return reason, nil
	}
	first[key] = p
	return "", nil
}

// equals reports whether two samples have the same value.
func (p *Sample) equals(o *Sample) bool {
	a, b := p.Float(), o.Float()
	if a == nil || b == nil {
		return a == nil && b == nil && math.Float64bits(p.V) == math.Float64bits(o.V)
	}
	return a.Equals(b)
}

// Float is the sample's histogram with float counts; nil: its value is a number.
func (p *Sample) Float() *histogram.FloatHistogram {
	if p.H != nil {
		return p.H.ToFloat(nil)
	}
	return p.FH
}

// dropReason returns why one sample was refused; "" for an error of the disk.
func dropReason(err error) string {
	var invalid histogram.Error
	switch {
	case errors.Is(err, promstorage.ErrTooOldSample), errors.Is(err, promstorage.ErrOutOfBounds),
		errors.Is(err, promstorage.ErrOutOfOrderSample):
		return DropTooOld
	case errors.Is(err, promstorage.ErrDuplicateSampleForTimestamp):
		return DropConflict
	case errors.Is(err, errSeriesLimit):
		return DropSeriesLimit
	case errors.Is(err, tsdb.ErrInvalidSample), errors.As(err, &invalid):
		return DropInvalid
	}
	return ""
}

// sync makes what Commit wrote survive a power loss. Commit hands every record of the write-ahead log, and those of out-of-order
// samples in the other log, to the operating system before it returns (WL.Log flushes its page at the end of a batch), but the
// TSDB syncs a log only when it goes on to its next segment, in the background, or is closed. Syncing the segments from the last
// that was synced on, through descriptors of our own, is enough: fsync works on the file, not on the descriptor; a segment that
// is gone was put into a block, which the TSDB syncs; and the memory-mapped chunks beside the logs are read back only as far as
// they are whole, the rest from the logs.
func (s *Store) sync() error {
	for _, name := range []string{"wal", wlog.WblDirName} {
		dir := filepath.Join(s.dir, name)
		_, last, err := wlog.Segments(dir)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		from, known := s.synced[name]
		if !known {
			from = last
		}
		for i := from; i <= last; i++ {
			if err := syncFile(wlog.SegmentName(dir, i)); err != nil && !errors.Is(err, os.ErrNotExist) {
				return err
			}
		}
		if !known || last != from {
			if err := syncFile(dir); err != nil { // the new segment's name
				return err
			}
		}
		s.synced[name] = last
	}
	return nil
}

func syncFile(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
