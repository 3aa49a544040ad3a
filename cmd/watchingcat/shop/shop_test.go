package shop

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

func requests(t *testing.T, seed uint64, f *Fault) [][]byte {
	t.Helper()
	s := New(seed)
	s.Break(f)
	at := time.Unix(1_700_000_000, 0)
	n := 0
	for i := range 200 {
		n += s.Request(at.Add(time.Duration(i) * time.Millisecond))
	}
	if n != s.Spans() {
		t.Fatalf("requests made %d spans, %d wait", n, s.Spans())
	}
	out, err := s.Take(3)
	require.NoError(t, err)
	return out
}

func TestSameSeedSameBytes(t *testing.T) {
	a, b := requests(t, 7, nil), requests(t, 7, nil)
	if !bytes.Equal(bytes.Join(a, nil), bytes.Join(b, nil)) {
		t.Error("two shops with one seed differ")
	}
	if bytes.Equal(bytes.Join(a, nil), bytes.Join(requests(t, 8, nil), nil)) {
		t.Error("two seeds give the same")
	}
}

// TestShape: about twenty services, every kind of call, nothing ends after the request does, and a fault shows where it is.
func TestShape(t *testing.T) {
	services, kinds := map[string]int{}, map[ptrace.SpanKind]int{}
	failed := map[string]int{}
	for _, b := range requests(t, 1, &Fault{Service: "payment", ErrorRate: 0.5, Slower: 5}) {
		var u ptrace.ProtoUnmarshaler
		td, err := u.UnmarshalTraces(b)
		require.NoError(t, err)
		for _, rs := range td.ResourceSpans().All() {
			name, _ := rs.Resource().Attributes().Get("service.name")
			for _, s := range rs.ScopeSpans().At(0).Spans().All() {
				services[name.Str()]++
				kinds[s.Kind()]++
				if s.EndTimestamp() < s.StartTimestamp() || s.EndTimestamp().AsTime().After(time.Unix(1_700_000_001, 0)) {
					t.Fatalf("%s runs from %v to %v", s.Name(), s.StartTimestamp().AsTime(), s.EndTimestamp().AsTime())
				}
				if s.Status().Code() == ptrace.StatusCodeError {
					failed[name.Str()]++
				}
			}
		}
	}
	if len(services) < 18 {
		t.Errorf("%d services, want about twenty: %v", len(services), services)
	}
	for _, k := range []ptrace.SpanKind{ptrace.SpanKindServer, ptrace.SpanKindClient, ptrace.SpanKindProducer, ptrace.SpanKindConsumer} {
		if kinds[k] == 0 {
			t.Errorf("no span of kind %v", k)
		}
	}
	if failed["payment"] == 0 || failed["checkout"] == 0 || failed["frontend"] == 0 || failed["search"] > 5 {
		t.Errorf("failed spans by service %v: want payment and those who wait for it", failed)
	}
}

// TestMetrics: measuring changes no span, the same seed and times give the same bytes, and deltas add up.
func TestMetrics(t *testing.T) {
	run := func(measure bool) (spans, metrics []byte, orders int64) {
		s := New(3)
		at := time.Unix(1_700_000_000, 0)
		if measure {
			s.Measure(at)
		}
		for range 3 {
			for range 100 {
				at = at.Add(10 * time.Millisecond)
				s.Request(at)
			}
			out, err := s.Take(2)
			require.NoError(t, err)
			b, err := s.Metrics(at)
			require.NoError(t, err)
			spans, metrics = append(spans, bytes.Join(out, nil)...), append(metrics, b...)
			var u pmetric.ProtoUnmarshaler
			md, err := u.UnmarshalMetrics(b)
			require.NoError(t, err)
			for _, rm := range md.ResourceMetrics().All() {
				for _, m := range rm.ScopeMetrics().At(0).Metrics().All() {
					if m.Name() == "shop.orders.placed" {
						orders += m.Sum().DataPoints().At(0).IntValue()
					}
				}
			}
		}
		return spans, metrics, orders
	}
	spans, metrics, orders := run(true)
	again, same, _ := run(true)
	plain, none, _ := run(false)
	if !bytes.Equal(spans, again) || !bytes.Equal(metrics, same) || !bytes.Equal(spans, plain) || len(none) > 0 {
		t.Error("spans or metrics are not a function of seed and times")
	}
	if orders < 5 || orders > 100 {
		t.Errorf("%d orders in 300 requests", orders)
	}
}
