package status

import (
	"context"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/pipeline/progress"
)

// historyPoints is how many points of a course are answered at most.
const historyPoints = 300

// GetPipelineHistory implements rest.StrictServerInterface.
func (s *Status) GetPipelineHistory(ctx context.Context, q rest.GetPipelineHistoryRequestObject) (rest.GetPipelineHistoryResponseObject, error) {
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Params.Start, q.Params.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	r = reached(r, m.Now)
	var list []progress.Sample
	if s.History != nil {
		list = s.History.Between(r.Start.Add(-progress.HistoryStep), r.End)
	}
	return rest.GetPipelineHistory200JSONResponse(historyOf(list, r)), nil
}

// reached is the part of a range of which there can be samples, however long the range is.
func reached(r answer.Range, now time.Time) answer.Range {
	if first := now.Add(-progress.HistoryLength); r.Start.Before(first) {
		r.Start = first
	}
	if r.End.After(now) {
		r.End = now
	}
	if r.End.Before(r.Start) {
		r.End = r.Start
	}
	return r
}

// historyOf divides a range into steps. Of a lag the largest value of a step is shown; rates are those between the first and the last sample
// that reach into it.
func historyOf(list []progress.Sample, r answer.Range) rest.PipelineHistory {
	step := (1 + (r.End.Sub(r.Start)-1)/historyPoints/progress.HistoryStep) * progress.HistoryStep
	start := r.Start.Truncate(step)
	n := int((r.End.Sub(start) + step - 1) / step)
	out := rest.PipelineHistory{StepS: int64(step / time.Second), Times: make([]int64, n), Topics: []rest.PipelineTopicHistory{},
		SpansPerS: make([]*float64, n), LinesPerS: make([]*float64, n), PointsPerS: make([]*float64, n), DiskBytes: make([]*int64, n),
		ReachesS: int64(progress.HistoryLength / time.Second)}
	for i := range out.Times {
		out.Times[i] = start.Add(time.Duration(i) * step).Unix()
	}
	topics := map[string]int{}
	for i := range list {
		b := &list[i]
		for _, t := range b.Topics {
			if _, ok := topics[t.Topic]; !ok {
				topics[t.Topic] = len(out.Topics)
				out.Topics = append(out.Topics, rest.PipelineTopicHistory{Topic: t.Topic, Lag: make([]*int64, n), BehindMs: make([]*float64, n),
					RecordsPerS: make([]*float64, n)})
			}
		}
		at := int(b.At.Sub(start) / step)
		if b.At.Before(start) || at >= n {
			continue
		}
		if b.DiskBytes > 0 {
			out.DiskBytes[at] = &b.DiskBytes
		}
		for _, t := range b.Topics {
			o := &out.Topics[topics[t.Topic]]
			o.Lag[at] = larger(o.Lag[at], t.Lag)
			o.BehindMs[at] = larger(o.BehindMs[at], answer.Millis(t.Behind))
		}
		if i == 0 {
			continue
		}
		a := before(list[:i], start.Add(time.Duration(at)*step))
		out.SpansPerS[at], out.LinesPerS[at], out.PointsPerS[at] = perSecond(a, b, int64(b.Spans-a.Spans)), perSecond(a, b, int64(b.Lines-a.Lines)),
			perSecond(a, b, int64(b.Points-a.Points))
		for _, t := range b.Topics {
			if k := slices.IndexFunc(a.Topics, func(o progress.TopicState) bool { return o.Topic == t.Topic }); k >= 0 {
				out.Topics[topics[t.Topic]].RecordsPerS[at] = perSecond(a, b, t.Read-a.Topics[k].Read)
			}
		}
	}
	return out
}

// before is the last sample before a time, or the first one.
func before(list []progress.Sample, t time.Time) *progress.Sample {
	i, _ := slices.BinarySearchFunc(list, t, func(s progress.Sample, t time.Time) int { return s.At.Compare(t) })
	return &list[max(0, i-1)]
}

// perSecond is nil where a counter fell, as when other views took the place of those that answered.
func perSecond(a, b *progress.Sample, more int64) *float64 {
	seconds := b.At.Sub(a.At).Seconds()
	if more < 0 || seconds <= 0 {
		return nil
	}
	rate := float64(more) / seconds
	return &rate
}

func larger[N int64 | float64](old *N, v N) *N {
	if old != nil && *old >= v {
		return old
	}
	return &v
}
