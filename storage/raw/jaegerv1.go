package raw

import (
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// The JSON API of Jaeger before /api/v3, which has no description but its code
// (https://www.jaegertracing.io/docs/2.0/architecture/apis/#internal-http-json).

type v1Trace struct {
	TraceID   string               `json:"traceID"`
	Spans     []v1Span             `json:"spans"`
	Processes map[string]v1Process `json:"processes"`
}

type v1Process struct {
	ServiceName string  `json:"serviceName"`
	Tags        []v1Tag `json:"tags"`
}

type v1Tag struct {
	Key   string          `json:"key"`
	Type  string          `json:"type"`
	Value json.RawMessage `json:"value"`
}

type v1Span struct {
	SpanID        string `json:"spanID"`
	ParentSpanID  string `json:"parentSpanID"` // of old versions
	OperationName string `json:"operationName"`
	References    []struct {
		RefType string `json:"refType"`
		TraceID string `json:"traceID"`
		SpanID  string `json:"spanID"`
	} `json:"references"`
	StartTime int64   `json:"startTime"` // Unix microseconds
	Duration  int64   `json:"duration"`  // microseconds
	Tags      []v1Tag `json:"tags"`
	Logs      []struct {
		Timestamp int64   `json:"timestamp"`
		Fields    []v1Tag `json:"fields"`
	} `json:"logs"`
	ProcessID string `json:"processID"`
}

// v1 reads the data of an answer, which is kept if all it is about happened before until.
func (j *Jaeger) v1(ctx context.Context, path string, q url.Values, until time.Time, into any) error {
	a, err := j.get(ctx, path, q, until)
	if err != nil {
		return err
	}
	defer a.done()
	var body struct {
		Data   json.RawMessage `json:"data"`
		Errors []struct {
			Msg string `json:"msg"`
		} `json:"errors"`
	}
	if err := json.Unmarshal(a.Body, &body); err != nil {
		return fmt.Errorf("jaeger %w: neither /api/v3 nor /%s is served there", ErrUnavailable, path)
	}
	switch {
	case a.Status == http.StatusNotFound:
		return ErrNotFound
	case a.Status != http.StatusOK:
		return fmt.Errorf("jaeger %w: %d %s", ErrUnavailable, a.Status, excerpt(a.Body))
	}
	if err := json.Unmarshal(body.Data, into); err != nil {
		return fmt.Errorf("jaeger %w: %w", ErrUnavailable, err)
	}
	return nil
}

func (j *Jaeger) traceV1(ctx context.Context, id string) (ptrace.Traces, error) {
	var data []v1Trace
	td := ptrace.NewTraces()
	err := j.v1(ctx, "api/traces/"+id, nil, time.Time{}, &data)
	for i := range data {
		err = errors.Join(err, data[i].appendTo(td))
	}
	if err == nil && td.SpanCount() == 0 {
		err = ErrNotFound
	}
	return td, err
}

// maxServices is how many services are searched one by one where a search needs one.
const maxServices = 50

func (j *Jaeger) searchV1(ctx context.Context, q TraceQuery) ([]Trace, error) {
	services := []string{q.Service}
	if q.Service == "" {
		if err := j.v1(ctx, "api/services", nil, time.Time{}, &services); err != nil {
			return nil, err
		}
		if len(services) > maxServices {
			return nil, fmt.Errorf("jaeger %w: this version searches one service at a time, and there are %d: give a service",
				ErrUnavailable, len(services))
		}
	}
	v := url.Values{"start": {strconv.FormatInt(q.From.UnixMicro(), 10)}, "end": {strconv.FormatInt(q.To.UnixMicro(), 10)},
		"limit": {strconv.Itoa(q.Limit)}}
	if q.Operation != "" {
		v.Set("operation", q.Operation)
	}
	if q.MinDuration > 0 {
		v.Set("minDuration", q.MinDuration.String())
	}
	if q.MaxDuration > 0 {
		v.Set("maxDuration", q.MaxDuration.String())
	}
	if len(q.Attributes) > 0 {
		b, _ := json.Marshal(q.Attributes) // a map of strings always can be
		v.Set("tags", string(b))
	}
	seen := map[[16]byte]bool{}
	var out []Trace
	for _, service := range services {
		v.Set("service", service)
		var data []v1Trace
		if err := j.v1(ctx, "api/traces", v, time.Time{}, &data); err != nil {
			return nil, err
		}
		td := ptrace.NewTraces()
		for i := range data {
			if err := data[i].appendTo(td); err != nil {
				return nil, fmt.Errorf("jaeger %w: %w", ErrUnavailable, err)
			}
		}
		for _, t := range groupTraces(td) {
			if !seen[t.ID] {
				seen[t.ID] = true
				out = append(out, t)
			}
		}
	}
	return out, nil
}

// appendTo turns a trace into OTLP, the reverse of https://opentelemetry.io/docs/specs/otel/trace/sdk_exporters/jaeger/.
func (t *v1Trace) appendTo(td ptrace.Traces) error {
	id, err := traceID(t.TraceID)
	if err != nil {
		return err
	}
	by := map[string]ptrace.ResourceSpans{}
	for i := range t.Spans {
		s := &t.Spans[i]
		rs, ok := by[s.ProcessID]
		if !ok {
			rs = td.ResourceSpans().AppendEmpty()
			p := t.Processes[s.ProcessID]
			rs.Resource().Attributes().PutStr("service.name", p.ServiceName)
			putTags(rs.Resource().Attributes(), p.Tags)
			by[s.ProcessID] = rs
		}
		ss := rs.ScopeSpans().AppendEmpty()
		if err := s.appendTo(id, ss); err != nil {
			return err
		}
	}
	return nil
}

func (s *v1Span) appendTo(id [16]byte, ss ptrace.ScopeSpans) error {
	sp := ss.Spans().AppendEmpty()
	spanID, err := spanID(s.SpanID)
	if err != nil {
		return err
	}
	sp.SetTraceID(id)
	sp.SetSpanID(spanID)
	sp.SetName(s.OperationName)
	sp.SetStartTimestamp(pcommon.Timestamp(s.StartTime * 1000))
	sp.SetEndTimestamp(pcommon.Timestamp((s.StartTime + s.Duration) * 1000))
	if s.ParentSpanID != "" {
		if _, err = spanIDOf(s.ParentSpanID, sp.SetParentSpanID); err != nil {
			return err
		}
	}
	for _, r := range s.References {
		to, err := traceID(r.TraceID)
		if err != nil {
			return err
		}
		if r.RefType == "CHILD_OF" && to == id && sp.ParentSpanID().IsEmpty() {
			if _, err = spanIDOf(r.SpanID, sp.SetParentSpanID); err != nil {
				return err
			}
			continue
		}
		l := sp.Links().AppendEmpty()
		l.SetTraceID(to)
		if _, err = spanIDOf(r.SpanID, l.SetSpanID); err != nil {
			return err
		}
	}
	putTags(sp.Attributes(), s.Tags)
	s.takeTags(sp, ss.Scope())
	for _, l := range s.Logs {
		e := sp.Events().AppendEmpty()
		e.SetTimestamp(pcommon.Timestamp(l.Timestamp * 1000))
		putTags(e.Attributes(), l.Fields)
		if v, ok := e.Attributes().Get("event"); ok {
			e.SetName(v.AsString())
			e.Attributes().Remove("event")
		}
	}
	return nil
}

// takeTags moves what Jaeger has as tags to where OTLP has it.
func (s *v1Span) takeTags(sp ptrace.Span, scope pcommon.InstrumentationScope) {
	take := func(key string, fn func(string)) {
		if v, ok := sp.Attributes().Get(key); ok {
			text := v.AsString()
			sp.Attributes().Remove(key)
			fn(text)
		}
	}
	take("span.kind", func(v string) {
		for k := ptrace.SpanKindInternal; k <= ptrace.SpanKindConsumer; k++ {
			if strings.EqualFold(k.String(), v) {
				sp.SetKind(k)
			}
		}
	})
	take("error", func(v string) {
		if v != "false" {
			sp.Status().SetCode(ptrace.StatusCodeError)
		}
	})
	take("otel.status_code", func(v string) {
		switch v {
		case "ERROR":
			sp.Status().SetCode(ptrace.StatusCodeError)
		case "OK":
			sp.Status().SetCode(ptrace.StatusCodeOk)
		}
	})
	take("otel.status_description", sp.Status().SetMessage)
	take("w3c.tracestate", sp.TraceState().FromRaw)
	take("otel.scope.name", scope.SetName)
	take("otel.scope.version", scope.SetVersion)
}

func spanID(s string) (id pcommon.SpanID, err error) {
	b, err := hex.DecodeString(strings.Repeat("0", max(0, 16-len(s))) + s)
	if err != nil || len(b) != 8 {
		return id, fmt.Errorf("%q is no span id", s)
	}
	return pcommon.SpanID(b), nil
}

func spanIDOf(s string, set func(pcommon.SpanID)) (pcommon.SpanID, error) {
	id, err := spanID(s)
	set(id)
	return id, err
}

func putTags(m pcommon.Map, tags []v1Tag) {
	for _, t := range tags {
		text := string(t.Value)
		var s string
		if json.Unmarshal(t.Value, &s) == nil {
			text = s
		}
		switch t.Type {
		case "bool":
			m.PutBool(t.Key, text == "true")
			continue
		case "int64":
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				m.PutInt(t.Key, n)
				continue
			}
		case "float64":
			if f, err := strconv.ParseFloat(text, 64); err == nil {
				m.PutDouble(t.Key, f)
				continue
			}
		case "binary":
			if b, err := base64.StdEncoding.DecodeString(text); err == nil {
				m.PutEmptyBytes(t.Key).FromRaw(b)
				continue
			}
		}
		m.PutStr(t.Key, text)
	}
}
