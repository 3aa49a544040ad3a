package views

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/histogram"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"

	"github.com/gaurav/watchingcat/storage"
)

// deltas turns increments into running values, as Prometheus' counters and histograms are.
//
// The simple version: a running value for each series, to which increments are added in the order of their time. What makes it
// hard is that a collector deals records out to partitions, which are read at different speeds: increments wait until every
// partition has been read up to their time, so that the result does not depend on who was read first. They wait in pieces, parts
// of one record, ordered by the newest point of the record.
//
// A series follows the rules of the collector's deltatocumulative processor: an increment that is not after the last one, or that
// began before the series did, is dropped and counted.
type deltas struct {
	limit    int
	heldMax  int
	lifetime int64 // milliseconds after which a silent series begins anew

	series map[hash]*deltaSeries
	queue  []*piece // ordered
	held   int      // samples in queue
	swept  int64    // up to when silent series were forgotten
}

type deltaSeries struct {
	start, last int64
	v           float64
	h           *histogram.FloatHistogram // not nil: a native histogram
}

// piece is some of the increments of one record.
type piece struct {
	at        int64 // newest point of the record, Unix milliseconds
	topic     string
	partition int32
	offset    int64
	n         uint32
	samples   []storage.Sample
	stored    bool
}

const (
	// pieceSamples bounds a piece.
	pieceSamples = 512
	// releaseBytes bounds the running values that one checkpoint writes, beside those of one piece.
	releaseBytes = 2 << 20
	// maxDeltaBuckets is from where on a running histogram is made coarser.
	maxDeltaBuckets = 320
)

func newDeltas(c MetricsConfig) *deltas {
	return &deltas{limit: c.DeltaSeries, heldMax: c.HeldDeltas, lifetime: c.Retention.Milliseconds(), series: map[hash]*deltaSeries{}}
}

func (p *piece) compare(q *piece) int {
	return cmp.Or(cmp.Compare(p.at, q.at), cmp.Compare(p.topic, q.topic), cmp.Compare(p.partition, q.partition), cmp.Compare(p.offset, q.offset), cmp.Compare(p.n, q.n))
}

func (p *piece) key(ks keyspace) []byte {
	k := binary.BigEndian.AppendUint64(ks.key(storage.TableDelta, 'h'), uint64(p.at))
	k = binary.BigEndian.AppendUint32(k, uint32(p.partition))
	k = binary.BigEndian.AppendUint64(k, uint64(p.offset))
	return binary.BigEndian.AppendUint32(k, p.n)
}

// pieces cuts the increments of a record.
func pieces(topic string, partition int32, offset, at int64, list []storage.Sample) []*piece {
	var out []*piece
	for s := range slices.Chunk(list, pieceSamples) {
		out = append(out, &piece{at: at, topic: topic, partition: partition, offset: offset, n: uint32(len(out)), samples: s})
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
	samples []storage.Sample
	entries []storage.Entry
	dropped map[string]int
	early   int // increments that did not wait because too many do
}

// release adds what need not wait to the running values, and returns the samples of those, what changed, and what was dropped.
func (d *deltas) release(ks keyspace, complete int64) released {
	r := released{dropped: map[string]int{}}
	dirty := map[hash]*deltaSeries{}
	bytes := 0
	for d.ready(complete) && bytes < releaseBytes {
		p := d.queue[0]
		d.queue[0] = nil
		d.queue = d.queue[1:]
		d.held -= len(p.samples)
		if p.at > complete {
			r.early += len(p.samples)
		}
		if p.stored {
			r.entries = append(r.entries, storage.Entry{Key: p.key(ks)})
		}
		for i := range p.samples {
			id, s, reason := d.accumulate(&p.samples[i])
			if reason != "" {
				r.dropped[reason]++
				continue
			}
			if _, seen := dirty[id]; !seen {
				bytes += 64
				if s.h != nil {
					bytes += 16 * (len(s.h.PositiveBuckets) + len(s.h.NegativeBuckets))
				}
				dirty[id] = s
			}
			r.samples = append(r.samples, p.samples[i])
		}
	}
	for id, s := range dirty {
		r.entries = append(r.entries, storage.Entry{Key: ks.key(storage.TableDelta, append([]byte{'s'}, id[:]...)...), Value: s.append(nil)})
	}
	return r
}

// accumulate adds an increment to its series and makes the sample carry the running value.
func (d *deltas) accumulate(p *storage.Sample) (id hash, s *deltaSeries, dropped string) {
	id = hashOf(p.Labels.Bytes(nil))
	fh := p.FH
	if p.H != nil {
		fh = p.H.ToFloat(nil)
	}
	s = d.series[id]
	switch {
	case s == nil:
		if len(d.series) >= d.limit {
			return id, nil, DropDeltaSeries
		}
		s = &deltaSeries{start: p.Start}
		d.series[id] = s
	case p.T-s.last > d.lifetime:
		*s = deltaSeries{start: p.Start}
	case p.T <= s.last, p.Start != 0 && p.Start < s.start:
		return id, s, DropOutOfOrder
	}
	if value.IsStaleNaN(p.V) || fh != nil && value.IsStaleNaN(fh.Sum) { // says that nothing was recorded, and until when
		s.last = p.T
		return id, s, ""
	}
	p.Start = s.start
	if fh == nil {
		s.v += p.V
		s.h, s.last, p.V = nil, p.T, s.v
		return id, s, ""
	}
	sum, err := addHistogram(s.h, fh)
	if err != nil {
		return id, s, DropInvalid
	}
	s.h, s.last, p.H, p.FH = sum, p.T, nil, sum.Copy()
	return id, s, ""
}

// addHistogram returns a + b; a may be nil and is not changed.
func addHistogram(a, b *histogram.FloatHistogram) (*histogram.FloatHistogram, error) {
	sum := b.Copy()
	if a != nil {
		var err error
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
func (d *deltas) sweep(ks keyspace, complete int64, entries []storage.Entry) []storage.Entry {
	if complete < d.swept+time.Minute.Milliseconds() {
		return entries
	}
	const most = 20_000
	n := 0
	for id, s := range d.series {
		if s.last < complete-d.lifetime {
			delete(d.series, id)
			entries = append(entries, storage.Entry{Key: ks.key(storage.TableDelta, append([]byte{'s'}, id[:]...)...)})
			if n++; n == most {
				return entries // the rest with the next checkpoint
			}
		}
	}
	d.swept = complete
	return entries
}

// restore reads running values and waiting pieces. Pieces of records that were not applied are left out: the records come again.
func (d *deltas) restore(kv reader, next map[partition]int64) error {
	prefix := kv.key(storage.TableDelta, 's')
	err := kv.kv.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		s, err := decodeDeltaSeries(v)
		if err != nil || len(k) != len(prefix)+len(hash{}) {
			return fmt.Errorf("running value of a series: %w", cmp.Or(err, errCorrupt))
		}
		d.series[hash(k[len(prefix):])] = s
		return nil
	})
	if err != nil {
		return err
	}
	prefix = kv.key(storage.TableDelta, 'h')
	err = kv.kv.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		p := &piece{stored: true}
		if len(k) != len(prefix)+24 {
			return fmt.Errorf("waiting deltas: %w", errCorrupt)
		}
		b := k[len(prefix):]
		p.at, p.partition, p.offset, p.n = int64(binary.BigEndian.Uint64(b)), int32(binary.BigEndian.Uint32(b[8:])), int64(binary.BigEndian.Uint64(b[12:])), binary.BigEndian.Uint32(b[20:])
		if err := p.decode(v); err != nil {
			return fmt.Errorf("waiting deltas: %w", err)
		}
		if p.offset < next[partition{p.topic, p.partition}] {
			d.queue = append(d.queue, p)
			d.held += len(p.samples)
		}
		return nil
	})
	slices.SortFunc(d.queue, (*piece).compare)
	return err
}

// A running value: start, last; 0 and the value, or 1 and the histogram.
func (s *deltaSeries) append(b []byte) []byte {
	b = binary.AppendVarint(b, s.start)
	b = binary.AppendVarint(b, s.last)
	return appendValue(b, s.v, s.h)
}

func decodeDeltaSeries(v []byte) (*deltaSeries, error) {
	d := decoder{b: v}
	s := &deltaSeries{start: d.varint(), last: d.varint()}
	s.v, s.h = decodeValue(&d)
	return s, d.err
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

func decodeValue(d *decoder) (float64, *histogram.FloatHistogram) {
	switch d.byte() {
	case 0:
		return math.Float64frombits(binary.BigEndian.Uint64(d.bytes(8))), nil
	case 1:
		var p prompb.Histogram
		if err := p.Unmarshal([]byte(d.string())); err != nil {
			d.fail()
			return 0, nil
		}
		return 0, p.ToFloatHistogram()
	}
	d.fail()
	return 0, nil
}

// A piece: topic, number of samples, each: labels, start, time, value, exemplars.
func (p *piece) encode() []byte {
	b := appendString(nil, p.topic)
	b = binary.AppendUvarint(b, uint64(len(p.samples)))
	for i := range p.samples {
		s := &p.samples[i]
		b = appendLabels(b, s.Labels)
		b = binary.AppendVarint(b, s.Start)
		b = binary.AppendVarint(b, s.T)
		h := s.FH
		if s.H != nil {
			h = s.H.ToFloat(nil)
		}
		b = appendValue(b, s.V, h)
		b = binary.AppendUvarint(b, uint64(len(s.Exemplars)))
		for _, e := range s.Exemplars {
			b = appendLabels(b, e.Labels)
			b = binary.AppendVarint(b, e.Ts)
			b = binary.BigEndian.AppendUint64(b, math.Float64bits(e.Value))
		}
	}
	return b
}

func (p *piece) decode(v []byte) error {
	d := decoder{b: v}
	p.topic = d.string()
	for n := d.uvarint(); n > 0 && d.err == nil; n-- {
		s := storage.Sample{Labels: decodeLabels(&d), Start: d.varint(), T: d.varint()}
		s.V, s.FH = decodeValue(&d)
		for m := d.uvarint(); m > 0 && d.err == nil; m-- {
			e := exemplar.Exemplar{Labels: decodeLabels(&d), Ts: d.varint(), Value: math.Float64frombits(binary.BigEndian.Uint64(d.bytes(8)))}
			e.HasTs = e.Ts != 0
			s.Exemplars = append(s.Exemplars, e)
		}
		p.samples = append(p.samples, s)
	}
	return d.err
}

func appendLabels(b []byte, l labels.Labels) []byte {
	b = binary.AppendUvarint(b, uint64(l.Len()))
	l.Range(func(x labels.Label) { b = appendString(appendString(b, x.Name), x.Value) })
	return b
}

func decodeLabels(d *decoder) labels.Labels {
	n := d.uvarint()
	if n > uint64(len(d.b)) {
		d.fail()
		return labels.EmptyLabels()
	}
	b := labels.NewScratchBuilder(int(n))
	for ; n > 0 && d.err == nil; n-- {
		name := d.string()
		b.Add(name, d.string())
	}
	return b.Labels()
}
