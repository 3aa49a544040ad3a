package telemetry

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/lines"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// GetLogVolume implements rest.StrictServerInterface.
func (s *Logs) GetLogVolume(ctx context.Context, q rest.GetLogVolumeRequestObject) (rest.GetLogVolumeResponseObject, error) {
	m, p := s.Moment(ctx), q.Params
	r, err := m.RangeOf(p.Start, p.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	step, err := m.StepOf(r, p.Step)
	if err != nil {
		return nil, err
	}
	filter, err := (&LogQuery{Conditions: answer.Value(p.Attributes), Service: p.Service, Severity: (*string)(p.Severity),
		Text: p.Text, Pattern: p.Pattern, TraceID: p.TraceId}).Filter()
	if err != nil {
		return nil, err
	}
	filter.From, filter.To = r.Start, r.End
	v := volume{}
	var from older.Provenance
	if older.Counted(&filter) {
		err = s.countedVolume(ctx, m, filter, step, &from, v)
	} else if err = s.Older.Volume(ctx, filter, m.Views.Kept().Logs, step, &from, v.add); err == nil {
		err = s.Older.CountKept(m, filter, step, &from, v.add)
	}
	if err != nil {
		return nil, err
	}
	return rest.GetLogVolume200JSONResponse{Buckets: v.list(), StepS: int64(step / time.Second), Meta: from.Meta(s.Moments, m, r)}, nil
}

// countedVolume is the volume that tables hold.
func (s *Logs) countedVolume(ctx context.Context, m answer.Moment, q views.LogQuery, step time.Duration, from *older.Provenance,
	v volume) error {
	if err := s.Older.Volume(ctx, q, m.Frontier.Since, step, from, v.add); err != nil {
		return err
	}
	counted := q.From // what the store has counted the views do not count again
	if !from.Since.IsZero() {
		counted = answer.Earlier(answer.Later(q.From, m.Frontier.Since), q.To)
	}
	lines, err := m.Views.SelectTable(model.TableLogs, counted, q.To, func(l []string) bool {
		severity, _ := logs.ParseSeverity(l[1])
		return (q.Service == "" || l[0] == q.Service) && severity >= q.MinSeverity
	})
	if err != nil {
		return err
	}
	for i := range lines {
		for _, c := range stepsOf(lines[i].Cells, int64(step/time.Second)) {
			v.add(c.Bucket, lines[i].Labels[0], lines[i].Labels[1], int64(c.Calls), int64(c.Size))
		}
	}
	return nil
}

// volume counts lines by step, service and severity.
type volume map[volumeKey]*rest.LogBucket

type volumeKey struct {
	at                int64
	service, severity string
}

func (v volume) add(at int64, service, severity string, lines, bytes int64) {
	k := volumeKey{at, service, severity}
	if v[k] == nil {
		v[k] = &rest.LogBucket{Time: time.Unix(at, 0).UTC(), Service: service, Severity: severity}
	}
	v[k].Count += lines
	v[k].Bytes += bytes
}

func (v volume) list() []rest.LogBucket {
	out := make([]rest.LogBucket, 0, len(v))
	for _, b := range v {
		out = append(out, *b)
	}
	slices.SortFunc(out, func(a, b rest.LogBucket) int {
		return cmp.Or(a.Time.Compare(b.Time), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Severity, b.Severity))
	})
	return out
}

// stepsOf adds up cells to steps of a width in seconds.
func stepsOf(inRange []cells.TallyCell, width int64) (out []cells.TallyCell) {
	for i := range inRange {
		at := inRange[i].Bucket - inRange[i].Bucket%width
		if n := len(out); n == 0 || out[n-1].Bucket != at {
			out = append(out, cells.TallyCell{Bucket: at, Width: width})
		}
		last := &out[len(out)-1]
		last.Calls += inRange[i].Calls
		last.Size += inRange[i].Size
	}
	return out
}

// GetLogContext implements rest.StrictServerInterface.
func (s *Logs) GetLogContext(ctx context.Context, q rest.GetLogContextRequestObject) (rest.GetLogContextResponseObject, error) {
	m, p := s.Moment(ctx), q.Params
	at, err := answer.ParseTime("time", p.Time)
	if err != nil {
		return nil, err
	}
	filter, err := (&LogQuery{Conditions: answer.Value(p.Attributes), Service: p.Service}).Filter()
	if err != nil {
		return nil, err
	}
	filter.To = m.Now.Add(time.Hour) // whatever is known
	// Without a place, the line's instant as a whole is left out.
	nanos := uint64(max(0, at.UnixNano()))
	before, after := views.LogPlace{At: nanos}, views.LogPlace{At: nanos, Seq: 1<<64 - 1}
	if p.Line != nil {
		c, ok := lines.ParsePlace(*p.Line)
		if !ok || c.At != nanos {
			return nil, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_line", "line: %q is no id of a line of that time", *p.Line),
				"Give time and id of a line as an answer has them.")
		}
		before, after = c, c
	}
	out := rest.GetLogContext200JSONResponse{Before: []rest.LogLine{}, After: []rest.LogLine{}}
	r := answer.Range{Start: at, End: at}
	var from older.Provenance
	if n := answer.Or(p.Before, contextLines); n > 0 {
		back := filter
		back.Limit, back.To = n, at.Add(1)
		found, err := s.Older.Search(ctx, m, back, older.LogCursor{View: &before})
		if err != nil {
			return nil, err
		}
		for _, l := range slices.Backward(found.Lines) {
			if p.Line != nil && l.Place() != "" || l.Time.Before(at) {
				out.Before = append(out.Before, LogLine(&l))
			}
		}
		from = found.Provenance
	}
	out.Meta = from.Meta(s.Moments, m, r)
	if n := answer.Or(p.After, contextLines); n > 0 {
		forth := filter
		forth.Limit = n
		found, err := s.Older.After(ctx, m, forth, after)
		if err != nil {
			return nil, err
		}
		for i := range found.Lines {
			out.After = append(out.After, LogLine(&found.Lines[i]))
		}
		out.Meta = found.Meta(s.Moments, m, r)
		for _, w := range from.Warnings {
			answer.Warn(&out.Meta, "%s", w)
		}
	}
	return out, nil
}

// contextLines is how many lines are shown before and after a line.
const contextLines = 10
