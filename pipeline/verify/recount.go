package verify

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"
	"github.com/zeebo/xxh3"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
)

// Rules are the settings that decide how records count.
type Rules struct {
	Dimensions []string
	// Pairing is how long a side of a call waits for the other.
	Pairing time.Duration
	// Dedup is how far apart equal records are one sent again; negative: they all count. Spans: equal spans too.
	Dedup time.Duration
	Spans bool
	// Tolerance is how far beyond its record's timestamp something may lie.
	Tolerance time.Duration
	// MaxSpans is how many spans or lines a record may hold.
	MaxSpans int
	// MaxBytes bounds what one minute takes in memory (0: 256 MiB). Half of it is for calls: with more of them, they are not compared.
	MaxBytes int64
}

// entryBytes is about what a cell, the hash of a record or a side of a call takes.
const entryBytes = 100

func (r *Rules) maxEntries() int { return int(cmp.Or(r.MaxBytes, 256<<20) / entryBytes) }

// ErrLarge is wrapped when a minute holds more than the memory for it.
var ErrLarge = errors.New("the minute holds more records or cells than there is memory for")

// fits is the error of a recount that takes more than its memory.
func (c *recount) fits() error {
	n := len(c.red) + len(c.edges) + len(c.lines) + len(c.records) + len(c.spans)
	if most := c.maxEntries() / 2; n > most {
		return fmt.Errorf("%w: %d, at most %d", ErrLarge, n, most)
	}
	return nil
}

// recount is what the topics hold of a window.
type recount struct {
	Rules
	from, to uint64 // Unix nanoseconds
	width    int64  // of cells, seconds

	red   map[redKey]*count
	edges map[edgeKey]*count
	lines map[lineKey]*count
	calls calls

	records map[[16]byte]copies
	spans   map[[16]byte]copies
	late    time.Duration // how long after its end the last span of the window came
}

// copies are the timestamps, Unix milliseconds, at which something came.
type copies struct{ first, last int64 }

func newRecount(r Rules, w Window, width time.Duration, only map[callID]bool) *recount {
	return &recount{Rules: r, from: uint64(w.From.UnixNano()), to: uint64(w.To.UnixNano()), width: int64(width / time.Second),
		red: map[redKey]*count{}, edges: map[edgeKey]*count{}, lines: map[lineKey]*count{},
		calls:   newCalls(only, r.maxEntries()/2),
		records: map[[16]byte]copies{}, spans: map[[16]byte]copies{}}
}

// arrival is when a record came.
type arrival struct {
	ms        int64   // its timestamp, Unix milliseconds
	uncertain bool    // the order of arrival may decide whether it counts
	copies    *copies // it came before; nil: it did not
}

// again notes what came before, and counts nothing. What came in copies further apart than the window is uncertain: it counts as often as
// the order of arrival says.
func (c *recount) again(seen map[[16]byte]copies, id [16]byte, at *arrival) {
	s, ok := seen[id]
	if !ok {
		seen[id] = copies{at.ms, at.ms}
		return
	}
	s.first, s.last = min(s.first, at.ms), max(s.last, at.ms)
	seen[id] = s
	at.copies = &s
	at.uncertain = at.uncertain || s.last-s.first > c.Dedup.Milliseconds()
}

// moved returns the arrivals at which the time of a copy is not what it is at this one: a clock that is ahead of the record's timestamp is
// held against that of whichever came first.
func (a arrival) moved(time func(ms int64) uint64) (list []arrival) {
	for _, ms := range []int64{a.copies.first, a.copies.last} {
		if time(ms) != time(a.ms) {
			list = append(list, arrival{ms: ms, uncertain: true})
		}
	}
	if len(list) > 0 {
		list = append(list, arrival{ms: a.ms, uncertain: true})
	}
	return list
}

// traces counts the spans of a record. identity is what it has in common with copies of itself.
func (c *recount) traces(td ptrace.Traces, identity []byte, at arrival) {
	if td.SpanCount() > c.MaxSpans {
		return
	}
	if c.Dedup >= 0 {
		c.again(c.records, xxh3.Hash128(identity).Bytes(), &at)
	}
	for _, rs := range td.ResourceSpans().All() {
		res := c.resource(rs.Resource().Attributes())
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				if res.named {
					c.span(&res, s, at)
				}
			}
		}
	}
}

// resource is what counting needs of a resource.
type resource struct {
	attrs   pcommon.Map
	service string
	named   bool
	dims    string
}

func (c *recount) resource(m pcommon.Map) resource {
	name, ok := m.Get("service.name")
	r := resource{attrs: m, named: ok, dims: c.dims(m, pcommon.Map{}, false)}
	if ok {
		r.service = clean(attr.Text(name), maxName)
	}
	return r
}

// Lengths, in bytes, at which names and the values of dimensions are cut.
const (
	maxName      = 1024
	maxDimension = 128
)

// clean is a name as views show it: valid UTF-8 of bounded length.
func clean(s string, limit int) string {
	if len(s) <= limit && utf8.ValidString(s) {
		return s
	}
	if len(s) > limit {
		end := limit
		for back := 1; back <= utf8.UTFMax; back++ { // not within a character
			if utf8.RuneStart(s[limit-back]) {
				if !utf8.FullRuneInString(s[limit-back : limit]) {
					end = limit - back
				}
				break
			}
		}
		s = s[:end]
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}

// dims are the values of the dimensions, as text; span is looked at first, if there is one.
func (c *recount) dims(res, span pcommon.Map, has bool) string {
	text := strings.Builder{}
	for _, name := range c.Dimensions {
		value, ok := "", false
		if has {
			value, ok = dimension(span, name)
		}
		if !ok {
			value, _ = dimension(res, name)
		}
		if value == "" {
			continue
		}
		if text.Len() > 0 {
			text.WriteByte(',')
		}
		text.WriteString(name + "=" + value)
	}
	return text.String()
}

func dimension(m pcommon.Map, name string) (string, bool) {
	v, ok := m.Get(name)
	if !ok && name == "deployment.environment.name" {
		v, ok = m.Get("deployment.environment")
	}
	if !ok {
		return "", false
	}
	return clean(attr.Text(v), maxDimension), true
}

// ofSpan are the dimensions of a span: those of its resource, but for what it names itself.
func (c *recount) ofSpan(r *resource, s ptrace.Span) string {
	for _, name := range c.Dimensions {
		if _, ok := dimension(s.Attributes(), name); ok {
			return c.dims(r.attrs, s.Attributes(), true)
		}
	}
	return r.dims
}

// span counts a span of a service.
func (c *recount) span(r *resource, s ptrace.Span, at arrival) {
	start, end := c.times(s, at.ms)
	inside := end >= c.from && end < c.to
	if at.copies == nil && !inside && !c.calls.wants(s) {
		return
	}
	if c.Spans && c.Dedup >= 0 && at.copies == nil && !at.uncertain {
		c.again(c.spans, spanID(r, s), &at)
	}
	if at.copies != nil {
		for _, a := range at.moved(func(ms int64) uint64 { _, end := c.times(s, ms); return end }) {
			c.span(r, s, a)
		}
		if !at.uncertain {
			return
		}
	}
	dims, d := c.ofSpan(r, s), end-start
	kind, status := uint8(s.Kind()), uint8(s.Status().Code())
	if int(kind) >= len(kinds) || s.Kind() < 0 || s.Kind() >= 256 {
		kind = 0
	}
	if int(status) >= len(statuses) || s.Status().Code() < 0 || s.Status().Code() >= 256 {
		status = 0
	}
	if inside {
		c.late = max(c.late, time.Duration(at.ms*1e6-int64(end)))
		n := adjusted(s)
		k := redKey{service: r.service, operation: clean(s.Name(), maxName), dims: dims, kind: kind, status: status, bucket: c.bucket(end)}
		add(c.red, k, count{n: n, sum: d * n, shape: shape(d, n), uncertain: at.uncertain})
	}
	c.half(r, s, named{r.service, dims}, end, d, at)
}

func add[K comparable](m map[K]*count, k K, c count) {
	have := m[k]
	if have == nil {
		have = &count{}
		m[k] = have
	}
	have.add(c)
}

func (c *recount) bucket(t uint64) int64 { return int64(t/1e9) / c.width * c.width }

// times are the start and the end with which a span of a record counts.
func (c *recount) times(s ptrace.Span, ms int64) (start, end uint64) {
	start, end = uint64(s.StartTimestamp()), uint64(s.EndTimestamp())
	came := uint64(max(0, ms)) * 1e6
	latest := came + uint64(c.Tolerance)
	known := came > 0
	if end > start && end-start > uint64(365*24*time.Hour) && known && end > latest {
		end = 0 // as far away as can be written: no end
	}
	switch {
	case start == 0 && end == 0:
		return came, came
	case end == 0:
		end = start
	}
	if newest := max(start, end); known && newest > latest {
		by := newest - came
		start, end = start-min(start, by), end-min(end, by)
	}
	return min(start, end), end
}

// adjusted is how many spans a sampled one stands for.
func adjusted(s ptrace.Span) uint64 {
	state := s.TraceState().AsRaw()
	if !strings.Contains(state, "ot=") {
		return 1
	}
	w3c, err := sampling.NewW3CTraceState(state)
	if err != nil {
		return 1
	}
	th, ok := w3c.OTelValue().TValueThreshold()
	if !ok || th.Unsigned() >= sampling.MaxAdjustedCount {
		return 1
	}
	of := sampling.MaxAdjustedCount - th.Unsigned()
	n, rest := sampling.MaxAdjustedCount/of, sampling.MaxAdjustedCount%of
	if rest == 0 {
		return n
	}
	id := s.TraceID()
	mix := (binary.BigEndian.Uint64(id[:8]) ^ binary.BigEndian.Uint64(id[8:])*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
	if (mix^mix>>33)%of < rest {
		n++
	}
	return n
}

// spanID is what copies of a span have in common.
func spanID(r *resource, s ptrace.Span) [16]byte {
	trace, span := s.TraceID(), s.SpanID()
	b := append(append([]byte{}, trace[:]...), span[:]...)
	b = binary.BigEndian.AppendUint64(b, uint64(s.StartTimestamp()))
	b = binary.BigEndian.AppendUint64(b, uint64(s.EndTimestamp()))
	b = append(b, byte(s.Kind()), byte(s.Status().Code()))
	b = append(append(append(b, r.service...), 0), s.Name()...)
	return xxh3.Hash128(b).Bytes()
}
