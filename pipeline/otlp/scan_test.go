package otlp

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/model"
)

// text lists what a scan found, a span a line.
func scanText(b []byte) (string, error) {
	var out bytes.Buffer
	dims, err := model.NewDimensions([]string{"deployment.environment.name"})
	if err != nil {
		return "", err
	}
	dim := func(list []model.DimensionValue) []byte {
		if len(list) == 0 {
			return nil
		}
		return list[0].Value
	}
	err = ScanSpansWith(dims, b, 1<<20, func(r *model.Resource, s *model.Span) {
		var exceptions strings.Builder
		for _, e := range s.Exceptions {
			fmt.Fprintf(&exceptions, "%q %q;", e.Type, e.Message)
		}
		fmt.Fprintf(&out, "%q %v %q %q | %x %x %x %q %d %d %d %d %q | %q %q %q %q %q %q %q %q %q %q %q %q %q %q %q\n",
			r.Service, r.HasService, r.DBName, r.DBNamespace, s.TraceID, s.SpanID, s.ParentID, s.Name, s.Start, s.End, s.Kind, s.Status,
			s.TraceState, s.PeerService, s.DBName, s.DBNamespace, s.DBSystemName, s.DBSystem, s.ServerAddress, s.NetPeerName,
			s.Destination, r.Version, s.MessagingSystem, s.DBOperation, s.DBCollection, exceptions.String(), dim(r.Dims),
			dim(s.Dims))
	})
	return out.String(), err
}

// pdataText is the same by way of pdata's objects.
func pdataText(b []byte) (string, error) {
	var u ptrace.ProtoUnmarshaler
	td, err := u.UnmarshalTraces(b)
	if err != nil {
		return "", err
	}
	var out bytes.Buffer
	get := func(m pcommon.Map, k string) string {
		v, ok := m.Get(k)
		if !ok {
			return ""
		}
		return textOfValue(v)
	}
	for _, rs := range td.ResourceSpans().All() {
		ra := rs.Resource().Attributes()
		_, has := ra.Get("service.name")
		for _, ss := range rs.ScopeSpans().All() {
			for _, s := range ss.Spans().All() {
				a := s.Attributes()
				tid, sid, pid := s.TraceID(), s.SpanID(), s.ParentSpanID()
				var exceptions strings.Builder
				for _, e := range s.Events().All() {
					if e.Name() == "exception" {
						fmt.Fprintf(&exceptions, "%q %q;", get(e.Attributes(), "exception.type"), get(e.Attributes(), "exception.message"))
					}
				}
				best := func(m pcommon.Map, names ...string) string { // of the names that it had, the current one first
					for _, n := range names {
						if v, ok := m.Get(n); ok {
							return textOfValue(v)
						}
					}
					return ""
				}
				env := []string{"deployment.environment.name", "deployment.environment"}
				fmt.Fprintf(&out, "%q %v %q %q | %x %x %x %q %d %d %d %d %q | %q %q %q %q %q %q %q %q %q %q %q %q %q %q %q\n",
					get(ra, "service.name"), has, get(ra, "db.name"), get(ra, "db.namespace"), tid[:], sid[:], pid[:], s.Name(),
					uint64(s.StartTimestamp()), uint64(s.EndTimestamp()), min(uint32(s.Kind()), 255), min(uint32(s.Status().Code()), 255),
					s.TraceState().AsRaw(), get(a, "peer.service"), get(a, "db.name"), get(a, "db.namespace"), get(a, "db.system.name"),
					get(a, "db.system"), get(a, "server.address"), get(a, "net.peer.name"),
					best(a, "messaging.destination.name", "messaging.destination"), get(ra, "service.version"),
					get(a, "messaging.system"), best(a, "db.operation.name", "db.operation"),
					best(a, "db.collection.name", "db.sql.table", "db.mongodb.collection", "db.cassandra.table",
						"db.cosmosdb.container"), exceptions.String(), best(ra, env...), best(a, env...))
			}
		}
	}
	return out.String(), nil
}

func textOfValue(v pcommon.Value) string {
	if v.Type() == pcommon.ValueTypeStr {
		return v.Str()
	}
	return attr.Text(v)
}

// compare holds the scan to pdata: the same fields for every input pdata takes, an error for the rest.
func compare(t *testing.T, b []byte) {
	t.Helper()
	got, err := scanText(b)
	if errors.Is(err, ErrNesting) {
		return // pdata allows more
	}
	want, perr := pdataText(b)
	if (err == nil) != (perr == nil) {
		t.Fatalf("scan error %v, pdata error %v\ninput %x", err, perr, b)
	}
	if err == nil && got != want {
		t.Fatalf("scan found\n%spdata found\n%sinput %x", got, want, b)
	}
}

func randomTraces(r *rand.Rand) []byte {
	keys := []string{"service.name", "peer.service", "db.name", "db.namespace", "db.system.name", "db.system", "server.address",
		"net.peer.name", "messaging.destination.name", "http.route", "k", "service.version", "messaging.system", "db.operation",
		"db.operation.name", "db.collection.name", "exception.type", "exception.message", "db.sql.table", "db.mongodb.collection",
		"messaging.destination", "deployment.environment", "deployment.environment.name"}
	td := ptrace.NewTraces()
	value := func(v pcommon.Value) {
		switch r.IntN(9) {
		case 0:
			v.SetInt(r.Int64())
		case 1:
			v.SetBool(r.IntN(2) == 0)
		case 2:
			v.SetDouble([]float64{r.NormFloat64(), math.NaN(), math.Inf(-1)}[r.IntN(3)])
		case 3:
			v.SetEmptySlice().AppendEmpty().SetStr("x")
		case 4:
			v.SetEmptyMap().PutInt("y", 3)
		case 5:
			v.SetEmptyBytes().FromRaw([]byte{1, 2})
		case 6:
			v.SetStr(string(bytes.Repeat([]byte("long "), 60)))
		default:
			v.SetStr(fmt.Sprint("value-", r.IntN(100)))
		}
	}
	fill := func(m pcommon.Map, n int) {
		for range n {
			value(m.PutEmpty(keys[r.IntN(len(keys))]))
		}
	}
	for range 1 + r.IntN(3) {
		rs := td.ResourceSpans().AppendEmpty()
		rs.SetSchemaUrl("https://opentelemetry.io/schemas/1.27.0")
		fill(rs.Resource().Attributes(), r.IntN(5))
		for range r.IntN(3) {
			ss := rs.ScopeSpans().AppendEmpty()
			ss.Scope().SetName("scope")
			fill(ss.Scope().Attributes(), r.IntN(2))
			for range r.IntN(4) {
				s := ss.Spans().AppendEmpty()
				s.SetName(fmt.Sprint("op", r.IntN(10)))
				s.SetTraceID(pcommon.TraceID{1, byte(r.IntN(256))})
				s.SetSpanID(pcommon.SpanID{2, byte(r.IntN(256))})
				if r.IntN(2) == 0 {
					s.SetParentSpanID(pcommon.SpanID{3})
				}
				s.SetKind(ptrace.SpanKind(r.IntN(7)))
				s.SetStartTimestamp(pcommon.Timestamp(r.Uint64()))
				s.SetEndTimestamp(pcommon.Timestamp(r.Uint64()))
				s.Status().SetCode(ptrace.StatusCode(r.IntN(4)))
				s.Status().SetMessage("m")
				s.TraceState().FromRaw("ot=th:8")
				s.SetFlags(r.Uint32())
				fill(s.Attributes(), r.IntN(12))
				for range r.IntN(3) {
					e := s.Events().AppendEmpty()
					e.SetName([]string{"exception", "retry"}[r.IntN(2)])
					fill(e.Attributes(), r.IntN(5))
				}
				fill(s.Links().AppendEmpty().Attributes(), 1)
			}
		}
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	if err != nil {
		panic(err)
	}
	return b
}

func TestScanAgreesWithPdata(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 3000 {
		b := randomTraces(r)
		compare(t, b)
		for range 4 { // and broken
			c := bytes.Clone(b)
			switch r.IntN(3) {
			case 0:
				c = c[:r.IntN(len(c))]
			case 1:
				c[r.IntN(len(c))] = byte(r.IntN(256))
			case 2:
				i := r.IntN(len(c))
				c = append(c[:i:i], append([]byte{byte(r.IntN(256))}, c[i:]...)...)
			}
			compare(t, c)
		}
	}
}

func TestScanLimits(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	v := rs.Resource().Attributes().PutEmpty("deep")
	for range 40 {
		v = v.SetEmptySlice().AppendEmpty()
	}
	ss := rs.ScopeSpans().AppendEmpty()
	for range 5 {
		ss.Spans().AppendEmpty()
	}
	var m ptrace.ProtoMarshaler
	b, _ := m.MarshalTraces(td)
	if err := ScanSpans(b, 5, func(*model.Resource, *model.Span) {}); !errors.Is(err, ErrNesting) {
		t.Errorf("nested value: %v", err)
	}
	rs.Resource().Attributes().Clear()
	b, _ = m.MarshalTraces(td)
	if err := ScanSpans(b, 5, func(*model.Resource, *model.Span) {}); err != nil {
		t.Errorf("five spans: %v", err)
	}
	if err := ScanSpans(b, 4, func(*model.Resource, *model.Span) {}); !errors.Is(err, ErrTooManySpans) {
		t.Errorf("five spans, four allowed: %v", err)
	}
}

func TestScanDoesNotAllocate(t *testing.T) {
	td := ptrace.NewTraces()
	rs := td.ResourceSpans().AppendEmpty()
	rs.Resource().Attributes().PutStr("service.name", "web")
	s := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	s.SetName("GET /")
	s.Attributes().PutStr("http.route", "/")
	s.Attributes().PutInt("http.response.status_code", 200)
	var m ptrace.ProtoMarshaler
	b, _ := m.MarshalTraces(td)
	n := 0
	f := func(*model.Resource, *model.Span) { n++ }
	if a := testing.AllocsPerRun(100, func() { _ = ScanSpans(b, 10, f) }); a > 1 {
		t.Errorf("%v allocations a record of one span, want at most the scanner", a)
	}
	if n == 0 {
		t.Error("no span")
	}
}

func FuzzScan(f *testing.F) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		f.Add(randomTraces(r))
	}
	f.Fuzz(func(t *testing.T, b []byte) { compare(t, b) })
}
