package views

import (
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/model"
)

// The logs view: how many lines of each service and severity, their patterns, exceptions among the error groups, and recent lines
// as they came.

// LogRecord is what the views need of an OTLP log record. A decoder reuses one for all records of a message.
type LogRecord struct {
	Time     uint64 // Unix nanoseconds: when it happened, else when it was seen
	Severity Severity
	Body     []byte
	Event    []byte // name of the event; nil: it is none
	TraceID  [16]byte
	SpanID   [8]byte
	// Exception is nil where the record has none of its attributes.
	Exception *model.Exception
}

// text is what the line says: its body, else the name of its event.
func (l *LogRecord) text() []byte {
	if len(l.Body) > 0 {
		return l.Body
	}
	return l.Event
}

// Severity is the range of a record's severity number (opentelemetry/proto/logs/v1/logs.proto, SeverityNumber).
type Severity uint8

// The severities.
const (
	SeverityUnspecified Severity = iota
	SeverityTrace
	SeverityDebug
	SeverityInfo
	SeverityWarn
	SeverityError
	SeverityFatal
	severities
)

var severityNames = [severities]string{"UNSPECIFIED", "TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"}

// String is the severity's short name in OpenTelemetry's data model.
func (s Severity) String() string {
	if s >= severities {
		return severityNames[0]
	}
	return severityNames[s]
}

// ParseSeverity reads a name as String writes it, whatever its case.
func ParseSeverity(s string) (Severity, bool) {
	i := slices.Index(severityNames[:], strings.ToUpper(s))
	return Severity(max(0, i)), i >= 0
}

// SeverityOf is the range of a severity number, and where there is none of the text, as logging libraries write it.
func SeverityOf(number int32, text string) Severity {
	if number = attr.Severity(number, text); number == 0 {
		return SeverityUnspecified
	}
	return Severity(min((number-1)/4+1, int32(SeverityFatal)))
}

// DecodeLogs reads an OTLP ExportLogsServiceRequest (or LogsData, the same bytes) and calls f for each record, in order. What f is
// given is reused.
func DecodeLogs(b []byte, d *model.Dimensions, f func(r *model.Resource, l *LogRecord)) error {
	return eachLog(b, d, func(r *model.Resource, _ plog.ResourceLogs, _ plog.ScopeLogs, pl plog.LogRecord) bool {
		l := readLogRecord(pl)
		f(r, &l)
		return true
	})
}

func eachLog(b []byte, d *model.Dimensions,
	f func(r *model.Resource, rl plog.ResourceLogs, sl plog.ScopeLogs, l plog.LogRecord) bool) error {
	var u plog.ProtoUnmarshaler
	ld, err := u.UnmarshalLogs(b)
	if err != nil {
		return fmt.Errorf("malformed OTLP logs: %w", err)
	}
	for _, rl := range ld.ResourceLogs().All() {
		var r model.Resource
		if v, ok := rl.Resource().Attributes().Get("service.name"); ok {
			r.Service, r.HasService = []byte(attr.Text(v)), true
		}
		r.Dims = d.OfMap(rl.Resource().Attributes())
		for _, sl := range rl.ScopeLogs().All() {
			for _, l := range sl.LogRecords().All() {
				if !f(&r, rl, sl, l) {
					return nil
				}
			}
		}
	}
	return nil
}

func readLogRecord(pl plog.LogRecord) LogRecord {
	l := LogRecord{Time: logTime(pl), Severity: SeverityOf(int32(pl.SeverityNumber()), pl.SeverityText()),
		Body: []byte(attr.Text(pl.Body())), Event: []byte(eventName(pl)), TraceID: pl.TraceID(), SpanID: pl.SpanID()}
	typ, hasType := pl.Attributes().Get("exception.type")
	msg, hasMessage := pl.Attributes().Get("exception.message")
	if hasType || hasMessage {
		l.Exception = &model.Exception{Type: textOf(typ, hasType), Message: textOf(msg, hasMessage)}
	}
	return l
}

func textOf(v pcommon.Value, ok bool) []byte {
	if !ok {
		return nil
	}
	return []byte(attr.Text(v))
}

// eventName is the name of an event, where the data model has it or where it was before.
func eventName(l plog.LogRecord) string {
	if name := l.EventName(); name != "" {
		return attr.ValidUTF8(name)
	}
	if v, ok := l.Attributes().Get("event.name"); ok {
		return attr.Text(v)
	}
	return ""
}

// logTime is the time that a line names; 0: none.
func logTime(l plog.LogRecord) uint64 {
	if t := l.Timestamp(); t != 0 {
		return uint64(t)
	}
	return uint64(l.ObservedTimestamp())
}

// stagedLog is one staged line.
type stagedLog struct {
	service string
	dims    model.Dims
	body    []byte
	at      uint64
	ex      model.Exemplar
}

// Log stages one line of the record.
func (a *Accumulator) Log(r *model.Resource, l *LogRecord) {
	a.counts.Logs++
	if !r.HasService {
		a.counts.Unattributed++
	}
	at, shifted := a.lineClock().time(l.Time)
	if shifted {
		a.counts.Future++
	}
	a.end = max(a.end, at)
	if a.begin == 0 || at < a.begin {
		a.begin = at
	}
	ex := model.Exemplar{TraceID: l.TraceID, SpanID: l.SpanID, End: at}
	dims := a.dims(r.Dims, nil)
	a.key = cells.AppendDims(cells.AppendLabel(cells.AppendLabel(a.key[:0], r.Service), []byte(l.Severity.String())), dims)
	a.tally(model.TableLogs, cells.Tallied{N: 1, Size: uint64(len(l.Body)), At: at, Ex: ex})
	if e := l.Exception; e != nil {
		key := cells.AppendLabel(a.key[:0], r.Service)
		key = cells.AppendLabel(key, nil)
		key = cells.AppendLabel(key, e.Type)
		key = cells.AppendLabel(key, drain.MessagePattern(e.Message))
		a.key = cells.AppendDims(cells.AppendLabel(key, sourceLog), dims)
		a.tally(model.TableErrors, cells.Tallied{N: 1, Failed: l.Severity >= SeverityError, At: at, Ex: ex, Text: cutText(e.Message)})
	}
	a.logs = append(a.logs, stagedLog{service: string(r.Service), dims: dims, body: l.text(), at: at, ex: ex})
}

// endLogs finds the patterns of the staged lines and keeps the record.
func (a *Accumulator) endLogs() {
	if len(a.logs) == 0 {
		return
	}
	if c := &a.set.cfg; c.LogBytes > 0 && c.LogRetention >= 0 {
		a.key = a.lineClock().append(a.key[:0], len(a.record.Value))
		a.cur.rawLogs.Add(a.set.spare, a.key, a.record.Value, a.begin, a.end)
	}
	if a.drains == nil {
		a.drains = a.set.drainsOf(a.partition)
	}
	for i := range a.logs {
		l := &a.logs[i]
		name := []byte(model.Other)
		if c := a.drains.Add(l.service, l.body); c != nil {
			name = drain.ClusterID{Partition: a.partition, ID: c.ID}.Label(nil)
		}
		a.key = cells.AppendDims(cells.AppendLabel(cells.AppendLabel(a.key[:0], []byte(l.service)), name), l.dims)
		c, over := a.cur.tables[model.TablePatterns].Cell(a.set.tables[model.TablePatterns].Dict, a.key, model.BucketStart(l.at))
		if over {
			a.cur.counts.Overflowed++
		}
		c.Observe(&cells.Tallied{N: 1, At: l.at, Ex: l.ex, Text: cutText(l.body)})
	}
	a.logs = a.logs[:0]
}

// patterns are the committed clusters of all partitions.
type patterns struct {
	by    map[drain.ClusterID]*drain.Cluster
	dirty map[drain.ClusterID]struct{}
}

func newPatterns() *patterns {
	return &patterns{by: map[drain.ClusterID]*drain.Cluster{}, dirty: map[drain.ClusterID]struct{}{}}
}

func (p *patterns) install(partition int32, cs []drain.Cluster) {
	for i := range cs {
		id := drain.ClusterID{Partition: partition, ID: cs[i].ID}
		p.by[id] = &cs[i]
		p.dirty[id] = struct{}{}
	}
}

func (p *patterns) key(ks model.Keyspace, id drain.ClusterID) []byte {
	k := binary.BigEndian.AppendUint32(ks.Key(storage.TableMeta, model.MetaPatterns), uint32(id.Partition))
	return binary.BigEndian.AppendUint32(k, id.ID)
}

// fold stores the clusters that changed and drops those given up that nothing counts under any more.
func (p *patterns) fold(ks model.Keyspace, t *cells.TableStore, then *model.Later, entries []storage.Entry) []storage.Entry {
	var counted map[drain.ClusterID]bool
	for id, c := range p.by {
		if !c.Gone {
			continue
		}
		if counted == nil {
			counted = clustersOf(t.Dict)
		}
		if !counted[id] {
			then.Do(func() { delete(p.by, id) })
			delete(p.dirty, id)
			entries = append(entries, storage.Entry{Key: p.key(ks, id)})
		}
	}
	for id := range p.dirty {
		entries = append(entries, storage.Entry{Key: p.key(ks, id), Value: p.by[id].Append(nil)})
	}
	clear(p.dirty)
	return entries
}

// clustersOf are the clusters that a dictionary has.
func clustersOf(d *cells.Dict) map[drain.ClusterID]bool {
	out := map[drain.ClusterID]bool{}
	d.EachKey(func(key string) {
		if l := cells.SplitLabels(key); len(l) > 1 {
			if id, ok := drain.ParseClusterID(l[1]); ok {
				out[id] = true
			}
		}
	})
	return out
}

func (p *patterns) restore(kv model.State) error {
	prefix := kv.Key(storage.TableMeta, model.MetaPatterns)
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		d, c := model.Decoder{B: v}, &drain.Cluster{}
		c.Decode(&d)
		p.by[drain.ClusterID{Partition: int32(binary.BigEndian.Uint32(k[len(prefix):])), ID: c.ID}] = c
		return d.Err
	})
	if err != nil {
		return fmt.Errorf("read log patterns: %w", err)
	}
	return nil
}

// LogPattern is one pattern of log lines, of one or more services, in a range.
type LogPattern struct {
	Pattern             string
	Count               uint64
	Services            []string       // sorted
	FirstSeen, LastSeen time.Time      // over all time
	Sample              string         // the newest line
	Exemplar            model.Exemplar // of the newest line with a trace id
}

// LogPatterns returns the patterns of a range, most frequent first; an empty service means all.
func (s *Set) LogPatterns(from, to time.Time, service string) ([]LogPattern, error) {
	return LogPatterns(s.one(from, to), service)
}

// LogPatterns reads one by one: the ids of clusters mean something within their Set alone.
func LogPatterns(ps []VersionRange, service string) ([]LogPattern, error) {
	var all []cells.TallyRow
	for _, p := range ps {
		rows, err := TableRows([]VersionRange{p}, model.TablePatterns, func(l []string) bool { return service == "" || l[0] == service })
		if err != nil {
			return nil, err
		}
		all = append(all, p.Set.patternRows(rows)...)
	}
	return mergePatterns(all), nil
}

// patternRows puts the pattern in the place of the cluster's id.
func (s *Set) patternRows(rows []cells.TallyRow) []cells.TallyRow {
	s.mu.RLock()
	defer s.mu.RUnlock()
	for i := range rows {
		name := model.Other
		if id, ok := drain.ParseClusterID(rows[i].Labels[1]); ok {
			if c := s.patterns.by[id]; c != nil {
				name = c.Pattern()
			}
		}
		rows[i].Labels[1] = name
	}
	return rows
}

func mergePatterns(rows []cells.TallyRow) []LogPattern {
	by := map[string]*LogPattern{}
	tallies := map[string]*cells.Tally{}
	for i := range rows {
		r := &rows[i]
		name := r.Labels[1]
		p := by[name]
		if p == nil {
			p = &LogPattern{Pattern: name, FirstSeen: r.FirstSeen}
			by[name], tallies[name] = p, &cells.Tally{}
		}
		tallies[name].Merge(&r.Tally)
		if r.FirstSeen.Before(p.FirstSeen) {
			p.FirstSeen = r.FirstSeen
		}
		if r.LastSeen.After(p.LastSeen) {
			p.LastSeen = r.LastSeen
		}
		if !slices.Contains(p.Services, r.Labels[0]) {
			p.Services = append(p.Services, r.Labels[0])
		}
	}
	out := make([]LogPattern, 0, len(by))
	for name, p := range by {
		t := tallies[name]
		p.Count, p.Sample, p.Exemplar = t.Calls, strings.ToValidUTF8(t.Text, "\uFFFD"), t.Latest
		slices.Sort(p.Services)
		out = append(out, *p)
	}
	slices.SortFunc(out, func(a, b LogPattern) int {
		switch {
		case a.Count != b.Count && a.Count > b.Count:
			return -1
		case a.Count != b.Count:
			return 1
		}
		return strings.Compare(a.Pattern, b.Pattern)
	})
	return out
}
