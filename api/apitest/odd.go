package apitest

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Together is traces as one batch; the others are empty after it.
func Together(list []ptrace.Traces) ptrace.Traces {
	out := ptrace.NewTraces()
	for _, td := range list {
		td.ResourceSpans().MoveAndAppendTo(out.ResourceSpans())
	}
	return out
}

// SpanInTrace is a span with what it belongs to, as a test's own search sees it.
type SpanInTrace struct {
	Res   pcommon.Map
	scope pcommon.InstrumentationScope
	Sp    ptrace.Span
}

// Tags are the maps that Jaeger's stores search by attributes.
func (s SpanInTrace) Tags() (list []pcommon.Map) {
	list = []pcommon.Map{s.Sp.Attributes(), s.scope.Attributes(), s.Res}
	for _, e := range s.Sp.Events().All() {
		list = append(list, e.Attributes())
	}
	for _, l := range s.Sp.Links().All() {
		list = append(list, l.Attributes())
	}
	return list
}

// OddTraces are traces of three services with attributes everywhere they may stand, spans of very different lengths, some of which begin
// long before others, in records that hold what ended in a second.
func OddTraces(r *rand.Rand, traces int) (records []ptrace.Traces, all map[[16]byte][]SpanInTrace) {
	all = map[[16]byte][]SpanInTrace{}
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	attributes := func(m pcommon.Map) {
		for range r.IntN(3) {
			switch r.IntN(5) {
			case 0:
				m.PutStr("k", pick("a", "b-1", "GET /x"))
			case 1:
				m.PutInt("n", int64(r.IntN(3)))
			case 2:
				m.PutBool("yes", r.IntN(2) == 0)
			case 3:
				m.PutStr("n", pick("1", "2"))
			case 4:
				m.PutEmptySlice("list").AppendEmpty().SetStr(pick("a", "b"))
			}
		}
	}
	records = make([]ptrace.Traces, traces+100)
	for i := range records {
		records[i] = ptrace.NewTraces()
	}
	for n := range traces {
		var id [16]byte
		binary.BigEndian.PutUint64(id[8:], uint64(n)+1)
		begin := 100e9 + uint64(n)*1e9
		for i := range r.IntN(4) + 1 {
			start := begin + uint64(r.IntN(5))*uint64(r.IntN(10e9))
			end := start + []uint64{0, 5e6, 50e6, 2e9, 30e9}[r.IntN(5)]
			rs := records[(end-100e9)/1e9].ResourceSpans().AppendEmpty()
			rs.Resource().Attributes().PutStr("service.name", pick("web", "cart", "mail"))
			attributes(rs.Resource().Attributes())
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName(pick("", "lib"))
			attributes(ss.Scope().Attributes())
			sp := ss.Spans().AppendEmpty()
			sp.SetTraceID(id)
			sp.SetSpanID([8]byte{byte(i + 1)})
			if i > 0 {
				sp.SetParentSpanID([8]byte{byte(r.IntN(i) + 1)})
			}
			sp.SetName(pick("get", "put"))
			sp.SetKind(ptrace.SpanKind(r.IntN(6)))
			sp.Status().SetCode(ptrace.StatusCode(r.IntN(3)))
			sp.SetStartTimestamp(pcommon.Timestamp(start))
			sp.SetEndTimestamp(pcommon.Timestamp(end))
			attributes(sp.Attributes())
			for range r.IntN(2) {
				e := sp.Events().AppendEmpty()
				e.SetTimestamp(sp.StartTimestamp())
				e.SetName("it happened")
				attributes(e.Attributes())
			}
			if r.IntN(4) == 0 {
				l := sp.Links().AppendEmpty()
				l.SetTraceID([16]byte{1})
				l.SetSpanID([8]byte{1})
				attributes(l.Attributes())
			}
			all[id] = append(all[id], SpanInTrace{rs.Resource().Attributes(), ss.Scope(), sp})
		}
	}
	return records, all
}

// oddValues puts what JSON has no number for, and what is often got wrong, into attributes.
func oddValues(m pcommon.Map) {
	m.PutDouble("ratio", math.NaN())
	m.PutDouble("up", math.Inf(1))
	m.PutDouble("down", math.Inf(-1))
	m.PutInt("large", 1<<53+1)
	m.PutEmptyBytes("bytes").FromRaw([]byte{0xff})
	m.PutEmpty("nothing")
	m.PutEmptySlice("list").AppendEmpty().SetDouble(math.NaN())
	m.PutEmptyMap("map").PutEmptyMap("in").PutDouble("ratio", math.NaN())
	v := m.PutEmpty("deep")
	for range 30 {
		v = v.SetEmptySlice().AppendEmpty()
	}
}

// OddSpans is OTLP of two traces with odd values.
func OddSpans(t testing.TB) []byte {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "odd")
	oddValues(rs.Resource().Attributes())
	ss := rs.ScopeSpans().AppendEmpty()
	for i := range byte(2) {
		sp := ss.Spans().AppendEmpty()
		sp.SetTraceID([16]byte{15: 1 + i})
		sp.SetSpanID([8]byte{7: 1})
		sp.SetName("rate")
		sp.SetKind(ptrace.SpanKindServer)
		sp.SetStartTimestamp(40e9)
		sp.SetEndTimestamp(41e9)
		if i == 0 {
			oddValues(sp.Attributes())
			oddValues(sp.Events().AppendEmpty().Attributes())
		}
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	require.NoError(t, err)
	return b
}

// OddLines is OTLP of log lines with odd values.
func OddLines(t testing.TB) []byte {
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "odd")
	oddValues(rl.Resource().Attributes())
	sl := rl.ScopeLogs().AppendEmpty()
	l := sl.LogRecords().AppendEmpty()
	l.SetTimestamp(40e9)
	l.Body().SetEmptyMap().PutDouble("ratio", math.NaN())
	oddValues(l.Attributes())
	l = sl.LogRecords().AppendEmpty()
	l.SetTimestamp(41e9)
	l.Body().SetStr("the next line")
	var m plog.ProtoMarshaler
	b, err := m.MarshalLogs(ld)
	require.NoError(t, err)
	return b
}
