package intake

import (
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/model"
)

// What is derived from spans beside RED and the service map: exceptions, database calls, messaging, versions.

// versionSeen is a staged count of spans of one version of a service in one bucket.
type versionSeen struct {
	service *service
	version []byte
	bucket  int64
	cells.Tallied
	last uint64
}

func (v *versionSeen) apply() {
	c := v.Cell
	c.Observe(&v.Tallied)
	c.Seen(v.At, v.last)
}

// derive stages what a span means to the tables.
func (a *Accumulator) derive(r *model.Resource, s *model.Span, sv *service, o *model.Observation) {
	if len(r.Version) > 0 {
		a.version(r, s, sv, o)
	}
	for i := range s.Exceptions {
		a.exception(r, s, sv, &s.Exceptions[i], o)
	}
	switch {
	case s.Kind == model.KindClient && len(s.System()) > 0:
		key := cells.AppendLabel(a.key[:0], r.Service)
		key = cells.AppendLabel(key, s.System())
		key = cells.AppendLabel(key, r.Namespace(s))
		key = cells.AppendLabel(key, s.DBOperation)
		a.key = cells.AppendDims(cells.AppendLabel(key, s.DBCollection), sv.dims)
		a.tallyCall(model.TableDatabases, s, o)
	case s.Kind == model.KindProducer || s.Kind == model.KindConsumer:
		key := cells.AppendLabel(a.key[:0], r.Service)
		key = cells.AppendLabel(key, s.MessagingSystem)
		key = cells.AppendLabel(key, s.Destination)
		a.key = cells.AppendDims(cells.AppendLabel(key, messagingKinds[s.Kind-model.KindProducer]), sv.dims)
		a.tallyCall(model.TableMessaging, s, o)
	}
}

// stagedException is an exception of a span until the record ends.
type stagedException struct {
	cells.Tallied
	from, to     int        // its key in excKeys
	group        dedup.Hash // service, type and message
	span, parent [8]byte
	again        bool
}

// exception stages an exception. It is counted when the record has ended: then it is known whether a span below recorded the same.
func (a *Accumulator) exception(r *model.Resource, s *model.Span, sv *service, e *model.Exception, o *model.Observation) {
	from := len(a.excKeys)
	key := cells.AppendLabel(a.excKeys, r.Service)
	key = cells.AppendLabel(key, s.Name)
	kind := len(key)
	key = cells.AppendLabel(key, e.Type)
	key = cells.AppendLabel(key, drain.MessagePattern(e.Message))
	key = cells.AppendLabel(key, sourceSpan)
	a.excKeys = cells.AppendDims(key, sv.dims)
	x := stagedException{from: from, to: len(a.excKeys), span: o.Ex.SpanID, parent: o.Parent,
		Tallied: cells.Tallied{N: o.N, Failed: s.Status == model.StatusError, At: o.Ex.End, Ex: o.Ex, Text: cutText(e.Message)}}
	a.key = append(append(a.key[:0], a.excKeys[kind:]...), r.Service...)
	x.group = dedup.HashOf(append(a.key, o.Ex.TraceID[:]...))
	a.excs = append(a.excs, x)
}

// endExceptions counts the staged exceptions. One that runs up through the spans of a service is recorded by each of them; it is one, of
// the span where it began.
func (a *Accumulator) endExceptions() {
	if len(a.excs) > 1 {
		a.findRepeated()
	}
	for i := range a.excs {
		if x := &a.excs[i]; !x.again {
			a.key = append(a.key[:0], a.excKeys[x.from:x.to]...)
			a.tally(model.TableErrors, x.Tallied)
		}
	}
}

// maxAncestors bounds how far up an exception is followed.
const maxAncestors = 1000

func (a *Accumulator) findRepeated() {
	type place struct {
		group dedup.Hash
		span  [8]byte
	}
	at := make(map[place][]*stagedException, len(a.excs))
	groups := map[dedup.Hash]int{}
	for i := range a.excs {
		x := &a.excs[i]
		at[place{x.group, x.span}] = append(at[place{x.group, x.span}], x)
		groups[x.group]++
	}
	if len(groups) == len(a.excs) {
		return
	}
	parents := make(map[[8]byte][8]byte, len(a.staged))
	for i := range a.staged {
		parents[a.staged[i].Ex.SpanID] = a.staged[i].Parent
	}
	for i := range a.excs {
		x := &a.excs[i]
		if groups[x.group] == 1 {
			continue
		}
		span, ok := x.parent, true
		for n := 0; ok && n < maxAncestors && span != ([8]byte{}) && span != x.span; n++ {
			for _, above := range at[place{x.group, span}] {
				above.again = true
			}
			span, ok = parents[span]
		}
	}
}

var (
	sourceSpan     = []byte("span")
	sourceLog      = []byte("log")
	messagingKinds = [2][]byte{[]byte("producer"), []byte("consumer")}
)

// tallyCall stages a span under a.key.
func (a *Accumulator) tallyCall(t model.Table, s *model.Span, o *model.Observation) {
	a.tally(t, cells.Tallied{N: o.N, Size: uint64(o.Size), Failed: s.Status == model.StatusError, Timed: true, Hist: o.Hist, At: o.Ex.End,
		Ex: o.Ex})
}

// tally stages an observation under a.key.
func (a *Accumulator) tally(t model.Table, o cells.Tallied) {
	var over bool
	o.Cell, over = a.cur.Tables[t].Cell(a.shared.Dicts[t], a.key, model.BucketStart(o.At))
	if over {
		a.counts.Overflowed++
	}
	a.tallied = append(a.tallied, o)
}

// version counts a span for its service's version. Spans of a resource come together, so the last count is nearly always the one.
func (a *Accumulator) version(r *model.Resource, s *model.Span, sv *service, o *model.Observation) {
	bucket := model.BucketStart(o.Ex.End)
	n := len(a.versions)
	if n == 0 || !a.versions[n-1].is(r, sv, bucket, s.Status == model.StatusError) {
		a.key = cells.AppendDims(cells.AppendLabel(cells.AppendLabel(a.key[:0], r.Service), r.Version), sv.dims)
		v := versionSeen{service: sv, version: r.Version, bucket: bucket,
			Tallied: cells.Tallied{Failed: s.Status == model.StatusError, At: o.Ex.End}}
		v.Cell, _ = a.cur.Tables[model.TableVersions].Cell(a.shared.Dicts[model.TableVersions], a.key, bucket)
		a.versions = append(a.versions, v)
		n++
	}
	v := &a.versions[n-1]
	v.N += o.N
	v.Size += uint64(o.Size)
	v.At, v.last = min(v.At, o.Ex.End), max(v.last, o.Ex.End)
}

func (v *versionSeen) is(r *model.Resource, sv *service, bucket int64, failed bool) bool {
	return v.bucket == bucket && v.Failed == failed && v.service == sv && string(v.version) == string(r.Version)
}

// maxText bounds a sample text, in bytes.
const maxText = 1024

func cutText(b []byte) string { return string(b[:min(len(b), maxText)]) }
