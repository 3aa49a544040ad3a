package samples

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/model"
)

// deltas turns increments into running values, as Prometheus' counters and histograms are.
//
// The simple version: a running value for each series, to which increments are added in the order of their time. What makes it
// hard is that a collector deals records out to partitions, which are read at different speeds: increments wait until every
// partition has been read up to their time, so that the result does not depend on who was read first. They wait in pieces, parts
// of one record that have one time: what a host with a clock ahead sends in the same record delays nothing.
//
// Increments of one series in one millisecond, which is as fine as the TSDB's time, are added up to one sample.
//
// A series follows the rules of the collector's deltatocumulative processor: an increment that is before the last one, or that
// began before the series did, is dropped and counted. The samples of one data point are added or dropped together.
type deltas struct {
	limit    int
	heldMax  int
	lifetime int64 // milliseconds after which a silent series begins anew

	series map[dedup.Hash]*deltaSeries
	queue  []*piece // ordered
	held   int      // samples in queue
	swept  int64    // up to when silent series were forgotten
	// stray are stored pieces of records that a crash kept from being applied. The records come again, so the next commit deletes them.
	stray map[string]bool
}

type deltaSeries struct {
	start, last int64
	v           float64
	h           *histogram.FloatHistogram // not nil: a native histogram
}

// piece is some of the increments of one record.
type piece struct {
	at        int64 // of its samples, Unix milliseconds
	topic     string
	partition int32
	offset    int64
	n         uint32
	samples   []samples.Sample
	stored    byte // the table's part that holds it; 0: none does
}

// Parts of the table: the first held pieces of several times, whose samples were points of their own.
const (
	piecesOld = 'h'
	piecesNow = 'p'
)

const (
	// pieceSamples bounds a piece.
	pieceSamples = 512
	// releaseBytes bounds the running values that one checkpoint writes, beside those of one piece.
	releaseBytes = 2 << 20
	// maxDeltaBuckets is from where on a running histogram is made coarser.
	maxDeltaBuckets = 320
)

func newDeltas(c MetricsConfig) *deltas {
	return &deltas{limit: c.DeltaSeries, heldMax: c.HeldDeltas, lifetime: c.Retention.Milliseconds(), series: map[dedup.Hash]*deltaSeries{},
		stray: map[string]bool{}}
}

func (p *piece) compare(q *piece) int {
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.topic, q.topic), cmp.Compare(p.partition, q.partition),
		cmp.Compare(p.offset, q.offset), cmp.Compare(p.n, q.n))
}

func (p *piece) key(ks model.Keyspace) []byte {
	k := binary.BigEndian.AppendUint64(ks.Key(storage.TableDelta, cmp.Or(p.stored, piecesNow)), uint64(p.at))
	k = binary.BigEndian.AppendUint32(k, uint32(p.partition))
	k = binary.BigEndian.AppendUint64(k, uint64(p.offset))
	return binary.BigEndian.AppendUint32(k, p.n)
}

// pieces cuts the increments of a record, by time.
func pieces(topic string, partition int32, offset int64, list []samples.Sample) []*piece {
	points := slices.SortedStableFunc(samples.PointsOf(list), func(a, b []samples.Sample) int { return cmp.Compare(a[0].T, b[0].T) })
	var out []*piece
	var last *piece
	for _, point := range points {
		if last == nil || last.at != point[0].T || len(last.samples)+len(point) > pieceSamples {
			last = &piece{at: point[0].T, topic: topic, partition: partition, offset: offset, n: uint32(len(out))}
			out = append(out, last)
		}
		last.samples = append(last.samples, point...)
	}
	return out
}

// add queues pieces.
func (d *deltas) add(list []*piece) {
	if len(list) == 0 {
		return
	}
	for _, p := range list {
		d.held += len(p.samples)
	}
	d.queue = append(d.queue, list...)
	slices.SortFunc(d.queue, (*piece).compare)
}

// ready reports whether something waits that need not wait any longer.
func (d *deltas) ready(complete int64) bool {
	return len(d.queue) > 0 && (d.queue[0].at <= complete || d.held > d.heldMax)
}

// released is what no longer waits.
type released struct {
	samples []samples.Sample
	entries []storage.Entry
	dropped map[string]int // points, by reason
	early   int            // increments that did not wait because too many do
	// merged and mergedPoints were added to a sample that was there already.
	merged, mergedPoints int

	at    map[dedup.Hash]int // where in samples the last one of a series is
	dirty map[dedup.Hash]*deltaSeries
	bytes int
}

// release adds what need not wait to the running values, and returns the samples of those, what changed, and what was dropped.
func (d *deltas) release(ks model.Keyspace, complete int64) released {
	r := released{dropped: map[string]int{}, at: map[dedup.Hash]int{}, dirty: map[dedup.Hash]*deltaSeries{}}
	var last int64
	for d.ready(complete) && (r.bytes < releaseBytes || d.queue[0].at == last) {
		p := d.queue[0]
		last = p.at
		d.queue[0] = nil
		d.queue = d.queue[1:]
		d.held -= len(p.samples)
		if p.at > complete {
			r.early += len(p.samples)
		}
		if p.stored != 0 {
			r.entries = append(r.entries, storage.Entry{Key: p.key(ks)})
		}
		for point := range samples.PointsOf(p.samples) {
			if reason := d.point(&r, point); reason != "" {
				r.dropped[reason]++
			}
		}
	}
	for id, s := range r.dirty {
		r.entries = append(r.entries, storage.Entry{Key: ks.Key(storage.TableDelta, append([]byte{'s'}, id[:]...)...),
			Value: s.append(nil)})
	}
	return r
}

// point adds the increments of one data point to their series, all or none, and returns why none.
func (d *deltas) point(r *released, point []samples.Sample) (dropped string) {
	ids, added := make([]dedup.Hash, len(point)), 0
	for i := range point {
		p := &point[i]
		ids[i] = dedup.HashOf(p.Labels.Bytes(nil))
		s := d.series[ids[i]]
		switch {
		case s == nil:
			if added++; len(d.series)+added > d.limit {
				return DropDeltaSeries
			}
		case p.T-s.last > d.lifetime: // begins anew
		case p.T < s.last, p.Start != 0 && p.Start < s.start:
			return DropOutOfOrder
		}
	}
	kept := r.samples
	for i := range point {
		p := &point[i]
		s := d.series[ids[i]]
		same := s != nil && p.T == s.last
		s, ok := d.accumulate(ids[i], s, p)
		if !ok { // a native histogram is the only sample of its point
			return DropInvalid
		}
		r.touch(ids[i], s)
		n, have := r.at[ids[i]]
		switch {
		case !same:
			r.at[ids[i]] = len(r.samples)
			r.samples = append(r.samples, *p)
		case have && r.samples[n].T == p.T:
			p.Labels, p.More, p.NoPoint = r.samples[n].Labels, r.samples[n].More, r.samples[n].NoPoint
			p.Exemplars = append(r.samples[n].Exemplars, p.Exemplars...)
			r.samples[n] = *p
			r.merged++
		default: // the sample was written: what was added shows with the next one
			r.merged++
		}
	}
	if len(r.samples) == len(kept) {
		r.mergedPoints++
	} else {
		r.samples[len(r.samples)-1].More = false
	}
	return ""
}

// touch notes that a running value is to be stored.
func (r *released) touch(id dedup.Hash, s *deltaSeries) {
	if r.dirty[id] == s {
		return
	}
	r.bytes += 64
	if s.h != nil {
		r.bytes += 16 * (len(s.h.PositiveBuckets) + len(s.h.NegativeBuckets))
	}
	r.dirty[id] = s
}

// accumulate adds an increment to its series, which may be nil, and makes the sample carry the running value.
func (d *deltas) accumulate(id dedup.Hash, s *deltaSeries, p *samples.Sample) (*deltaSeries, bool) {
	fh := p.Float()
	next := deltaSeries{start: p.Start}
	if s != nil && p.T-s.last <= d.lifetime {
		next = *s
	}
	next.last = p.T
	switch {
	case value.IsStaleNaN(p.V) || fh != nil && value.IsStaleNaN(fh.Sum): // says that nothing was recorded, and until when
	case fh == nil:
		p.Start = next.start
		next.v += p.V
		next.h, p.V = nil, next.v
	default:
		p.Start = next.start
		sum, err := addHistogram(next.h, fh)
		if err != nil {
			return s, false
		}
		next.h, p.H, p.FH = sum, nil, sum.Copy()
	}
	if s == nil {
		s = &deltaSeries{}
		d.series[id] = s
	}
	*s = next
	return s, true
}

// addHistogram returns a + b; a may be nil and is not changed.
func addHistogram(a, b *histogram.FloatHistogram) (sum *histogram.FloatHistogram, err error) {
	defer func() { // the bounds are checked; if that ever misses something, it costs one point
		if p := recover(); p != nil {
			sum, err = nil, fmt.Errorf("views: add histograms: panic: %v", p)
		}
	}()
	if err := boundedHistogram(b); err != nil {
		return nil, err
	}
	sum = b.Copy()
	if a != nil {
		if sum, _, _, err = a.Copy().Add(b); err != nil {
			return nil, fmt.Errorf("views: add histograms: %w", err)
		}
	}
	sum.CounterResetHint = histogram.UnknownCounterReset
	sum.Compact(0)
	for len(sum.PositiveBuckets)+len(sum.NegativeBuckets) > maxDeltaBuckets && sum.Schema > histogram.ExponentialSchemaMin {
		if err := sum.ReduceResolution(sum.Schema - 1); err != nil {
			return nil, fmt.Errorf("views: make a histogram coarser: %w", err)
		}
	}
	return sum, sum.Validate()
}

// sweep forgets series that would begin anew anyway, at most once a minute of event time.
func (d *deltas) sweep(ks model.Keyspace, complete int64, entries []storage.Entry) []storage.Entry {
	if complete < d.swept+time.Minute.Milliseconds() {
		return entries
	}
	const most = 20_000
	n := 0
	for id, s := range d.series {
		if s.last < complete-d.lifetime {
			delete(d.series, id)
			entries = append(entries, storage.Entry{Key: ks.Key(storage.TableDelta, append([]byte{'s'}, id[:]...)...)})
			if n++; n == most {
				return entries // the rest with the next checkpoint
			}
		}
	}
	d.swept = complete
	return entries
}

// restore reads running values and waiting pieces. Pieces of records that were not applied are left out: the records come again.
func (d *deltas) restore(kv model.State, next map[model.Partition]int64) error {
	prefix := kv.Key(storage.TableDelta, 's')
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		s, err := decodeDeltaSeries(v)
		if err != nil || len(k) != len(prefix)+len(dedup.Hash{}) {
			return fmt.Errorf("running value of a series: %w", cmp.Or(err, model.ErrCorrupt))
		}
		d.series[dedup.Hash(k[len(prefix):])] = s
		return nil
	})
	if err != nil {
		return err
	}
	err = errors.Join(d.restorePieces(kv, next, piecesOld), d.restorePieces(kv, next, piecesNow))
	slices.SortFunc(d.queue, (*piece).compare)
	return err
}

func (d *deltas) restorePieces(kv model.State, next map[model.Partition]int64, part byte) error {
	prefix := kv.Key(storage.TableDelta, part)
	return kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		p := &piece{stored: part}
		if len(k) != len(prefix)+24 {
			return fmt.Errorf("waiting deltas: %w", model.ErrCorrupt)
		}
		b := k[len(prefix):]
		p.at, p.partition, p.offset, p.n = int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:])),
			int64(binary.BigEndian.Uint64(b[12:])), binary.BigEndian.Uint32(b[20:])
		if err := p.decode(v); err != nil {
			return fmt.Errorf("waiting deltas: %w", err)
		}
		if p.offset < next[model.Partition{Topic: p.topic, N: p.partition}] {
			d.queue = append(d.queue, p)
			d.held += len(p.samples)
		} else {
			d.stray[string(k)] = true
		}
		return nil
	})
}

// dropStray deletes what a crash left over, but for what is written again.
func (d *deltas) dropStray(entries []storage.Entry) []storage.Entry {
	for _, k := range slices.Sorted(maps.Keys(d.stray)) {
		entries = append(entries, storage.Entry{Key: []byte(k)})
	}
	clear(d.stray)
	return entries
}

// A running value: start, last; 0 and the value, or 1 and the histogram.
func (s *deltaSeries) append(b []byte) []byte {
	b = binary.AppendVarint(b, s.start)
	b = binary.AppendVarint(b, s.last)
	return appendValue(b, s.v, s.h)
}

func decodeDeltaSeries(v []byte) (*deltaSeries, error) {
	d := model.Decoder{B: v}
	s := &deltaSeries{start: d.Varint(), last: d.Varint()}
	s.v, s.h = decodeValue(&d)
	return s, d.Err
}

func appendValue(b []byte, v float64, h *histogram.FloatHistogram) []byte {
	if h == nil {
		return binary.BigEndian.AppendUint64(append(b, 0), math.Float64bits(v))
	}
	p := prompb.FromFloatHistogram(0, h)
	out, err := p.Marshal()
	if err != nil { // it writes into memory; the decoder would refuse what is missing
		return append(b, 2)
	}
	b = binary.AppendUvarint(append(b, 1), uint64(len(out)))
	return append(b, out...)
}

func decodeValue(d *model.Decoder) (float64, *histogram.FloatHistogram) {
	switch d.Byte() {
	case 0:
		return math.Float64frombits(binary.BigEndian.Uint64(d.Bytes(8))), nil
	case 1:
		var p prompb.Histogram
		if err := p.Unmarshal([]byte(d.String())); err != nil {
			d.Fail()
			return 0, nil
		}
		return 0, p.ToFloatHistogram()
	}
	d.Fail()
	return 0, nil
}

// A piece: topic, number of samples, each: labels, start, time, value, exemplars, 1 if the next is of the same data point. Old ones have
// no last field.
func (p *piece) encode() []byte {
	b := model.AppendString(nil, p.topic)
	b = binary.AppendUvarint(b, uint64(len(p.samples)))
	for i := range p.samples {
		s := &p.samples[i]
		b = appendLabels(b, s.Labels)
		b = binary.AppendVarint(b, s.Start)
		b = binary.AppendVarint(b, s.T)
		b = appendValue(b, s.V, s.Float())
		b = binary.AppendUvarint(b, uint64(len(s.Exemplars)))
		for _, e := range s.Exemplars {
			b = appendLabels(b, e.Labels)
			b = binary.AppendVarint(b, e.Ts)
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(e.Value))
		}
		more := byte(0)
		if s.More {
			more = 1
		}
		b = append(b, more)
	}
	return b
}

func (p *piece) decode(v []byte) error {
	d := model.Decoder{B: v}
	p.topic = d.String()
	for n := d.Count(); n > 0 && d.Err == nil; n-- {
		s := samples.Sample{Labels: decodeLabels(&d), Start: d.Varint(), T: d.Varint()}
		s.V, s.FH = decodeValue(&d)
		for m := d.Count(); m > 0 && d.Err == nil; m-- {
			e := exemplar.Exemplar{Labels: decodeLabels(&d), Ts: d.Varint(),
				Value: math.Float64frombits(binary.BigEndian.Uint64(d.Bytes(8)))}
			e.HasTs = e.Ts != 0
			s.Exemplars = append(s.Exemplars, e)
		}
		if p.stored == piecesNow {
			s.More = d.Byte() == 1
		}
		p.samples = append(p.samples, s)
	}
	return d.Err
}

func appendLabels(b []byte, l labels.Labels) []byte {
	b = binary.AppendUvarint(b, uint64(l.Len()))
	l.Range(func(x labels.Label) { b = model.AppendString(model.AppendString(b, x.Name), x.Value) })
	return b
}

func decodeLabels(d *model.Decoder) labels.Labels {
	n := d.Count()
	b := labels.NewScratchBuilder(n)
	for ; n > 0 && d.Err == nil; n-- {
		name := d.String()
		b.Add(name, d.String())
	}
	return b.Labels()
}
