package intake

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// Shared is what the accumulators of all partitions share.
type Shared struct {
	Config   model.Config
	Names    *model.Names
	Records  *dedup.Records
	Spans    *dedup.Spans // nil: spans are not de-duplicated
	Dicts    [model.Tables]*cells.Dict
	Spare    *traces.RawSpare                    // buffers of raw records
	Patterns func(partition int32) *drain.Drains // the log patterns that a partition has found so far

	Pending      atomic.Int64 // spans and lines applied and not collected
	PendingBytes atomic.Int64 // bytes of their records
}

// New returns the accumulator of a partition.
func New(shared *Shared, topic string, partition int32) *Accumulator {
	return &Accumulator{shared: shared, topic: topic, partition: partition, cur: NewBatch(), spare: NewBatch()}
}

// Partition names the accumulator's partition.
func (a *Accumulator) Partition() model.Partition {
	return model.Partition{Topic: a.topic, N: a.partition}
}

// Resume makes the accumulator go on from a committed position; mark is the partition's watermark, Unix nanoseconds.
func (a *Accumulator) Resume(p storage.Position, mark uint64) {
	a.next, a.mark, a.topicID = p.Offset, mark, p.TopicID
}

// An Accumulator takes the records of one partition, one goroutine at a time, and shares nothing with those of other partitions
// but names and the de-duplication set. A record is staged span by span between Begin and End; Rollback drops all of it, so that
// a record which does not parse to its end applies nothing.
//
// What was applied since the last checkpoint is a batch. Collect takes the batch away and gives a fresh one: appliers go on while
// the checkpoint encodes and commits.
type Accumulator struct {
	shared    *Shared
	topic     string
	partition int32
	topicID   [16]byte

	mu       sync.Mutex // held from Begin to End, and by Collect
	cur      *Batch
	spare    *Batch
	next     int64 // offset that the next record must have at least
	record   model.Record
	hash     dedup.Hash
	hashed   bool // the record is looked up by its hash, and remembered
	staged   []model.Observation
	tallied  []cells.Tallied
	versions []versionSeen
	logs     []stagedLog
	drains   *drain.Drains // nil until the first log line
	halves   int           // staged halves are cur.halves[halves:]
	mark     uint64        // the partition's watermark, Unix nanoseconds
	counts   model.Counters
	begin    uint64 // oldest time staged of a log line
	end      uint64 // newest end staged
	key      []byte // scratch
	excs     []stagedException
	excKeys  []byte          // their keys
	shifted  []timeShift     // spans and lines whose time was clamped
	resource resourceSeen    // the last one
	spanKeys []dedup.SpanKey // of the staged spans, if spans are de-duplicated
	span     int             // number of the next span
	again    []uint32        // which spans of the record were seen before, ascending; they are left out by a second pass
	second   bool            // it is that pass

	trace sampled
}

// Follow moves the partition's watermark to where the clock took it.
func (a *Accumulator) Follow(mark uint64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.mark = max(a.mark, mark)
}

// Begin starts a record. It returns false, and the record is done, when the record was applied before or is a duplicate of one
// that was. After true the caller must call End or Rollback.
func (a *Accumulator) Begin(r model.Record) bool {
	a.mu.Lock()
	if r.Offset < a.next {
		a.mu.Unlock()
		return false
	}
	a.record = r
	if r.Received > 0 {
		a.record.Timestamp = min(r.Timestamp, r.Received) // a producer whose clock is ahead
	}
	a.resource = resourceSeen{}
	a.hashed = a.shared.Records.Window >= 0 && !r.Anonymous
	if a.hashed {
		identity := r.Identity
		if identity == nil {
			identity = r.Value
		}
		a.hash = dedup.HashOf(identity)
		if earlier, ok := a.shared.Records.Reserve(dedup.Seen{Hash: a.hash, Times: dedup.Times{TS: a.record.Timestamp}}); !ok {
			a.cur.Counts.Duplicates++
			a.mark = max(a.mark, earlier.End)
			a.cur.Mark, a.cur.TS = max(a.cur.Mark, earlier.End), max(a.cur.TS, a.record.Timestamp)
			a.advance()
			a.mu.Unlock()
			return false
		}
	}
	a.halves, a.end, a.spanKeys, a.again, a.second = len(a.cur.Halves), 0, a.spanKeys[:0], a.again[:0], false
	a.restage()
	return true
}

// restage begins to stage a record, whatever was staged of it.
func (a *Accumulator) restage() {
	a.cur.Halves = a.cur.Halves[:a.halves]
	a.staged, a.tallied, a.versions = a.staged[:0], a.tallied[:0], a.versions[:0]
	a.excs, a.excKeys, a.shifted = a.excs[:0], a.excKeys[:0], a.shifted[:0]
	a.logs, a.begin, a.span = a.logs[:0], 0, 0
	a.counts = model.Counters{Records: 1, DuplicateSpans: uint64(len(a.again))}
}

// Again is called when a record was staged to its end, before End. It returns true when some of its spans were seen before: then they
// must all be given again, and those are left out.
func (a *Accumulator) Again() bool {
	if a.shared.Spans == nil || len(a.spanKeys) == 0 {
		return false
	}
	a.again = a.shared.Spans.Take(a.spanKeys, a.again)
	a.second = true
	if len(a.again) == 0 {
		return false
	}
	a.restage()
	return true
}

// seenBefore reports in the second pass whether the span is to be left out, and notes its key in the first.
func (a *Accumulator) seenBefore(r *model.Resource, s *model.Span) bool {
	if !a.second {
		var k dedup.SpanKey
		k, a.key = dedup.KeyOf(s, r, dedup.SecondOf(a.record.Timestamp), a.key)
		a.spanKeys = append(a.spanKeys, k)
		return false
	}
	_, found := slices.BinarySearch(a.again, uint32(a.span))
	a.span++
	return found
}

// Span stages one span of the record.
func (a *Accumulator) Span(r *model.Resource, s *model.Span) {
	if a.shared.Spans != nil && a.seenBefore(r, s) {
		return
	}
	a.counts.Spans++
	start, end := a.times(s)
	dur := end - start
	if !r.HasService {
		a.counts.Unattributed++
		a.staged = append(a.staged, model.Observation{Series: traces.NoSeries, Start: start, Parent: s.ParentID,
			Ex: model.Exemplar{TraceID: s.TraceID, SpanID: s.SpanID, End: end}})
		return
	}
	a.end = max(a.end, end)
	sv := a.service(r, s)
	kind, status := s.Kind, s.Status
	if kind >= model.Kinds {
		kind = model.KindUnspecified
	}
	if status >= model.Statuses {
		status = model.StatusUnset
	}
	se := a.cur.series(a.shared.Names, sv, s.Name, kind, status)
	if se.Over {
		a.counts.Overflowed++
	}
	a.staged = append(a.staged, model.Observation{
		Cell: a.cur.RED.Cell(se, model.BucketStart(end)), N: a.adjustedCount(s), Size: s.Size, Hist: uint16(model.BucketOf(dur)),
		Start: start, Series: se.ID, Parent: s.ParentID,
		Ex: model.Exemplar{TraceID: s.TraceID, SpanID: s.SpanID, End: end, Duration: dur},
	})
	o := &a.staged[len(a.staged)-1]
	a.derive(r, s, sv, o)
	if kind == model.KindServer || kind == model.KindClient || kind == model.KindProducer || kind == model.KindConsumer {
		a.half(r, s, sv, kind, status, end, dur)
	}
}

// half stages the span's side of a call.
func (a *Accumulator) half(r *model.Resource, s *model.Span, sv *service, kind model.Kind, status model.Status, end, dur uint64) {
	a.cur.Halves = append(a.cur.Halves, edges.Half{Part: edges.Part{End: end, Dur: dur, Svc: sv.id}})
	h := &a.cur.Halves[len(a.cur.Halves)-1]
	copy(h.Key[:], s.TraceID[:])
	if status == model.StatusError {
		h.Flags |= edges.HalfFailed
	}
	if kind == model.KindProducer || kind == model.KindConsumer {
		h.Flags |= edges.HalfMessaging
	}
	if kind == model.KindServer || kind == model.KindConsumer {
		h.Flags |= edges.HalfServer
		copy(h.Key[16:], s.ParentID[:])
		if s.ParentID == [8]byte{} {
			h.Flags |= edges.HalfSettled
			h.Peer = a.peer([]byte("user"), nil)
		}
		return
	}
	copy(h.Key[16:], s.SpanID[:])
	system := s.System()
	switch db := r.Namespace(s); {
	case kind == model.KindClient && len(db) > 0:
		h.Flags |= edges.HalfSettled
		h.Peer = a.database(db, system, s)
	case kind == model.KindClient && len(system) > 0:
		h.Flags |= edges.HalfAtOnce
		h.Peer = a.peer(system, nil)
	default:
		h.Peer = a.peer(model.FirstOf(s.PeerService, s.ServerAddress, s.NetPeerName, system, s.Destination, []byte("unknown")), nil)
	}
}

// database is the node of a named database. A number is the index of a database within a server (Redis), not a name: then the system and
// the server's address name it.
func (a *Accumulator) database(name, system []byte, s *model.Span) uint32 {
	if !isNumber(name) {
		return a.peer(name, system)
	}
	host := model.FirstOf(s.ServerAddress, s.NetPeerName, s.PeerService)
	if len(system) == 0 {
		system = []byte("database")
	}
	a.key = append(a.key[:0], system...)
	if len(host) > 0 {
		a.key = append(append(a.key, ':'), host...)
	}
	return a.peer(a.key, system)
}

func isNumber(b []byte) bool {
	for _, c := range b {
		if c < '0' || c > '9' {
			return false
		}
	}
	return len(b) > 0
}

// peer interns what is called; system is that of a named database.
func (a *Accumulator) peer(name, system []byte) uint32 {
	if id, ok := a.cur.peers[peerKey{string(name), string(system)}]; ok {
		return id
	}
	id, ok := a.shared.Names.Peer(model.NodeKey{Name: model.CleanText(name, model.MaxName), System: model.CleanText(system, model.MaxName)})
	if !ok {
		a.counts.Overflowed++
	}
	a.cur.peers[peerKey{string(name), string(system)}] = id
	return id
}

// service finds the service of a resource; spans may have dimensions of their own.
func (a *Accumulator) service(r *model.Resource, s *model.Span) *service {
	if r.Seq != 0 && r.Seq == a.resource.seq && len(s.Dims) == 0 {
		return a.resource.sv
	}
	sv := a.cur.service(a.shared.Names, r.Service, a.dims(r.Dims, s.Dims))
	if len(s.Dims) == 0 {
		a.resource = resourceSeen{r.Seq, sv}
	}
	return sv
}

// dims are the dimensions of a resource, or of a span of it.
func (a *Accumulator) dims(resource, span []model.DimensionValue) model.Dims {
	if len(resource)+len(span) == 0 {
		return ""
	}
	a.key = model.RawDims(append(model.RawDims(a.key[:0], resource), 0xff), span)
	d, ok := a.cur.dims[string(a.key)]
	if !ok {
		dims, known := a.shared.Names.Dims(resource, span)
		d = seenDims{dims, !known}
		a.cur.dims[string(a.key)] = d
	}
	if d.over {
		a.counts.Overflowed++
	}
	return d.dims
}

// End applies what was staged and moves the position past the record.
func (a *Accumulator) End() {
	b := a.cur
	a.endExceptions()
	for i := range a.staged {
		if o := &a.staged[i]; o.Cell != nil {
			o.Cell.Observe(o)
		}
	}
	a.endTraces()
	a.endLogs()
	for i := range a.tallied {
		a.tallied[i].Cell.Observe(&a.tallied[i])
	}
	for i := range a.versions {
		a.versions[i].apply()
	}
	b.Counts.Add(&a.counts)
	a.shared.Pending.Add(int64(a.counts.Applied()))
	b.Bytes += uint64(len(a.record.Value))
	a.shared.PendingBytes.Add(int64(len(a.record.Value)))
	b.Mark = max(b.Mark, a.end)
	a.mark = max(a.mark, a.end)
	for i := range b.Halves[a.halves:] {
		if h := &b.Halves[a.halves+i]; h.End+edges.LateBy < a.mark {
			h.Came = uint32(a.mark / uint64(time.Second))
		}
	}
	b.TS = max(b.TS, a.record.Timestamp)
	a.keepKeys()
	if a.hashed {
		s := dedup.Seen{Hash: a.hash, Times: dedup.Times{TS: a.record.Timestamp, End: a.end}}
		a.shared.Records.Applied(s)
		b.Hashes = append(b.Hashes, s)
	}
	a.advance()
	a.mu.Unlock()
}

// keepKeys hands the keys of the spans that were not seen before to the checkpoint.
func (a *Accumulator) keepKeys() {
	if a.shared.Spans == nil {
		return
	}
	again := a.again
	for i, k := range a.spanKeys {
		if len(again) > 0 && again[0] == uint32(i) {
			again = again[1:]
			continue
		}
		a.cur.SpanKeys = append(a.cur.SpanKeys, k)
	}
}

// endTraces adds the staged spans to the summaries of their traces, and keeps the record for those who want to see the spans.
func (a *Accumulator) endTraces() {
	c := &a.shared.Config
	if c.TraceRetention < 0 || len(a.staged) == 0 {
		return
	}
	b, raw, keep := a.cur, traces.RawRef{}, c.TraceBytes > 0
	if keep {
		begin, end := a.stagedOver()
		raw.N = b.Raw[RawSpans].Add(a.shared.Spare, nil, a.spansAsCounted(), begin, end)
	}
	for i := range a.staged {
		o := &a.staged[i]
		if o.Ex.TraceID == ([16]byte{}) {
			continue
		}
		p := b.Traces.Part(&o.Ex.TraceID)
		p.Observe(o.Start, o.Ex.End, o.Series, o.Ex.SpanID, o.Parent)
		if n := len(p.Raw); keep && (n == 0 || p.Raw[n-1] != raw) {
			p.Raw = append(p.Raw, raw)
		}
	}
}

// stagedOver returns the first start and the last end of the staged spans, of all services and of none. A span without a start is at its
// end.
func (a *Accumulator) stagedOver() (begin, end uint64) {
	begin = 1<<64 - 1
	for i := range a.staged {
		o := &a.staged[i]
		if o.Start == 0 {
			begin = min(begin, o.Ex.End)
		} else {
			begin = min(begin, o.Start)
		}
		end = max(end, o.Ex.End)
	}
	return begin, end
}

// Rollback drops what was staged; the position stays.
func (a *Accumulator) Rollback() {
	a.cur.Halves = a.cur.Halves[:a.halves]
	a.staged = a.staged[:0]
	if a.second {
		a.forgetKeys()
	}
	if a.hashed {
		a.shared.Records.Release(dedup.Seen{Hash: a.hash, Times: dedup.Times{TS: a.record.Timestamp}})
	}
	a.mu.Unlock()
}

// forgetKeys takes back what Again remembered of a record that fails after all.
func (a *Accumulator) forgetKeys() {
	kept := a.cur.SpanKeys
	a.cur.SpanKeys = nil
	a.keepKeys()
	a.shared.Spans.Remove(a.cur.SpanKeys)
	a.cur.SpanKeys = kept
}

// Skip moves the position past a record that went to the dead-letter topic.
func (a *Accumulator) Skip(r model.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Offset < a.next {
		return
	}
	a.record = r
	a.cur.Counts.DeadLetters++
	a.advance()
}

// Advance moves the position to next, over offsets that hold no record for views: transaction markers, compacted records.
func (a *Accumulator) Advance(next int64, leaderEpoch int32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if next <= a.next {
		return
	}
	a.record = model.Record{Offset: next - 1, LeaderEpoch: leaderEpoch}
	a.advance()
}

func (a *Accumulator) advance() {
	a.next = a.record.Offset + 1
	p := &a.cur.Position
	p.Topic, p.Partition, p.Offset, p.LeaderEpoch, p.TopicID = a.topic, a.partition, a.next, a.record.LeaderEpoch, a.topicID
	a.cur.Moved = true
}

// Restart makes the partition begin again at next, because its log is not the one that was read.
func (a *Accumulator) Restart(next int64) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.record = model.Record{Offset: next - 1, LeaderEpoch: -1}
	a.advance()
}

// SetTopicID notes which topic of that name is read; it is stored with the position.
func (a *Accumulator) SetTopicID(id [16]byte) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.topicID = id
}

// Take gives the batch to a checkpoint.
func (a *Accumulator) Take() *Batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.cur
	if a.drains != nil {
		b.Patterns = drain.Batch{Partition: a.partition, Clusters: a.drains.Take()}
	}
	a.cur, a.spare = a.spare, nil
	return b
}

// GiveBack returns a batch whose checkpoint is committed.
func (a *Accumulator) GiveBack(b *Batch) {
	b.reset(a.shared.Spare)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spare = b
}
