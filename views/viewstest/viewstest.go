// Package viewstest runs scripts over views: text in, text out, rewritten by `go test -rewrite`.
//
//	spans [p=N] [ts=DUR] [again]   one Kafka record, on partition N (default 0) with timestamp ts; one span a line:
//	                               <start> <dur> <service> <kind> <name> id=<trace>/<span>[<<parent>] [error|ok] [key=value ...]
//	                               a service of - is a resource without service.name; `again` repeats the record before;
//	                               exception=<type>:<message with _ for blanks>
//	logs [p=N] [ts=DUR] [again]    the same with a log line a line: <time> <service> <severity> [id=<trace>/<span>]
//	                               [exception=<type>:<message>] | <body>
//	bad [p=N]                      a record that fails half way: its spans are rolled back and the record is skipped
//	commit [idle=N@DUR]            checkpoint; partition N is idle with a watermark of DUR
//	crash                          drop memory, reopen from the store, read each partition again from its position
//	fold                           checkpoint that also cuts the journal
//	limits name=N ...              reopen with other limits (services, operations, edges, series, waiting; spans de-duplicates spans)
//	dump VIEW                      see views.Set.Dump
//	services|operations SERVICE|latencies SERVICE|map from=DUR to=DUR     answers to readers
//	lines [service=S] [severity=S] [text=T] [pattern=P] [trace=ID] [limit=N]     all pages of log lines
//	traces [service=S] [operation=O] [status=error|ok] [min=DUR] [max=DUR] [from=DUR to=DUR] [slowest] [limit=N]
package viewstest

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// Topic is the topic of all records of a script.
const Topic = "otlp_spans"

// Record is one record of a script's topic.
type Record struct {
	Spans []Line
	Logs  []LogLine
	TS    time.Duration
	Bad   bool
}

// LogLine is one parsed log line.
type LogLine struct {
	Resource model.Resource
	Log      logs.Record
}

// Line is one parsed span line.
type Line struct {
	Resource model.Resource
	Span     model.Span
}

// Script is the state of a running script. The topic outlives crashes.
type Script struct {
	KV    storage.KV
	Cfg   model.Config
	Set   *views.Set
	Topic map[int32][]Record
}

// New opens a Set over kv.
func New(kv storage.KV, cfg model.Config) (*Script, error) {
	s := &Script{KV: kv, Cfg: cfg, Topic: map[int32][]Record{}}
	return s, s.open()
}

func (s *Script) open() (err error) {
	s.Set, err = views.Open(s.KV, s.Cfg)
	return err
}

// Run runs the script at path.
func Run(t *testing.T, path string) {
	t.Helper()
	s, err := New(storage.NewMem(storage.MemOptions{}), model.Config{TraceBytes: 1 << 20, LogBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
		out, err := s.Do(d)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return out
	})
}

// Do runs one command.
func (s *Script) Do(d *datadriven.TestData) (string, error) {
	switch d.Cmd {
	case "spans", "bad", "logs":
		return s.spans(d)
	case "lines":
		return s.lines(d)
	case "commit":
		return s.commit(d)
	case "fold":
		s.Cfg.FoldEvery = 1
		if err := s.open(); err != nil {
			return "", err
		}
		if err := s.replayAll(); err != nil {
			return "", err
		}
		out, err := s.commit(d)
		s.Cfg.FoldEvery = 0
		return out, err
	case "crash":
		if err := s.open(); err != nil {
			return "", err
		}
		return "", s.replayAll()
	case "limits":
		return "", s.limits(d)
	case "traces":
		return s.traces(d)
	case "dump":
		var b strings.Builder
		err := s.Set.Dump(&b, d.CmdArgs[0].Key)
		return b.String(), err
	}
	return s.read(d)
}

func (s *Script) spans(d *datadriven.TestData) (string, error) {
	p := int32(arg(d, "p", 0))
	r := Record{Bad: d.Cmd == "bad"}
	if d.HasArg("ts") {
		r.TS = durationArg(d, "ts")
	}
	if d.HasArg("again") {
		all := s.Topic[int32(arg(d, "again", int(p)))]
		r = all[len(all)-1]
	}
	for line := range strings.Lines(d.Input) {
		if strings.Contains(line, " | ") {
			l, err := ParseLog(line)
			if err != nil {
				return "", err
			}
			r.Logs = append(r.Logs, l)
			continue
		}
		l, err := ParseLine(line)
		if err != nil {
			return "", err
		}
		r.Spans = append(r.Spans, l)
	}
	s.Topic[p] = append(s.Topic[p], r)
	s.Apply(p, int64(len(s.Topic[p])-1))
	return "", nil
}

// Apply gives the record at an offset to the Set.
func (s *Script) Apply(p int32, offset int64) {
	r := &s.Topic[p][offset]
	rec := model.Record{Offset: offset, LeaderEpoch: -1, Timestamp: r.TS.Milliseconds(), Value: r.value()}
	a := s.Set.Partition(Topic, p)
	if !a.Begin(rec) {
		return
	}
	stage := func() {
		for i := range r.Spans {
			a.Span(&r.Spans[i].Resource, &r.Spans[i].Span)
		}
	}
	stage()
	if !r.Bad && a.Again() {
		stage()
	}
	for i := range r.Logs {
		a.Log(&r.Logs[i].Resource, &r.Logs[i].Log)
	}
	if r.Bad {
		a.Rollback()
		a.Skip(rec)
		return
	}
	a.End()
}

// value is the record's bytes, OTLP.
func (r *Record) value() []byte {
	if len(r.Logs) == 0 {
		return r.spansValue()
	}
	ld := plog.NewLogs()
	for i := range r.Logs {
		l := &r.Logs[i]
		rl := ld.ResourceLogs().AppendEmpty()
		if l.Resource.HasService {
			rl.Resource().Attributes().PutStr("service.name", string(l.Resource.Service))
		}
		out := rl.ScopeLogs().AppendEmpty().LogRecords().AppendEmpty()
		out.SetTimestamp(pcommon.Timestamp(l.Log.Time))
		if l.Log.Severity > 0 {
			out.SetSeverityNumber(plog.SeverityNumber(l.Log.Severity)*4 - 3)
		}
		out.Body().SetStr(string(l.Log.Body))
		out.SetTraceID(l.Log.TraceID)
		out.SetSpanID(l.Log.SpanID)
	}
	var m plog.ProtoMarshaler
	b, err := m.MarshalLogs(ld)
	if err != nil {
		panic(err) // a script's own lines always marshal
	}
	return b
}

func (r *Record) spansValue() []byte {
	td := ptrace.NewTraces()
	for i := range r.Spans {
		l, rs := &r.Spans[i], td.ResourceSpans().AppendEmpty()
		if l.Resource.HasService {
			rs.Resource().Attributes().PutStr("service.name", string(l.Resource.Service))
		}
		for k, v := range l.attributes() {
			if len(*v) > 0 && k == "service.version" {
				rs.Resource().Attributes().PutStr(k, string(*v))
			}
		}
		s, out := &l.Span, rs.ScopeSpans().AppendEmpty().Spans().AppendEmpty()
		out.SetTraceID(s.TraceID)
		out.SetSpanID(s.SpanID)
		out.SetParentSpanID(s.ParentID)
		out.SetName(string(s.Name))
		out.SetKind(ptrace.SpanKind(s.Kind))
		out.SetStartTimestamp(pcommon.Timestamp(s.Start))
		out.SetEndTimestamp(pcommon.Timestamp(s.End))
		out.Status().SetCode(ptrace.StatusCode(s.Status))
		for _, k := range slices.Sorted(maps.Keys(l.attributes())) {
			if v := *l.attributes()[k]; len(v) > 0 && k != "service.version" {
				out.Attributes().PutStr(k, string(v))
			}
		}
		for _, e := range s.Exceptions {
			ev := out.Events().AppendEmpty()
			ev.SetName("exception")
			ev.SetTimestamp(pcommon.Timestamp(s.End))
			ev.Attributes().PutStr("exception.type", string(e.Type))
			ev.Attributes().PutStr("exception.message", string(e.Message))
		}
	}
	var m ptrace.ProtoMarshaler
	b, err := m.MarshalTraces(td)
	if err != nil {
		panic(err) // a script's own spans always marshal
	}
	return b
}

func (s *Script) replayAll() error {
	ps, err := s.Set.Positions()
	if err != nil {
		return err
	}
	at := map[int32]int64{}
	for _, p := range ps {
		at[p.Partition] = p.Offset
	}
	for p, records := range s.Topic {
		for o := at[p]; o < int64(len(records)); o++ {
			s.Apply(p, o)
		}
	}
	return nil
}

// Checkpoint commits what was applied.
func (s *Script) Checkpoint(marks []model.Mark) (*views.Checkpoint, error) {
	c, err := s.Set.Collect(marks)
	if err != nil || c == nil {
		return c, err
	}
	for _, part := range append(c.Before, c.Commit) {
		if err := s.KV.Commit(part); err != nil {
			return nil, err
		}
	}
	return c, s.Set.Install(c)
}

func (s *Script) commit(d *datadriven.TestData) (string, error) {
	var marks []model.Mark
	if d.HasArg("idle") {
		var v string
		d.ScanArgs(nil, "idle", &v)
		n, at, _ := strings.Cut(v, "@")
		p, err := strconv.Atoi(n)
		if err != nil {
			return "", err
		}
		dur, err := time.ParseDuration(at)
		if err != nil {
			return "", err
		}
		marks = append(marks, model.Mark{Topic: Topic, Partition: int32(p), Watermark: time.Unix(0, int64(dur))})
	}
	c, err := s.Checkpoint(marks)
	if err != nil {
		return "", err
	}
	if c == nil {
		return "nothing", nil
	}
	var b strings.Builder
	for _, p := range c.Commit.Positions {
		fmt.Fprintf(&b, "%d@%d ", p.Partition, p.Offset)
	}
	f := s.Set.Frontier()
	fmt.Fprintf(&b, "head=%v complete=%v", clock(f.Head), clock(f.Complete))
	return b.String(), nil
}

func clock(t time.Time) time.Duration {
	if t.IsZero() {
		return 0
	}
	return time.Duration(t.UnixNano())
}

func (s *Script) limits(d *datadriven.TestData) error {
	l := &s.Cfg.Limits
	for name, to := range map[string]*int{"services": &l.Services, "operations": &l.OperationsPerService, "edges": &l.Edges,
		"series": &l.Series, "errors": &l.ErrorGroups, "patterns": &l.Patterns, "waiting": &l.Waiting,
		"spans": &l.DedupSpans} {
		*to = arg(d, name, *to)
	}
	s.Cfg.DedupSpans = s.Cfg.DedupSpans || l.DedupSpans > 0
	return s.open()
}

func (s *Script) traces(d *datadriven.TestData) (string, error) {
	q := views.TraceQuery{Limit: arg(d, "limit", 20), Slowest: d.HasArg("slowest"), MinDuration: durationArg(d, "min"),
		MaxDuration: durationArg(d, "max")}
	for name, to := range map[string]*string{"service": &q.Service, "operation": &q.Operation, "status": &q.Status} {
		if v, ok := d.Arg(name); ok && len(v.Vals) > 0 {
			*to = v.Vals[0]
		}
	}
	if d.HasArg("from") {
		q.From = time.Unix(0, int64(durationArg(d, "from")))
	}
	if d.HasArg("to") {
		q.To = time.Unix(0, int64(durationArg(d, "to")))
	}
	r, err := s.Set.SearchTraces(q)
	var b strings.Builder
	for _, t := range r.Traces {
		fmt.Fprintf(&b, "%s %s/%s start=%v %v spans=%d errors=%d\n", strings.TrimRight(string(t.ID[:]), "\x00"), t.RootService,
			t.RootOperation, clock(t.Start), t.Duration(), t.Spans, t.Errors)
	}
	if r.More {
		b.WriteString("more\n")
	}
	return b.String(), err
}

func (s *Script) lines(d *datadriven.TestData) (string, error) {
	q := views.LogQuery{Limit: arg(d, "limit", 20)}
	for name, to := range map[string]*string{"service": &q.Service, "text": &q.Text, "pattern": &q.Pattern} {
		if v, ok := d.Arg(name); ok && len(v.Vals) > 0 {
			*to = strings.ReplaceAll(v.Vals[0], "_", " ")
		}
	}
	if v, ok := d.Arg("severity"); ok {
		q.MinSeverity, _ = logs.ParseSeverity(v.Vals[0])
	}
	if v, ok := d.Arg("trace"); ok {
		copy(q.TraceID[:], v.Vals[0])
	}
	var b strings.Builder
	for {
		r, err := s.Set.SearchLogs(q)
		if err != nil {
			return "", err
		}
		for _, l := range r.Lines {
			fmt.Fprintf(&b, "%v %s %s %s\n", clock(l.Time), l.Service, l.Severity, l.Body)
		}
		if q.Before = r.Next; r.Next == nil {
			return b.String(), nil
		}
		b.WriteString("next\n")
	}
}

func (s *Script) read(d *datadriven.TestData) (string, error) {
	from, to := time.Unix(0, int64(durationArg(d, "from"))), time.Unix(0, int64(durationArg(d, "to")))
	var b strings.Builder
	switch d.Cmd {
	case "services":
		list, err := s.Set.Services(from, to)
		for _, v := range list {
			fmt.Fprintf(&b, "%s calls=%d errors=%d p50=%v p95=%v entry=%d last=%v\n", v.Name, v.Calls, v.Errors, v.Latency.P50,
				v.Latency.P95, v.Entry.Calls, clock(v.LastSeen))
		}
		return b.String(), err
	case "operations":
		list, ok, err := s.Set.Operations(d.CmdArgs[0].Key, from, to)
		if !ok {
			return "unknown service", err
		}
		for _, v := range list {
			fmt.Fprintf(&b, "%s %s calls=%d errors=%d\n", v.Name, v.Kind, v.Calls, v.Errors)
		}
		return b.String(), err
	case "latencies":
		list, err := s.Set.Latencies(from, to, func(k model.REDKey) bool { return k.Service == d.CmdArgs[0].Key })
		for _, v := range list {
			fmt.Fprintf(&b, "%s %s calls=%d errors=%d %v\n", v.Name, v.Kind, v.Calls, v.Errors, v.Hist.Buckets())
		}
		return b.String(), err
	case "map":
		m, err := s.Set.ServiceMap(from, to)
		for _, n := range m.Nodes {
			fmt.Fprintf(&b, "%s (%s)\n", n.Name, n.Type)
		}
		for _, e := range m.Edges {
			fmt.Fprintf(&b, "%s -> %s %q calls=%d failed=%d\n", e.Client, e.Server, e.Connection, e.Calls, e.Failed)
		}
		for _, u := range m.Unpaired {
			fmt.Fprintf(&b, "unpaired %s %d\n", u.Reason, u.Count)
		}
		return b.String(), err
	}
	return "", fmt.Errorf("unknown command %q", d.Cmd)
}
