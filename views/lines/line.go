package lines

import (
	"cmp"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// Line is one line as it came.
type Line struct {
	Time                 time.Time
	Service              string
	HasService           bool
	Severity             logs.Severity
	SeverityText         string // as it was sent
	SeverityNumber       int32  // as it was sent, else what the text stands for; 0: not known
	Body                 string
	Event                string // name of the event; "": it is none
	Scope, ScopeVersion  string // what wrote it
	TraceID              [16]byte
	SpanID               [8]byte
	Attributes, Resource map[string]any
	place                Place
}

// Place names a line among all that are kept; "" of a line that is not.
func (l *Line) Place() string {
	if l.place == (Place{}) {
		return ""
	}
	return l.place.String()
}

// Place orders lines: by time, then by where they are stored. The zero value is none.
type Place struct {
	At    uint64 // Unix nanoseconds
	Seq   uint64
	Block uint32
	Index int
}

// ParsePlace reads what String wrote.
func ParsePlace(text string) (p Place, ok bool) {
	n, err := fmt.Sscanf(text, "%d.%d.%d.%d", &p.At, &p.Seq, &p.Block, &p.Index)
	return p, n == 4 && err == nil && p.Index >= 0
}

// String names a place.
func (p Place) String() string { return fmt.Sprintf("%d.%d.%d.%d", p.At, p.Seq, p.Block, p.Index) }

// Compare orders two places.
func (p Place) Compare(o Place) int {
	return cmp.Or(cmp.Compare(p.At, o.At), cmp.Compare(p.Seq, o.Seq), cmp.Compare(p.Block, o.Block), cmp.Compare(p.Index, o.Index))
}

// Hit is a line that was found: most are not shown in the end, so only the others are built.
type Hit struct {
	Place    Place
	Of       model.Resource
	Resource plog.ResourceLogs
	Scope    plog.ScopeLogs
	Record   plog.LogRecord
}

// Line is the line that was found.
func (h *Hit) Line() Line {
	return Line{Time: model.Time(h.Place.At), Service: string(h.Of.Service), HasService: h.Of.HasService,
		Severity: logs.SeverityOf(int32(h.Record.SeverityNumber()), h.Record.SeverityText()), SeverityText: attr.ValidUTF8(h.Record.SeverityText()),
		SeverityNumber: attr.Severity(int32(h.Record.SeverityNumber()), h.Record.SeverityText()), Event: logs.EventName(h.Record),
		Scope: attr.ValidUTF8(h.Scope.Scope().Name()), ScopeVersion: attr.ValidUTF8(h.Scope.Scope().Version()),
		Body: attr.Text(h.Record.Body()), TraceID: h.Record.TraceID(), SpanID: h.Record.SpanID(), Attributes: attr.Map(h.Record.Attributes()),
		Resource: attr.Map(h.Resource.Resource().Attributes()), place: h.Place}
}
