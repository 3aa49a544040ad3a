package intake

import (
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// stagedLog is one staged line.
type stagedLog struct {
	service string
	dims    model.Dims
	body    []byte
	at      uint64
	ex      model.Exemplar
	severe  bool
}

// Log stages one line of the record.
func (a *Accumulator) Log(r *model.Resource, l *logs.Record) {
	a.counts.Logs++
	if !r.HasService {
		a.counts.Unattributed++
	}
	at, shifted := a.lineClock().At(l.Time)
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
		a.tally(model.TableErrors, cells.Tallied{N: 1, Failed: l.Severity >= logs.SeverityError, At: at, Ex: ex, Text: cutText(e.Message)})
	}
	a.logs = append(a.logs, stagedLog{service: string(r.Service), dims: dims, body: l.Text(), at: at, ex: ex,
		severe: l.Severity >= logs.SeverityWarn})
}

// endLogs finds the patterns of the staged lines and keeps the record.
func (a *Accumulator) endLogs() {
	if len(a.logs) == 0 {
		return
	}
	if c := &a.shared.Config; c.LogBytes > 0 && c.LogRetention >= 0 {
		a.key = a.lineClock().Append(a.key[:0], len(a.record.Value))
		a.cur.Raw[RawLogs].Add(a.shared.Spare, a.key, a.record.Value, a.begin, a.end)
	}
	if a.drains == nil {
		a.drains = a.shared.Patterns(a.partition)
	}
	for i := range a.logs {
		l := &a.logs[i]
		name := []byte(model.Other)
		if c := a.drains.Add(l.service, l.body); c != nil {
			name = drain.ClusterID{Partition: a.partition, ID: c.ID}.Label(nil)
		}
		a.key = cells.AppendDims(cells.AppendLabel(cells.AppendLabel(a.key[:0], []byte(l.service)), name), l.dims)
		c, over := a.cur.Tables[model.TablePatterns].Cell(a.shared.Dicts[model.TablePatterns], a.key, model.BucketStart(l.at))
		if over {
			a.cur.Counts.Overflowed++
		}
		c.Observe(&cells.Tallied{N: 1, Failed: l.severe, At: l.at, Ex: l.ex, Text: cutText(l.body)})
	}
	a.logs = a.logs[:0]
}
