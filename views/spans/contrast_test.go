package spans

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// resourceWith is a resource with the attributes and one span, which fill completes.
func resourceWith(attributes map[string]string, fill func(sp ptrace.Span)) (pcommon.Resource, ptrace.Span) {
	rs := ptrace.NewTraces().ResourceSpans().AppendEmpty()
	for k, v := range attributes {
		rs.Resource().Attributes().PutStr(k, v)
	}
	sp := rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
	sp.SetName("Charge")
	if fill != nil {
		fill(sp)
	}
	return rs.Resource(), sp
}

func TestContrastFindsTheAttributeOfSlowSpans(t *testing.T) {
	c := NewContrast(false)
	for i := range 1000 {
		version, slow := "1.4", i%10 == 0
		if i%90 == 1 || slow {
			version = "1.5" // all slow ones, and a few others
		}
		res, sp := resourceWith(map[string]string{"service.version": version, "host.name": fmt.Sprint("node-", i%7)}, func(sp ptrace.Span) {
			sp.Attributes().PutStr("session.id", fmt.Sprint("s-", i)) // of each span another
			sp.Attributes().PutInt("payload.bytes", int64(100+i))
			if slow {
				sp.Attributes().PutInt("http.response.status_code", 504)
			}
		})
		c.Add(res, sp, slow)
	}
	all := c.Differences(10)
	require.EqualValues(t, 100, all.Selected)
	require.EqualValues(t, 900, all.Others)
	list := all.List
	require.Len(t, list, 2, "%+v", list) // the session and the host explain nothing
	require.Equal(t, "service.version", list[0].Key)
	require.Equal(t, ScopeResource, list[0].Scope)
	require.Equal(t, Value{"1.5", IsEqual, 100, 12, 1, 0.0133, "resource.service.version=1.5"}, list[0].Values[0])
	require.Equal(t, Value{"1.4", IsEqual, 0, 888, 0, 0.9867, "resource.service.version=1.4"}, list[0].Values[1])
	require.Greater(t, list[0].Information, 0.8)
	require.Equal(t, "http.response.status_code", list[1].Key)
	require.True(t, list[1].Outcome, "how a span ended comes last, however much it says")
}

func TestContrastFindsThresholdsOfNumbers(t *testing.T) {
	c := NewContrast(false)
	for i := range 1000 {
		items := i % 100
		res, sp := resourceWith(nil, func(sp ptrace.Span) { sp.Attributes().PutInt("cart.items", int64(items)) })
		c.Add(res, sp, items >= 64)
	}
	list := c.Differences(10).List
	require.Len(t, list, 1)
	require.Equal(t, Value{"64", IsAtLeast, 360, 0, 1, 0, "cart.items>=64"}, list[0].Values[0])
}

func TestContrastFindsWhatIsMissing(t *testing.T) {
	c := NewContrast(false)
	for i := range 400 {
		res, sp := resourceWith(nil, func(sp ptrace.Span) {
			if i%4 != 0 {
				sp.Attributes().PutStr("cache.key", fmt.Sprint("product-", i))
			}
		})
		c.Add(res, sp, i%4 == 0)
	}
	list := c.Differences(10).List
	require.Len(t, list, 1)
	require.Equal(t, Value{"", IsMissing, 100, 0, 1, 0, ""}, list[0].Values[0])
}

// Charge fails, and has attributes that Score has not. What differs is what differs among the calls of Charge.
func TestContrastByOperation(t *testing.T) {
	of := func(byOperation bool) (keys []string) {
		c := NewContrast(byOperation)
		for i := range 900 {
			name, failed, pod := "Score", false, fmt.Sprint("pod-", i%2)
			if i%3 == 0 {
				name, failed = "Charge", i%12 == 0
				if pod = "pod-0"; !failed {
					pod = fmt.Sprint("pod-", i%5)
				}
			}
			res, sp := resourceWith(map[string]string{"k8s.pod.name": pod}, func(sp ptrace.Span) {
				sp.SetName(name)
				if name == "Charge" {
					sp.Attributes().PutStr("app.currency", []string{"EUR", "USD"}[i/3%2])
					sp.Attributes().PutStr("rpc.method", "Charge")
				}
			})
			c.Add(res, sp, failed)
		}
		for _, d := range c.Differences(10).List {
			keys = append(keys, d.Key)
		}
		return keys
	}
	require.Contains(t, of(false), "rpc.method")
	require.Equal(t, []string{"k8s.pod.name", "app.currency"}, of(true)) // every fourth Charge fails, which is one of a currency
}

func TestContrastIsSilentAboutChance(t *testing.T) {
	c := NewContrast(false)
	for i := range 5000 {
		res, sp := resourceWith(map[string]string{"pod": fmt.Sprint(i * 7919 % 13)}, nil)
		c.Add(res, sp, i*104729%11 == 0)
	}
	require.Empty(t, c.Differences(10).List)
}

func TestContrastWithTooFewSpans(t *testing.T) {
	c := NewContrast(false)
	for i := range 100 {
		res, sp := resourceWith(map[string]string{"v": fmt.Sprint(i < 4)}, nil)
		c.Add(res, sp, i < 4)
	}
	require.Empty(t, c.Differences(10).List, "four spans show nothing")
}

func TestContrastBounds(t *testing.T) {
	c := NewContrast(false)
	long := strings.Repeat("é", maxText) // twice as many bytes
	for i := range 3 * maxValues {
		res, sp := resourceWith(nil, func(sp ptrace.Span) {
			sp.Attributes().PutStr("id", fmt.Sprint(i))
			sp.Attributes().PutStr(fmt.Sprint("key-", i), "x")
			sp.Attributes().PutStr("body", fmt.Sprint(i, long))
			sp.Attributes().PutStr("\xff", "\xff")
			sp.Attributes().PutStr("bytes", "\xff")
		})
		c.Add(res, sp, i%2 == 0)
	}
	require.LessOrEqual(t, len(c.strata[operation{}].by), maxKeys)
	require.Len(t, c.strata[operation{}].by[key{ScopeSpan, "id"}].values, maxValues)
	require.EqualValues(t, 2*maxValues, c.strata[operation{}].by[key{ScopeSpan, "id"}].dropped.total())
	require.Empty(t, c.strata[operation{}].by[key{ScopeSpan, "body"}].values)
	require.Positive(t, c.bounds.dropped)
	require.Equal(t, map[string]split{"\uFFFD": {1500, 1500}}, c.strata[operation{}].by[key{ScopeSpan, "bytes"}].values)
	require.LessOrEqual(t, c.strata[operation{}].bytes, maxBytes)
	require.Empty(t, c.Differences(10).List)
}

func TestPower(t *testing.T) {
	for v, want := range map[float64]int16{-3: -1, 0: 0, 0.5: 0, 1: 1, 1.9: 1, 2: 2, 63: 6, 64: 7, 1e300: 997} {
		require.Equal(t, want, power(v), "%v", v)
	}
	require.EqualValues(t, 64, least(7))
}

func TestFacets(t *testing.T) {
	c := NewContrast(false)
	for i := range 100 {
		res, sp := resourceWith(map[string]string{"zone": fmt.Sprint(i % 2)}, func(sp ptrace.Span) {
			sp.Attributes().PutStr("request.id", fmt.Sprint(i))
			sp.Attributes().PutStr("a=b", "c") // no condition can name it
		})
		c.Add(res, sp, i < 10)
	}
	list := c.Facets(10, 3)
	require.Equal(t, Facet{Scope: ScopeResource, Key: "zone", Spans: 100, Distinct: 2, Values: []FacetValue{
		{"0", "resource.zone=0", 50, 5}, {"1", "resource.zone=1", 50, 5}}}, list[0])
	require.Equal(t, "request.id", list[1].Key)
	require.Equal(t, 100, list[1].Distinct)
	require.Len(t, list[1].Values, 3)
	require.Empty(t, list[2].Values[0].Condition)
	require.Len(t, c.Facets(2, 3), 2)
}

func TestConditions(t *testing.T) {
	for want, k := range map[string]key{"a=v": {ScopeSpan, "a"}, "resource.a=v": {ScopeResource, "a"}, "span.kind=v": {ScopeField, FieldKind},
		"span.name=v": {ScopeField, FieldName}} {
		require.Equal(t, want, k.condition(IsEqual, "v"))
	}
	for _, name := range []string{"a=b", "a!", " a", "a>"} {
		require.Empty(t, key{ScopeSpan, name}.condition(IsEqual, "v"), name)
	}
	require.Empty(t, key{ScopeSpan, "a"}.condition(IsMissing, ""))
}
