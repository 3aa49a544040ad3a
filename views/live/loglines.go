package live

import (
	"slices"
	"time"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// CountLogs counts the lines that q selects, version after version from the newest.
func (v *View) CountLogs(q views.LogQuery, step time.Duration) (out views.LogCounts, err error) {
	list := v.layout.Of(model.TableLogs.LayoutName())
	if q.Dims == nil {
		q.Dims = v.dims
	}
	if len(list) == 1 {
		return v.sets[list[0].Version].CountLogs(q, step)
	}
	for _, s := range slices.Backward(list) {
		part, ok := v.partOf(q, s)
		if !ok {
			continue
		}
		r, err := v.sets[s.Version].CountLogs(part, step)
		if err != nil {
			return out, err
		}
		out.Counts = append(out.Counts, r.Counts...)
		out.From, out.Exhausted = r.From, r.Exhausted
		if r.Exhausted {
			break
		}
	}
	return out, nil
}

// LogsAfter returns the oldest lines that q selects after a place, version after version from the oldest.
func (v *View) LogsAfter(q views.LogQuery, after views.LogPlace) (out views.LogResult, err error) {
	list := v.layout.Of(model.TableLogs.LayoutName())
	if q.Dims == nil {
		q.Dims = v.dims
	}
	if len(list) == 1 {
		return v.sets[list[0].Version].LogsAfter(q, after)
	}
	q.Limit = max(1, q.Limit)
	for _, s := range list {
		if s.To != 0 && after.At >= uint64(time.Unix(s.To, 0).UnixNano()) {
			continue
		}
		part, ok := v.partOf(q, s)
		if !ok {
			continue
		}
		part.Limit = q.Limit - len(out.Lines)
		r, err := v.sets[s.Version].LogsAfter(part, after)
		if err != nil {
			return out, err
		}
		out.Lines = append(out.Lines, r.Lines...)
		out.Since, out.Exhausted = r.Since, r.Exhausted
		if r.Exhausted || len(out.Lines) == q.Limit {
			break
		}
	}
	return out, nil
}

// partOf is a query of one stretch of versions; false: the stretch has none of its time.
func (v *View) partOf(q views.LogQuery, s model.Stretch) (views.LogQuery, bool) {
	q.From = v.since(q.From, s, v.live.Config().LogRetention)
	if edge := time.Unix(s.To, 0); s.To != 0 && (q.To.IsZero() || edge.Before(q.To)) {
		q.To = edge
	}
	return q, q.To.IsZero() || q.From.Before(q.To)
}

// CountLogs counts the lines that q selects.
func (l *Live) CountLogs(q views.LogQuery, step time.Duration) (views.LogCounts, error) {
	v := l.View()
	defer v.Release()
	return v.CountLogs(q, step)
}

// LogsAfter returns the oldest lines that q selects after a place.
func (l *Live) LogsAfter(q views.LogQuery, after views.LogPlace) (views.LogResult, error) {
	v := l.View()
	defer v.Release()
	return v.LogsAfter(q, after)
}
