package api

import (
	"bytes"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/apitest"
	"github.com/gaurav/watchingcat/api/jaeger"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// archive is a store that holds what the views of a bench hold, and answers as Jaeger and Elasticsearch do: by few conditions, at most
// so many; of traces it gives any, as Jaeger's memory does.
type archive struct {
	*bench
	err   error
	asked int
	all   bool // it gives all at once
}

func (a *archive) Name() string { return "jaeger" }

func (a *archive) Search(_ context.Context, q raw.TraceQuery) (list []raw.Trace, more bool, err error) {
	if a.asked++; a.err != nil {
		return nil, false, a.err
	}
	q.Limit = min(q.Limit, 15)
	res, err := a.script.Set.SearchTraces(views.TraceQuery{From: q.From, To: q.To.Add(1), Service: q.Service, Operation: q.Operation,
		Limit: 1000})
	if !a.all && len(res.Traces) > q.Limit {
		rand.New(rand.NewPCG(uint64(a.asked), 1)).Shuffle(len(res.Traces),
			func(i, j int) { res.Traces[i], res.Traces[j] = res.Traces[j], res.Traces[i] })
		res.Traces = res.Traces[:q.Limit]
		slices.SortFunc(res.Traces, func(a, b views.TraceSummary) int {
			return cmp.Or(b.Start.Compare(a.Start), bytes.Compare(b.ID[:], a.ID[:]))
		})
	}
	for _, t := range res.Traces {
		found, err := a.s.traces.Find(context.Background(), answer.Moment{Views: a.script.Set}, t.ID)
		require.NoError(a.t, err)
		one := raw.Trace{ID: t.ID, RootService: t.RootService, RootOperation: t.RootOperation, Start: t.Start, End: t.End, Spans: t.Spans,
			Errors: t.Errors, Data: apitest.Together(found.Data), HasData: true}
		for _, s := range t.Services {
			one.Services = append(one.Services, raw.TraceService(s))
		}
		list = append(list, one)
	}
	return list, !a.all && len(list) == q.Limit, err
}

func (a *archive) Trace(_ context.Context, id [16]byte) (ptrace.Traces, error) {
	if a.asked++; a.err != nil {
		return ptrace.Traces{}, a.err
	}
	found, err := a.s.traces.Find(context.Background(), answer.Moment{Views: a.script.Set}, id)
	if err != nil {
		return ptrace.Traces{}, raw.ErrNotFound
	}
	return apitest.Together(found.Data), nil
}

func (a *archive) Services(context.Context) (names []string, err error) {
	if a.asked++; a.err != nil {
		return nil, a.err
	}
	list, err := a.script.Set.Services(time.Unix(0, 0), at(time.Hour))
	for _, v := range list {
		names = append(names, v.Name)
	}
	return names, err
}

func (a *archive) Operations(_ context.Context, service string) (out []raw.Operation, err error) {
	if a.asked++; a.err != nil {
		return nil, a.err
	}
	list, _, err := a.script.Set.Operations(service, time.Unix(0, 0), at(time.Hour))
	for _, o := range list {
		out = append(out, raw.Operation{Name: o.Name, Kind: strings.ToLower(strings.TrimPrefix(o.Kind.String(), "SPAN_KIND_"))})
	}
	return out, err
}

func (a *archive) Dependencies(_ context.Context, from, to time.Time) (out []raw.Dependency, err error) {
	if a.asked++; a.err != nil {
		return nil, a.err
	}
	found, err := a.script.Set.ServiceMap(from, to)
	for _, e := range found.Edges {
		if e.ClientNode().Type == model.NodeService && e.ServerNode().Type == model.NodeService && e.Client != e.Server {
			out = append(out, raw.Dependency{Parent: e.Client, Child: e.Server, CallCount: e.Calls})
		}
	}
	if len(out) > 0 { // the parents of its client spans
		out = append(out, raw.Dependency{Parent: out[0].Parent, Child: out[0].Parent, CallCount: 2})
	}
	return out, err
}

// archiveLogs is an archive of lines.
type archiveLogs struct{ *archive }

func (a archiveLogs) Name() string { return "elasticsearch" }

func (a archiveLogs) Search(_ context.Context, q raw.LogQuery) (out raw.LogResult, err error) {
	if a.asked++; a.err != nil {
		return out, a.err
	}
	res, err := a.script.Set.SearchLogs(views.LogQuery{From: q.From, To: q.To, Service: q.Service, Limit: 10_000})
	for i := range res.Lines {
		l := &res.Lines[i]
		line := raw.LogLine{ID: l.Place(), Time: l.Time, Service: l.Service, SeverityText: l.SeverityText, SeverityNumber: l.SeverityNumber,
			Body: l.Body, TraceID: answer.HexOrEmpty(l.TraceID[:]), SpanID: answer.HexOrEmpty(l.SpanID[:]), Attributes: l.Attributes,
			Resource: l.Resource}
		if at := l.Time.UnixNano(); q.After != nil && (at > q.After.At || at == q.After.At && slices.Contains(q.After.Seen, line.ID)) {
			continue
		}
		if len(out.Lines) == q.Limit {
			out.Next = raw.PlaceAfter(out.Lines, q.After)
			break
		}
		out.Lines = append(out.Lines, line)
	}
	return out, err
}

func (a archiveLogs) Volume(_ context.Context, q raw.LogQuery, step time.Duration) (list []raw.LogBucket, incomplete string, err error) {
	if a.asked++; a.err != nil {
		return nil, "", a.err
	}
	lines, err := a.script.Set.SearchLogs(views.LogQuery{From: q.From, To: q.To, Service: q.Service, Limit: 10_000})
	for i := range lines.Lines {
		l := &lines.Lines[i]
		list = append(list, raw.LogBucket{Time: l.Time.Truncate(step), Service: l.Service, Level: strings.ToLower(l.Severity.String()),
			Count: 1})
	}
	return list, "", err
}

// twoBenches is one bench that has seen everything, and one that has seen what came later and asks the first for what is older.
func twoBenches(t *testing.T) (all, later *bench, store *archive) {
	r := rand.New(rand.NewPCG(1, 2))
	all = newBench(t)
	store = &archive{bench: all}
	later = newBench(t, func(c *Config) { c.Stores = older.Stores{Traces: store, Logs: archiveLogs{store}} })
	for at := range 60 {
		var lines []string
		sec := float64(at*10) + 0.5
		for i := range r.IntN(3) + 1 {
			id := fmt.Sprintf("%d%c", at, 'a'+i)
			status := []string{"", "error", "ok"}[r.IntN(3)]
			lines = append(lines, fmt.Sprintf("%gs %dms web server GET/%d id=%s/a db.namespace=%d", sec, 10+r.IntN(3)*100, r.IntN(2), id,
				r.IntN(2)),
				fmt.Sprintf("%gs %dms cart server get id=%s/b<a %s", sec+0.001, 5+r.IntN(5), id, status))
		}
		var logs []string
		for range r.IntN(4) {
			logs = append(logs, fmt.Sprintf("%gs %s %s | line %d of %d", sec, []string{"web", "cart"}[r.IntN(2)],
				[]string{"INFO", "ERROR"}[r.IntN(2)], r.IntN(3), at))
		}
		for _, b := range []*bench{all, later} {
			if b == later && at < 30 {
				continue
			}
			b.record(lines...)
			if len(logs) > 0 {
				b.record(logs...)
			}
			b.commit(model.Mark{Topic: "otlp_spans", Watermark: time.Unix(600, 0)})
		}
	}
	all.now, later.now = at(601*time.Second), at(601*time.Second)
	return all, later, store
}

type listAnswer struct {
	Traces  []rest.TraceSummary `json:"traces"`
	Logs    []rest.LogLine      `json:"logs"`
	Buckets []rest.LogBucket    `json:"buckets"`
	Next    *string             `json:"next"`
	Meta    rest.Meta           `json:"meta"`
}

// pages reads a list to its end.
func (b *bench) pages(path string, q url.Values) (out listAnswer, n int) {
	b.t.Helper()
	for n = 0; n < 200; n++ {
		target := path + "?" + q.Encode()
		w := b.get(target)
		require.Equal(b.t, 200, w.Code, w.Body)
		b.conforms("GET", target, w)
		var one listAnswer
		require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &one))
		one.Traces, one.Logs = append(out.Traces, one.Traces...), append(out.Logs, one.Logs...)
		for _, name := range out.Meta.Source {
			if !slices.Contains(one.Meta.Source, name) {
				one.Meta.Source = append(one.Meta.Source, name)
			}
		}
		one.Meta.Partial = one.Meta.Partial || out.Meta.Partial
		if out = one; out.Next == nil {
			return out, n + 1
		}
		q.Set("next", *out.Next)
	}
	b.t.Fatal("a list does not end")
	return out, n
}

func TestOlderTracesComeFromTheStore(t *testing.T) {
	all, later, store := twoBenches(t)
	for _, text := range []string{"", "limit=3", "limit=3&order=slowest", "limit=2&service=cart&status=error", "limit=50&status=ok",
		"limit=4&operation=GET/1", "limit=3&min_duration=100ms",
		"limit=2&max_duration=50ms&order=slowest", "limit=3&attributes=db.namespace=1", "limit=1&service=nobody",
		"limit=3&attributes=db.namespace=1&status=error", "limit=50&attributes=db.namespace%3E1",
		"limit=3&attributes=db.namespace~^[12]$&order=slowest"} {
		q, err := url.ParseQuery(text)
		require.NoError(t, err)
		q.Set("start", "0")
		store.all = strings.Contains(text, "slowest") || text == "limit=50&status=ok"
		want, _ := all.pages("/api/v1/traces", q)
		q.Del("next")
		got, _ := later.pages("/api/v1/traces", q)
		require.Equal(t, want.Traces, got.Traces, text)
		require.ElementsMatch(t, []string{"view", "jaeger"}, got.Meta.Source, text)
		require.False(t, got.Meta.Partial, "%s: %v", text, got.Meta.Warnings)
		require.Equal(t, "1970-01-01T00:00:00Z", got.Meta.Since.Format(time.RFC3339))
	}
	one := func(q string) listAnswer {
		v, err := url.ParseQuery(q)
		require.NoError(t, err)
		got, _ := later.pages("/api/v1/traces", v)
		return got
	}
	store.asked = 0
	require.Equal(t, rest.Source{"view"}, one("start=400&end=500&limit=100").Meta.Source)
	require.Zero(t, store.asked, "the views hold all of it")
	require.Equal(t, rest.Source{"jaeger"}, one("start=100&end=200&limit=100").Meta.Source)

	store.err = fmt.Errorf("jaeger %w", raw.ErrUnavailable)
	got := one("start=0&limit=100")
	require.Equal(t, rest.Source{"view"}, got.Meta.Source)
	require.True(t, got.Meta.Partial)
	require.Equal(t, []string{"jaeger did not answer; traces from before 1970-01-01T00:05:00Z are missing"}, got.Meta.Warnings)
	require.NotEmpty(t, got.Traces)
}

// TestATraceTooLargeForTheStoresAnswer: what to do about it is not to wait until the store answers.
func TestATraceTooLargeForTheStoresAnswer(t *testing.T) {
	_, later, store := twoBenches(t)
	store.err = fmt.Errorf("jaeger %w: its answer is larger than 10 bytes", raw.ErrTooLarge)
	w := later.get("/api/v1/traces/" + strings.Repeat("9", 32))
	require.Equal(t, 404, w.Code)
	require.Contains(t, w.Body.String(), `"code":"trace_too_large"`)
	require.Contains(t, w.Body.String(), "its answer is larger than 10 bytes")
	require.NotContains(t, w.Body.String(), "Try again")
}

func TestATraceComesFromTheStore(t *testing.T) {
	_, later, store := twoBenches(t)
	id := hex.EncodeToString(append([]byte("3a"), make([]byte, 14)...))
	read := func() (int, rest.Meta, rest.JaegerTrace) {
		w := later.get("/api/v1/traces/" + id)
		later.conforms("GET", "/api/v1/traces/"+id, w)
		var body struct {
			Trace rest.JaegerTrace
			Meta  rest.Meta
		}
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &body))
		return w.Code, body.Meta, body.Trace
	}
	code, meta, trace := read()
	require.Equal(t, 200, code)
	require.Equal(t, rest.Source{"jaeger"}, meta.Source)
	require.False(t, meta.Partial)
	require.Len(t, trace.Spans, 2)

	// A span that comes late makes the views know a part of it.
	later.record("30.2s 5ms mail server send id=3a/c<a")
	later.commit()
	_, meta, trace = read()
	require.Len(t, trace.Spans, 1, "the views cannot know that there is more")
	require.Equal(t, rest.Source{"view"}, meta.Source)

	id = hex.EncodeToString(append([]byte("4a"), make([]byte, 14)...))
	store.err = errors.New("jaeger did not answer")
	code, _, _ = read()
	require.Equal(t, 404, code)
	require.Contains(t, later.get("/api/v1/traces/"+id).Body.String(), "jaeger did not answer")
}

// TestLinesAreCountedOnce: where no span was counted the views begin with their first line; where lines came before the first span, the
// store counts what lies before it and the views do not.
func TestLinesAreCountedOnce(t *testing.T) {
	store := &archive{bench: newBench(t)}
	with := func(c *Config) { c.Stores = older.Stores{Traces: store, Logs: archiveLogs{store}} }
	for i := range 10 {
		store.record(fmt.Sprintf("%ds cart INFO | hello", 5+100*i))
	}
	store.commit()
	for name, records := range map[string][]string{"lines alone": {"905s cart INFO | hello"},
		"a span later": {"805s cart INFO | hello", "905s cart INFO | hello", "900s 5ms cart server GET id=t1/a"}} {
		b := newBench(t, with)
		for _, r := range records {
			b.record(r)
			b.commit()
		}
		b.now = at(910 * time.Second)
		require.Equal(t, at(900*time.Second), b.script.Set.Frontier().Since, name)
		got, _ := b.pages("/api/v1/logs/volume", url.Values{"start": {"0"}, "end": {"1000"}})
		n := int64(0)
		for _, v := range got.Buckets {
			n += v.Count
		}
		require.Equal(t, int64(10), n, name)
		require.ElementsMatch(t, []string{"view", "elasticsearch"}, got.Meta.Source, name)
		require.False(t, got.Meta.Partial)
		lines, _ := b.pages("/api/v1/logs", url.Values{"start": {"0"}, "end": {"1000"}, "limit": {"3"}})
		require.Len(t, lines.Logs, 10, name)
	}
}

// TestJaegersClientsLearnWhatIsMissing: their formats have no place for it beside traces.
func TestJaegersClientsLearnWhatIsMissing(t *testing.T) {
	_, later, store := twoBenches(t)
	const v3 = "query.startTimeMin=1970-01-01T00:00:00Z&query.startTimeMax=1970-01-01T00:02:00Z"
	for _, target := range []string{"traces?start=0&end=120000000", "v3/trace-summaries?" + v3, "v3/traces?" + v3} {
		w := later.get(jaeger.Prefix + "/" + target)
		require.Equal(t, 200, w.Code, "%s", w.Body)
		require.Contains(t, w.Body.String(), "web", target)
		require.Empty(t, w.Header().Values(answer.WarningHeader))
	}
	store.err = fmt.Errorf("jaeger %w", raw.ErrUnavailable)
	const missing = "jaeger did not answer; traces from before 1970-01-01T00:05:00Z are missing"
	w := later.get(jaeger.Prefix + "/traces?start=0&end=120000000")
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"data":[],"total":0,"limit":0,"offset":0,"errors":[{"code":503,"msg":"`+missing+`"}]}`, w.Body.String())
	require.Equal(t, []string{missing}, w.Header().Values(answer.WarningHeader))
	w = later.get(jaeger.Prefix + "/v3/trace-summaries?" + v3)
	require.Equal(t, 200, w.Code)
	require.Equal(t, []string{missing}, w.Header().Values(answer.WarningHeader))
	w = later.get(jaeger.Prefix + "/v3/traces?" + v3)
	require.Equal(t, 404, w.Code)
	require.Contains(t, w.Body.String(), "No traces found; "+missing)
	w = later.get(jaeger.Prefix + "/traces?start=0&limit=1500")
	require.NotContains(t, w.Body.String(), `"code":503`)
	require.Contains(t, w.Body.String(), `"warnings":["`+missing+`"]`)
}

func TestOlderLinesComeFromTheStore(t *testing.T) {
	all, later, store := twoBenches(t)
	for _, text := range []string{"limit=1000", "limit=3", "limit=1", "limit=2&service=cart", "limit=4&severity=ERROR",
		"limit=3&text=LINE+2", "limit=3&pattern=line+1+of+<*>"} {
		q, err := url.ParseQuery(text)
		require.NoError(t, err)
		q.Set("start", "0")
		want, _ := all.pages("/api/v1/logs", q)
		q.Del("next")
		got, _ := later.pages("/api/v1/logs", q)
		for _, list := range [][]rest.LogLine{want.Logs, got.Logs} {
			for i := range list {
				list[i].Id = "" // lines of the store have none
			}
		}
		require.ElementsMatch(t, want.Logs, got.Logs, text)
		require.ElementsMatch(t, []string{"view", "elasticsearch"}, got.Meta.Source, text)
		require.True(t, slices.IsSortedFunc(got.Logs, func(a, b rest.LogLine) int { return b.Time.Compare(a.Time) }))
		require.False(t, got.Meta.Partial, "%s: %v", text, got.Meta.Warnings)
	}
	counts := func(b *bench) (out []string) {
		got, _ := b.pages("/api/v1/logs/volume", url.Values{"start": {"0"}, "step": {"30s"}})
		for _, v := range got.Buckets {
			out = append(out, fmt.Sprint(v.Time.Unix(), v.Service, v.Severity, v.Count))
		}
		return append(out, fmt.Sprint(got.Meta.Partial))
	}
	require.Equal(t, counts(all), counts(later))
	store.err = fmt.Errorf("elasticsearch %w", raw.ErrUnavailable)
	got, _ := later.pages("/api/v1/logs", url.Values{"start": {"0"}, "limit": {"1000"}})
	require.True(t, got.Meta.Partial)
	require.NotEmpty(t, got.Logs)
	got, _ = later.pages("/api/v1/logs/volume", url.Values{"start": {"0"}})
	require.Equal(t, []string{"elasticsearch did not answer; lines from before 1970-01-01T00:05:00Z are not counted"}, got.Meta.Warnings)
}

func TestBackendsAreShown(t *testing.T) {
	b := newBench(t, func(c *Config) {
		c.Stores.States = func() []raw.Status {
			return []raw.Status{{Name: "jaeger", State: raw.StateDown, Error: "connection refused"}, {Name: "redis", State: raw.StateOK}}
		}
	})
	w := b.get("/api/v1/pipeline")
	b.conforms("GET", "/api/v1/pipeline", w)
	require.Contains(t, w.Body.String(),
		`"backends":[{"error":"connection refused","name":"jaeger","state":"down"},{"error":null,"name":"redis","state":"ok"}]`)
}
