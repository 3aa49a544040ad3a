package views

import (
	"encoding/binary"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// An Accumulator takes the records of one partition, one goroutine at a time, and shares nothing with those of other partitions
// but names and the de-duplication set. A record is staged span by span between Begin and End; Rollback drops all of it, so that
// a record which does not parse to its end applies nothing.
//
// What was applied since the last checkpoint is a batch. Collect takes the batch away and gives a fresh one: appliers go on while
// the checkpoint encodes and commits.
type Accumulator struct {
	set       *Set
	topic     string
	partition int32
	topicID   [16]byte

	mu       sync.Mutex // held from Begin to End, and by Collect
	cur      *batch
	spare    *batch
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

// resourceSeen is a resource of the record and what it was found to be.
type resourceSeen struct {
	seq uint64
	sv  *service
}

// batch is what one partition applied between two checkpoints.
type batch struct {
	services map[serviceKey]*service
	last     *service
	dims     map[string]seenDims // by their values as they came
	peers    map[peerKey]uint32
	dirty    []*redSeries
	known    int
	tables   [model.Tables]cells.TallyBatch
	traces   traces.Batch
	rawSpans traces.RawBatch
	rawLogs  traces.RawBatch
	clusters []drain.Cluster // that log lines joined
	halves   []edges.Half
	hashes   []dedup.Seen
	spanKeys []dedup.SpanKey
	counts   model.Counters
	bytes    uint64 // of the records
	mark     uint64 // newest end, Unix nanoseconds
	ts       int64  // newest record timestamp
	position storage.Position
	moved    bool
	free     []*model.REDCounts
}

// serviceKey is a service as it came: its name may have to be cleaned.
type serviceKey struct {
	name string
	dims model.Dims
}

type peerKey struct{ name, system string }

type seenDims struct {
	dims model.Dims
	over bool
}

type service struct {
	serviceKey
	id   uint32
	over bool
	ops  map[string]*operation
}

type operation struct {
	series [model.Kinds][model.Statuses]*redSeries
}

// redSeries is a series in a batch with the few buckets that the batch touched.
type redSeries struct {
	id    uint32
	over  bool
	cells []redCell
}

type redCell struct {
	start int64
	c     *model.REDCounts
}

func newBatch() *batch {
	return &batch{services: map[serviceKey]*service{}, dims: map[string]seenDims{}, peers: map[peerKey]uint32{}, traces: traces.Batch{At: map[[16]byte]uint32{}}}
}

// reset empties a batch after its checkpoint; series stay known.
func (b *batch) reset(spare *traces.RawSpare) {
	for _, s := range b.dirty {
		for i := range s.cells {
			s.cells[i].c.Reset()
			b.free = append(b.free, s.cells[i].c)
		}
		s.cells = s.cells[:0]
	}
	for i := range b.tables {
		b.tables[i].Reset()
	}
	b.traces.Reset()
	b.rawSpans.Reset(spare)
	b.rawLogs.Reset(spare)
	b.clusters = nil
	if b.known > model.MaxLocalSeries {
		*b = *newBatch()
		return
	}
	if len(b.peers) > model.MaxLocalSeries {
		clear(b.peers)
	}
	if len(b.dims) > model.MaxLocalSeries {
		clear(b.dims)
	}
	b.dirty, b.halves, b.hashes, b.spanKeys = b.dirty[:0], b.halves[:0], b.hashes[:0], b.spanKeys[:0]
	b.counts, b.bytes, b.mark, b.ts, b.moved = model.Counters{}, 0, 0, 0, false
}

// follow moves the partition's watermark to where the clock took it.
func (a *Accumulator) follow(mark uint64) {
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
	a.hashed = a.set.dedup.Window >= 0 && !r.Anonymous
	if a.hashed {
		a.hash = dedup.HashOf(r.Value)
		if earlier, ok := a.set.dedup.Reserve(dedup.Seen{Hash: a.hash, Times: dedup.Times{TS: a.record.Timestamp}}); !ok {
			a.cur.counts.Duplicates++
			a.mark = max(a.mark, earlier.End)
			a.cur.mark, a.cur.ts = max(a.cur.mark, earlier.End), max(a.cur.ts, a.record.Timestamp)
			a.advance()
			a.mu.Unlock()
			return false
		}
	}
	a.halves, a.end, a.spanKeys, a.again, a.second = len(a.cur.halves), 0, a.spanKeys[:0], a.again[:0], false
	a.restage()
	return true
}

// restage begins to stage a record, whatever was staged of it.
func (a *Accumulator) restage() {
	a.cur.halves = a.cur.halves[:a.halves]
	a.staged, a.tallied, a.versions = a.staged[:0], a.tallied[:0], a.versions[:0]
	a.excs, a.excKeys, a.shifted = a.excs[:0], a.excKeys[:0], a.shifted[:0]
	a.logs, a.begin, a.span = a.logs[:0], 0, 0
	a.counts = model.Counters{Records: 1, DuplicateSpans: uint64(len(a.again))}
}

// Again is called when a record was staged to its end, before End. It returns true when some of its spans were seen before: then they
// must all be given again, and those are left out.
func (a *Accumulator) Again() bool {
	if a.set.spans == nil || len(a.spanKeys) == 0 {
		return false
	}
	a.again = a.set.spans.Take(a.spanKeys, a.again)
	a.second = true
	if len(a.again) == 0 {
		return false
	}
	a.restage()
	return true
}

// seenBefore tells in the second pass whether the span is to be left out, and notes its key in the first.
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
	if a.set.spans != nil && a.seenBefore(r, s) {
		return
	}
	a.counts.Spans++
	start, end := a.times(s)
	dur := end - start
	if !r.HasService {
		a.counts.Unattributed++
		a.staged = append(a.staged, model.Observation{Series: traces.NoSeries, Start: start, Parent: s.ParentID, Ex: model.Exemplar{TraceID: s.TraceID, SpanID: s.SpanID, End: end}})
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
	se := a.cur.series(a.set.names, sv, s.Name, kind, status)
	if se.over {
		a.counts.Overflowed++
	}
	a.staged = append(a.staged, model.Observation{
		Cell: a.cur.cell(se, model.BucketStart(end)), N: a.adjustedCount(s), Size: s.Size, Hist: uint16(model.BucketOf(dur)),
		Start: start, Series: se.id, Parent: s.ParentID,
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
	a.cur.halves = append(a.cur.halves, edges.Half{Part: edges.Part{End: end, Dur: dur, Svc: sv.id}})
	h := &a.cur.halves[len(a.cur.halves)-1]
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
	id, ok := a.set.names.Peer(model.NodeKey{Name: model.CleanText(name, model.MaxName), System: model.CleanText(system, model.MaxName)})
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
	sv := a.cur.service(a.set.names, r.Service, a.dims(r.Dims, s.Dims))
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
		dims, known := a.set.names.Dims(resource, span)
		d = seenDims{dims, !known}
		a.cur.dims[string(a.key)] = d
	}
	if d.over {
		a.counts.Overflowed++
	}
	return d.dims
}

func (b *batch) service(n *model.Names, name []byte, dims model.Dims) *service {
	if b.last != nil && b.last.name == string(name) && b.last.dims == dims {
		return b.last
	}
	s := b.services[serviceKey{string(name), dims}]
	if s == nil {
		id, ok := n.Service(model.CleanText(name, model.MaxName), dims)
		s = &service{serviceKey: serviceKey{string(name), dims}, id: id, over: !ok, ops: map[string]*operation{}}
		b.services[s.serviceKey] = s
		b.known++
	}
	b.last = s
	return s
}

func (b *batch) series(n *model.Names, sv *service, name []byte, kind model.Kind, status model.Status) *redSeries {
	op := sv.ops[string(name)]
	if op == nil {
		op = &operation{}
		sv.ops[string(name)] = op
	}
	se := op.series[kind][status]
	if se == nil {
		id, ok := n.Series(sv.id, model.CleanText(name, model.MaxName), kind, status)
		se = &redSeries{id: id, over: !ok || sv.over}
		op.series[kind][status] = se
		b.known++
	}
	return se
}

func (b *batch) cell(s *redSeries, start int64) *model.REDCounts {
	for i := range s.cells {
		if s.cells[i].start == start {
			return s.cells[i].c
		}
	}
	if len(s.cells) == 0 {
		b.dirty = append(b.dirty, s)
	}
	var c *model.REDCounts
	if n := len(b.free); n > 0 {
		c, b.free = b.free[n-1], b.free[:n-1]
	} else {
		c = &model.REDCounts{}
	}
	s.cells = append(s.cells, redCell{start, c})
	return c
}

// sampled caches the adjusted count of the last tracestate: spans of a trace share it.
type sampled struct {
	state              string
	quotient, rest, of uint64
}

// adjustedCount is how many spans one sampled span stands for, OpenTelemetry's probability sampling
// (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/). Where it is not whole, the trace id decides
// whether to round up, so that the same span counts the same every time.
func (a *Accumulator) adjustedCount(s *model.Span) uint64 {
	if len(s.TraceState) == 0 {
		return 1
	}
	t := &a.trace
	if t.state != string(s.TraceState) {
		*t = parseSampled(string(s.TraceState))
	}
	if t.rest != 0 {
		hi, lo := binary.BigEndian.Uint64(s.TraceID[:]), binary.BigEndian.Uint64(s.TraceID[8:])
		// the low 56 bits decided whether to sample; the mix makes the rounding independent of them
		mix := (hi ^ lo*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
		if (mix^mix>>33)%t.of < t.rest {
			return t.quotient + 1
		}
	}
	return t.quotient
}

func parseSampled(state string) sampled {
	t := sampled{state: state, quotient: 1}
	if !strings.Contains(state, "ot=") {
		return t
	}
	w, err := sampling.NewW3CTraceState(state)
	if err != nil {
		return t
	}
	th, ok := w.OTelValue().TValueThreshold()
	if !ok || th.Unsigned() >= sampling.MaxAdjustedCount {
		return t
	}
	t.of = sampling.MaxAdjustedCount - th.Unsigned()
	t.quotient, t.rest = sampling.MaxAdjustedCount/t.of, sampling.MaxAdjustedCount%t.of
	return t
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
	b.counts.Add(&a.counts)
	a.set.pending.Add(int64(a.counts.Applied()))
	b.bytes += uint64(len(a.record.Value))
	a.set.pendingBytes.Add(int64(len(a.record.Value)))
	b.mark = max(b.mark, a.end)
	a.mark = max(a.mark, a.end)
	for i := range b.halves[a.halves:] {
		if h := &b.halves[a.halves+i]; h.End+edges.LateBy < a.mark {
			h.Came = uint32(a.mark / uint64(time.Second))
		}
	}
	b.ts = max(b.ts, a.record.Timestamp)
	a.keepKeys()
	if a.hashed {
		s := dedup.Seen{Hash: a.hash, Times: dedup.Times{TS: a.record.Timestamp, End: a.end}}
		a.set.dedup.Applied(s)
		b.hashes = append(b.hashes, s)
	}
	a.advance()
	a.mu.Unlock()
}

// keepKeys hands the keys of the spans that were not seen before to the checkpoint.
func (a *Accumulator) keepKeys() {
	if a.set.spans == nil {
		return
	}
	again := a.again
	for i, k := range a.spanKeys {
		if len(again) > 0 && again[0] == uint32(i) {
			again = again[1:]
			continue
		}
		a.cur.spanKeys = append(a.cur.spanKeys, k)
	}
}

// endTraces adds the staged spans to the summaries of their traces, and keeps the record for those who want to see the spans.
func (a *Accumulator) endTraces() {
	c := &a.set.cfg
	if c.TraceRetention < 0 || len(a.staged) == 0 {
		return
	}
	b, raw, keep := a.cur, traces.RawRef{}, c.TraceBytes > 0
	if keep {
		begin, end := a.stagedOver()
		raw.N = b.rawSpans.Add(a.set.spare, nil, a.spansAsCounted(), begin, end)
	}
	for i := range a.staged {
		o := &a.staged[i]
		if o.Ex.TraceID == ([16]byte{}) {
			continue
		}
		p := b.traces.Part(&o.Ex.TraceID)
		p.Observe(o.Start, o.Ex.End, o.Series, o.Ex.SpanID, o.Parent)
		if n := len(p.Raw); keep && (n == 0 || p.Raw[n-1] != raw) {
			p.Raw = append(p.Raw, raw)
		}
	}
}

// stagedOver returns the first start and the last end of the staged spans, of all services and of none. A span without a start is at its end.
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
	a.cur.halves = a.cur.halves[:a.halves]
	a.staged = a.staged[:0]
	if a.second {
		a.forgetKeys()
	}
	if a.hashed {
		a.set.dedup.Release(dedup.Seen{Hash: a.hash, Times: dedup.Times{TS: a.record.Timestamp}})
	}
	a.mu.Unlock()
}

// forgetKeys takes back what Again remembered of a record that fails after all.
func (a *Accumulator) forgetKeys() {
	kept := a.cur.spanKeys
	a.cur.spanKeys = nil
	a.keepKeys()
	a.set.spans.Remove(a.cur.spanKeys)
	a.cur.spanKeys = kept
}

// Skip moves the position past a record that went to the dead-letter topic.
func (a *Accumulator) Skip(r model.Record) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.Offset < a.next {
		return
	}
	a.record = r
	a.cur.counts.DeadLetters++
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
	p := &a.cur.position
	p.Topic, p.Partition, p.Offset, p.LeaderEpoch, p.TopicID = a.topic, a.partition, a.next, a.record.LeaderEpoch, a.topicID
	a.cur.moved = true
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

// take gives the batch to a checkpoint.
func (a *Accumulator) take() *batch {
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.cur
	if a.drains != nil {
		b.clusters = a.drains.Take()
	}
	a.cur, a.spare = a.spare, nil
	return b
}

// giveBack returns a batch whose checkpoint is committed.
func (a *Accumulator) giveBack(b *batch) {
	b.reset(a.set.spare)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.spare = b
}
