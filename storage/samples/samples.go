package samples

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/oklog/ulid/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunks"
	"github.com/prometheus/prometheus/tsdb/wlog"
	"github.com/prometheus/prometheus/util/annotations"
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
	synced  map[string]int // newest segment of each log that has been synced
	newest  atomic.Int64
	closed  atomic.Bool
}

// Options are what Open can be told.
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

// errSeriesLimit is what the TSDB is told when a series may not be made.
var errSeriesLimit = errors.New("storage: limit of metric series")

// ErrOpening is the warning of queries while the samples are being opened.
var ErrOpening = errors.New("metric samples are still being read from disk and are missing from this answer")

// Folders are the folders of samples, one for each version of the views that has any.
type Folders struct {
	DataDir string
	// Options are those of every version but for the Registerer, which gets a label for the version.
	Options Options
}

func (f *Folders) dir(version uint32) string {
	return filepath.Join(f.DataDir, "metrics", strconv.FormatUint(uint64(version), 10))
}

// Open begins to open the samples of a version, as the function Open does.
func (f *Folders) Open(version uint32) *Store {
	o := f.Options
	if o.Registerer != nil {
		o.Registerer = prometheus.WrapRegistererWith(prometheus.Labels{"view_version": strconv.FormatUint(uint64(version), 10)}, o.Registerer)
	}
	return Open(f.dir(version), o)
}

// Versions are those that have a folder, ascending.
func (f *Folders) Versions() ([]uint32, error) {
	entries, err := os.ReadDir(filepath.Join(f.DataDir, "metrics"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("storage: list samples: %w", err)
	}
	var list []uint32
	for _, e := range entries {
		if v, err := strconv.ParseUint(e.Name(), 10, 32); err == nil && e.IsDir() {
			list = append(list, uint32(v))
		}
	}
	slices.Sort(list)
	return list, nil
}

// Drop deletes the samples of a version, which must be closed. Called again after an interruption it goes on.
func (f *Folders) Drop(version uint32) error {
	if err := os.RemoveAll(f.dir(version)); err != nil {
		return fmt.Errorf("storage: drop samples of version %d: %w", version, err)
	}
	return nil
}

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
		o.Retention = 6 * time.Hour
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
	s := &Store{dir: dir, o: o, done: make(chan struct{}), synced: map[string]int{}, tend: make(chan struct{}, 1), stop: make(chan struct{}),
		space: storage.NewSpaceProbe(dir, o.MinFreeBytes, o.FreeBytes, time.Now)}
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
	newest := db.Head().MaxTime()
	for _, b := range db.Blocks() {
		newest = max(newest, b.MaxTime()-1)
	}
	s.newest.Store(newest)
	s.tended.Go(s.maintain)
	return nil
}

const (
	never       = 100 * 365 * 24 * time.Hour
	tendSamples = time.Minute
)

// maintain writes full chunks and blocks, as the TSDB does by itself: that panics in a goroutine of its own, and so ends the process, where a
// file cannot be made. Here it waits until the folder can be written, and a panic is an error that is logged.
func (s *Store) maintain() {
	t := time.NewTicker(tendSamples)
	defer t.Stop()
	failed := ""
	for {
		select {
		case <-s.stop:
			return
		case <-t.C:
		case <-s.tend:
		}
		err := s.tendOnce()
		switch {
		case err == nil:
			failed = ""
		case cmp.Or(storage.UnwritableReason(err), err.Error()) != failed:
			failed = cmp.Or(storage.UnwritableReason(err), err.Error())
			s.o.Logger.Error("writing blocks of metric samples failed, it is tried again every minute; the samples stay in memory and in the log", "err", err)
		}
	}
}

func (s *Store) tendOnce() (err error) {
	if err := s.writable(0); err != nil {
		return err
	}
	defer func() {
		if p := recover(); p != nil {
			err = storage.AsUnwritable(panicked(p))
		}
	}()
	s.db.ForceHeadMMap()
	return s.db.Compact(context.Background())
}

// panicked makes a panic an error; that of the TSDB is one already.
func panicked(p any) error {
	if err, ok := p.(error); ok {
		return fmt.Errorf("storage: the TSDB panicked: %w", err)
	}
	return fmt.Errorf("storage: the TSDB panicked: %v", p)
}

// writable returns why so many bytes cannot be written now.
func (s *Store) writable(bytes uint64) error {
	if err := s.guard.Check(); err != nil {
		return err
	}
	s.spaceMu.Lock()
	defer s.spaceMu.Unlock()
	return s.space.Check(bytes)
}

// window is how late a sample may come, in milliseconds: the retention, and a little because the TSDB counts from the newest
// sample of the appends before.
func (s *Store) window() int64 { return (s.o.Retention + 10*time.Minute).Milliseconds() }

// blocks is how much time one block holds.
func (s *Store) blocks() time.Duration {
	return min(2*time.Hour, max(s.o.Retention/3, time.Minute)).Truncate(time.Second)
}

// expired is what the TSDB asks which blocks to delete.
func (s *Store) expired(blocks []*tsdb.Block) map[ulid.ULID]struct{} {
	out := map[ulid.ULID]struct{}{}
	for _, b := range blocks {
		if m := b.Meta(); m.Compaction.Deletable || m.MaxTime <= s.since() {
			out[m.ULID] = struct{}{}
		}
	}
	return out
}

// seriesLimit keeps the TSDB from making more series than it may.
type seriesLimit struct{ s *Store }

func (l seriesLimit) PreCreation(labels.Labels) error {
	if db := l.s.db; db != nil && db.Head().NumSeries() >= uint64(l.s.o.MaxSeries) {
		return errSeriesLimit
	}
	return nil
}
func (seriesLimit) PostCreation(labels.Labels)                          {}
func (seriesLimit) PostDeletion(map[chunks.HeadSeriesRef]labels.Labels) {}

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

// sampleKey is the place of a sample in an append. Series are told apart by their hash, then by their labels.
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

// dropReason tells errors of one sample from those of the disk, for which it returns "".
func dropReason(err error) string {
	var invalid histogram.Error
	switch {
	case errors.Is(err, promstorage.ErrTooOldSample), errors.Is(err, promstorage.ErrOutOfBounds), errors.Is(err, promstorage.ErrOutOfOrderSample):
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
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed.Swap(true) || s.db == nil {
		return nil
	}
	close(s.stop)
	s.tended.Wait()
	if s.reg != nil {
		s.reg.forget()
	}
	if err := s.db.Close(); err != nil {
		return fmt.Errorf("storage: close metric samples: %w", err)
	}
	return nil
}

// opening answers while the samples are being opened.
type opening struct{}

func (opening) warning() annotations.Annotations { return annotations.New().Add(ErrOpening) }

func (o opening) Select(context.Context, bool, *promstorage.SelectHints, ...*labels.Matcher) promstorage.SeriesSet {
	return warnedSet{promstorage.EmptySeriesSet(), o.warning()}
}
func (o opening) LabelValues(context.Context, string, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, o.warning(), nil
}
func (o opening) LabelNames(context.Context, *promstorage.LabelHints, ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return nil, o.warning(), nil
}
func (opening) Close() error { return nil }

type warnedSet struct {
	promstorage.SeriesSet
	w annotations.Annotations
}

func (s warnedSet) Warnings() annotations.Annotations { return s.w }

type openingChunks struct{ opening }

func (openingChunks) Select(context.Context, bool, *promstorage.SelectHints, ...*labels.Matcher) promstorage.ChunkSeriesSet {
	return promstorage.EmptyChunkSeriesSet()
}

type openingExemplars struct{}

func (openingExemplars) Select(int64, int64, ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	return nil, nil
}
