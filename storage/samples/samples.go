package samples

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// A Sample is one value of a metric series. FH or H is set for a native histogram, else the value is V.
type Sample struct {
	Labels    labels.Labels
	Start, T  int64 // Unix milliseconds; Start is 0 while unknown
	V         float64
	H         *histogram.Histogram
	FH        *histogram.FloatHistogram
	Exemplars []exemplar.Exemplar // ordered by time
	// More says that the next sample is of the same data point: a histogram makes several.
	More bool
	// NoPoint is set for samples that stand for no data point: those of target_info.
	NoPoint bool
}

// PointsOf cuts samples into those of one data point each.
func PointsOf(list []Sample) iter.Seq[[]Sample] {
	return func(yield func([]Sample) bool) {
		for len(list) > 0 {
			n := 1
			for n < len(list) && list[n-1].More {
				n++
			}
			if !yield(list[:n:n]) {
				return
			}
			list = list[n:]
		}
	}
}

// Store keeps metric samples of a recent range in Prometheus' TSDB.
//
// The simple version: Append writes samples and returns when they are on disk; the web of PromQL reads them. Invariants:
//
//  1. Appending the same samples again changes nothing, so a crash between Append and the commit of the positions is repaired by
//     reading the records again.
//  2. Time is that of the samples. What is older than the newest sample less the retention is not shown and is deleted; what the
//     machine's clock says does not matter, so an old topic is kept as a new one is.
//  3. Opening reads the TSDB's log back and may take long after a large run: it happens in the background, queries meanwhile
//     answer with a warning, and Append waits.
type Store struct {
	dir  string
	o    Options
	done chan struct{} // the TSDB is open, or could not be opened

	db  *tsdb.DB
	err error
	reg *registered // nil: none

	mu      sync.Mutex // one Append at a time
	spaceMu sync.Mutex
	space   storage.SpaceProbe
	guard   *storage.FolderGuard
	tend    chan struct{} // holds one where maintenance is due
	stop    chan struct{}
	tended  sync.WaitGroup
	tending sync.Mutex     // held while blocks are written, and by Copy
	synced  map[string]int // newest segment of each log that has been synced
	newest  atomic.Int64
	closed  atomic.Bool
}

// DefaultRetention is how long samples are kept where nothing is set.
const DefaultRetention = 6 * time.Hour

// Options are settings of Open.
type Options struct {
	// Retention is how far back from the newest sample samples are kept and taken (0: 6 h).
	Retention time.Duration
	// MaxSeries bounds the series that had a sample within the last hours (0: 200,000); samples of further ones are dropped and counted.
	MaxSeries int
	// MaxExemplars bounds the exemplars kept (0: 100,000).
	MaxExemplars int
	// MinFreeBytes is the floor under which Append returns ErrDiskFull (0: DefaultMinFreeBytes).
	MinFreeBytes uint64
	// FreeBytes says how much space is free for dir (nil: asks the file system).
	FreeBytes  func(dir string) (uint64, error)
	Logger     *slog.Logger
	Registerer prometheus.Registerer // of the TSDB's own metrics; nil: none
}

var (
	_ promstorage.SampleAndChunkQueryable = (*Store)(nil)
	_ promstorage.ExemplarQueryable       = (*Store)(nil)
)

// ErrOpening is the warning of queries while the samples are being opened.
var ErrOpening = errors.New("metric samples are still being read from disk and are missing from this answer")

// registered remembers what was registered, so that a version that is dropped takes its metrics with it.
type registered struct {
	prometheus.Registerer
	list []prometheus.Collector
}

func (r *registered) Register(c prometheus.Collector) error {
	err := r.Registerer.Register(c)
	if err == nil {
		r.list = append(r.list, c)
	}
	return err
}

func (r *registered) MustRegister(list ...prometheus.Collector) {
	for _, c := range list {
		if err := r.Register(c); err != nil {
			panic(err) // as every Registerer does
		}
	}
}

func (r *registered) forget() {
	for _, c := range r.list {
		r.Unregister(c)
	}
}

// Open begins to open the samples in dir, creating it if need be. The data folder must be held by a DB: its lock is the
// samples' too. Errors come from Wait and from whatever uses the samples.
func Open(dir string, o Options) *Store {
	if o.Retention == 0 {
		o.Retention = DefaultRetention
	}
	if o.MaxSeries == 0 {
		o.MaxSeries = 200_000
	}
	if o.MaxExemplars == 0 {
		o.MaxExemplars = 100_000
	}
	if o.MinFreeBytes == 0 {
		o.MinFreeBytes = storage.DefaultMinFreeBytes
	}
	if o.FreeBytes == nil {
		o.FreeBytes = storage.FreeBytes
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{dir: dir, o: o, done: make(chan struct{}), synced: map[string]int{}, tend: make(chan struct{}, 1),
		stop: make(chan struct{}), space: storage.NewSpaceProbe(dir, o.MinFreeBytes, o.FreeBytes, time.Now)}
	s.newest.Store(math.MinInt64)
	go func() {
		defer close(s.done)
		if s.err = s.open(); s.err != nil {
			s.err = fmt.Errorf("storage: open metric samples in %s: %w", dir, s.err)
		}
	}()
	return s
}

func (s *Store) open() error {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	o := tsdb.DefaultOptions()
	o.NoLockfile = true
	o.BlockReloadInterval = never // see maintain
	o.RetentionDuration = 0       // BlocksToDelete decides
	o.BlocksToDelete = s.expired
	// Everything that is retained may still be added to: partitions are read at different speeds, and a replayed record comes again.
	o.OutOfOrderTimeWindow = s.window()
	o.MinBlockDuration = s.blocks().Milliseconds()
	o.MaxBlockDuration = o.MinBlockDuration
	o.EnableExemplarStorage, o.MaxExemplars = true, int64(s.o.MaxExemplars)
	o.SeriesLifecycleCallback = seriesLimit{s}
	reg := s.o.Registerer
	if reg != nil {
		s.reg = &registered{Registerer: reg}
		reg = s.reg
	}
	db, err := tsdb.Open(s.dir, s.o.Logger, reg, o, nil)
	if err != nil {
		return err
	}
	db.DisableCompactions() // see maintain
	s.db = db
	if s.guard, err = storage.NewFolderGuard(s.dir, s.dir); err != nil {
		return errors.Join(err, db.Close())
	}
	s.newest.Store(newestOf(db))
	s.tended.Go(s.maintain)
	return nil
}

// newestOf is the time of the newest sample. It is in the head; a block that was written of late samples ends at a round time, which may be
// later than any sample.
func newestOf(db *tsdb.DB) int64 {
	newest := db.Head().MaxTime()
	if newest == math.MinInt64 { // the head holds none
		for _, b := range db.Blocks() {
			newest = max(newest, b.MaxTime()-1)
		}
	}
	return newest
}

// Wait returns when the samples are open, or why they are not.
func (s *Store) Wait(ctx context.Context) error {
	if open, err := s.opened(); open || err != nil {
		return err // also when ctx has ended
	}
	select {
	case <-s.done:
		return s.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// opened reports without waiting whether the samples can be used.
func (s *Store) opened() (bool, error) {
	select {
	case <-s.done:
		return s.err == nil, s.err
	default:
		return false, nil
	}
}

// since is the first time that is retained.
func (s *Store) since() int64 {
	newest := s.newest.Load()
	if newest < math.MinInt64+s.o.Retention.Milliseconds() {
		return math.MinInt64
	}
	return newest - s.o.Retention.Milliseconds()
}

// Since is the oldest time that is retained; false while there are no samples.
func (s *Store) Since() (time.Time, bool) {
	if open, _ := s.opened(); !open || s.newest.Load() == math.MinInt64 {
		return time.Time{}, false
	}
	return time.UnixMilli(s.since()).UTC(), true
}

// Range returns the times between which samples are held; false while there are none.
func (s *Store) Range() (from, to time.Time, ok bool) {
	if open, _ := s.opened(); !open || s.newest.Load() == math.MinInt64 {
		return from, to, false
	}
	first := s.db.Head().MinTime()
	if t := s.db.Head().MinOOOTime(); t != math.MinInt64 {
		first = min(first, t)
	}
	for _, b := range s.db.Blocks() {
		first = min(first, b.MinTime())
	}
	return time.UnixMilli(max(first, s.since())).UTC(), time.UnixMilli(s.newest.Load()).UTC(), true
}

// NumSeries returns how many series had a sample lately.
func (s *Store) NumSeries() int {
	if open, _ := s.opened(); !open {
		return 0
	}
	return int(s.db.Head().NumSeries())
}

// SeriesCounts returns how many series of each name had a sample lately. The TSDB counts at most every half minute.
func (s *Store) SeriesCounts() map[string]int {
	out := map[string]int{}
	if open, _ := s.opened(); !open {
		return out
	}
	head := s.db.Head()
	for _, c := range head.PostingsCardinalityStats(labels.MetricName, int(head.NumSeries())+1).CardinalityMetricsStats {
		out[c.Name] = int(c.Count)
	}
	return out
}

// Querier implements Prometheus' storage.Queryable.
func (s *Store) Querier(mint, maxt int64) (promstorage.Querier, error) {
	open, err := s.opened()
	if err != nil {
		return nil, err
	}
	if !open {
		return opening{}, nil
	}
	return s.db.Querier(max(mint, s.since()), maxt)
}

// ChunkQuerier implements Prometheus' storage.ChunkQueryable.
func (s *Store) ChunkQuerier(mint, maxt int64) (promstorage.ChunkQuerier, error) {
	open, err := s.opened()
	if err != nil {
		return nil, err
	}
	if !open {
		return openingChunks{}, nil
	}
	return s.db.ChunkQuerier(max(mint, s.since()), maxt)
}

// ExemplarQuerier implements Prometheus' storage.ExemplarQueryable.
func (s *Store) ExemplarQuerier(ctx context.Context) (promstorage.ExemplarQuerier, error) {
	open, err := s.opened()
	if err != nil {
		return nil, err
	}
	if !open {
		return openingExemplars{}, nil
	}
	return s.db.ExemplarQuerier(ctx)
}

// Close waits until opening has ended and closes the TSDB.
func (s *Store) Close() error {
	<-s.done
	s.mu.Lock() // the last append has ended
	before := s.closed.Swap(true)
	s.mu.Unlock()
	if before || s.db == nil {
		return nil
	}
	close(s.stop)
	s.tended.Wait()
	s.tending.Lock() // Copy ends because of stop
	defer s.tending.Unlock()
	if s.reg != nil {
		s.reg.forget()
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("storage: close metric samples: %w", err)
	}
	return nil
}
