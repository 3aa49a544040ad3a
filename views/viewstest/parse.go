package viewstest

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// ParseLog parses one log line.
func ParseLog(line string) (l LogLine, err error) {
	head, body, _ := strings.Cut(strings.TrimSpace(line), " | ")
	f := strings.Fields(head)
	if len(f) < 3 {
		return l, fmt.Errorf("log line %q: want <time> <service> <severity> | <body>", line)
	}
	at, err := time.ParseDuration(f[0])
	if err != nil {
		return l, err
	}
	l.Log.Time, l.Log.Body = uint64(at), []byte(body)
	if f[1] != "-" {
		l.Resource = model.Resource{Service: []byte(f[1]), HasService: true}
	}
	l.Log.Severity, _ = logs.ParseSeverity(f[2])
	for _, w := range f[3:] {
		switch k, v, _ := strings.Cut(w, "="); k {
		case "id":
			trace, span, _ := strings.Cut(v, "/")
			copy(l.Log.TraceID[:], trace)
			copy(l.Log.SpanID[:], span)
		case "exception":
			typ, msg, _ := strings.Cut(v, ":")
			l.Log.Exception = &model.Exception{Type: []byte(typ), Message: []byte(strings.ReplaceAll(msg, "_", " "))}
		default:
			return l, fmt.Errorf("log line: unknown word %q", w)
		}
	}
	return l, nil
}

func arg(d *datadriven.TestData, name string, def int) int {
	if v, ok := d.Arg(name); ok && len(v.Vals) > 0 {
		n, err := strconv.Atoi(v.Vals[0])
		if err == nil {
			return n
		}
	}
	return def
}

func durationArg(d *datadriven.TestData, name string) time.Duration {
	v, ok := d.Arg(name)
	if !ok || len(v.Vals) == 0 {
		return 0
	}
	dur, err := time.ParseDuration(v.Vals[0])
	if err != nil {
		return -1
	}
	return dur
}

var kindNames = map[string]model.Kind{"unspecified": model.KindUnspecified, "internal": model.KindInternal, "server": model.KindServer,
	"client": model.KindClient, "producer": model.KindProducer, "consumer": model.KindConsumer}

// ParseLine parses one span line.
func ParseLine(line string) (l Line, err error) {
	f := strings.Fields(line)
	if len(f) < 6 {
		return l, fmt.Errorf("span line %q: want <start> <dur> <service> <kind> <name> id=<trace>/<span>", line)
	}
	start, err := time.ParseDuration(f[0])
	if err != nil {
		return l, err
	}
	dur, err := time.ParseDuration(f[1])
	if err != nil {
		return l, err
	}
	kind, ok := kindNames[f[3]]
	if !ok {
		return l, fmt.Errorf("span line %q: no kind %q", line, f[3])
	}
	s := &l.Span
	s.Start, s.End, s.Kind, s.Name, s.Size = uint64(start), uint64(start+dur), kind, []byte(f[4]), 100
	if f[2] != "-" {
		l.Resource = model.Resource{Service: []byte(f[2]), HasService: true}
	}
	id, parent, _ := strings.Cut(strings.TrimPrefix(f[5], "id="), "<")
	trace, span, _ := strings.Cut(id, "/")
	copy(s.TraceID[:], trace)
	copy(s.SpanID[:], span)
	copy(s.ParentID[:], parent)
	for _, w := range f[6:] {
		if err := l.word(w); err != nil {
			return l, err
		}
	}
	return l, nil
}

func (l *Line) word(w string) error {
	s := &l.Span
	k, v, _ := strings.Cut(w, "=")
	switch to := l.attributes()[k]; {
	case w == "error":
		s.Status = model.StatusError
	case w == "ok":
		s.Status = model.StatusOK
	case k == "exception":
		typ, msg, _ := strings.Cut(v, ":")
		s.Exceptions = append(s.Exceptions, model.Exception{Type: []byte(typ), Message: []byte(strings.ReplaceAll(msg, "_", " "))})
	case to != nil:
		*to = []byte(v)
	default:
		return fmt.Errorf("span line: unknown word %q", w)
	}
	return nil
}

func (l *Line) attributes() map[string]*[]byte {
	s := &l.Span
	return map[string]*[]byte{"peer.service": &s.PeerService, "db.name": &s.DBName, "db.namespace": &s.DBNamespace,
		"db.system": &s.DBSystem, "db.system.name": &s.DBSystemName, "server.address": &s.ServerAddress, "net.peer.name": &s.NetPeerName,
		"messaging.destination.name": &s.Destination, "tracestate": &s.TraceState, "resource.db.name": &l.Resource.DBName,
		"messaging.system": &s.MessagingSystem, "db.operation.name": &s.DBOperation, "db.collection.name": &s.DBCollection,
		"service.version": &l.Resource.Version}
}
