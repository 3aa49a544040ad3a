package telemetry

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// Exceptions, each counted once. Many SDKs record an exception as an event of its span and also write a log record about it. The table
// of exceptions counts both, by source; here the two counts of a service become one where they are of the same exceptions.

// exceptionGroup is the exceptions of one type and message pattern, whatever their service, operation and source.
type exceptionGroup struct {
	rest.Exception
	rows    []*cells.TallyRow
	counted map[string]counted // by service and dimensions
}

// counted is how the exceptions of one service were counted.
type counted struct {
	rows        []*cells.TallyRow
	spans, logs uint64
	merged      rest.ExceptionMerged
}

// count is how many exceptions there were: of two counts of the same, the larger.
func (c *counted) count() uint64 {
	if c.merged == rest.Checked || c.merged == rest.Assumed {
		return max(c.spans, c.logs)
	}
	return c.spans + c.logs
}

// maxChecks bounds how many log records are compared with their spans for one answer.
const maxChecks = 50

// exceptionRange selects exceptions.
type exceptionRange struct {
	answer.Range
	service, typ *string
	id           string // of the one group that is wanted; "": all
	checks       int    // that are left
}

func (q *exceptionRange) match(l []string) bool {
	return (q.service == nil || l[0] == *q.service) && (q.typ == nil || l[2] == *q.typ) && (q.id == "" || exceptionID(l) == q.id)
}

// exceptions are the groups with anything in the range, the most frequent first.
func (s *Services) exceptions(m answer.Moment, q *exceptionRange) ([]*exceptionGroup, error) {
	rows, err := m.Views.TableRows(model.TableErrors, q.Start, q.End, q.match)
	if err != nil {
		return nil, err
	}
	by := map[string]*exceptionGroup{}
	for i := range rows {
		r := &rows[i]
		id := exceptionID(r.Labels)
		if by[id] == nil {
			by[id] = &exceptionGroup{counted: map[string]counted{}, Exception: rest.Exception{Id: id, Type: r.Labels[2], Message: r.Labels[3],
				Merged: rest.None, FirstVersions: []rest.ExceptionVersion{}, Traces: []string{}}}
		}
		by[id].rows = append(by[id].rows, r)
	}
	out := make([]*exceptionGroup, 0, len(by))
	for _, g := range by {
		slices.SortStableFunc(g.rows, func(a, b *cells.TallyRow) int { return cmp.Compare(b.Calls, a.Calls) })
		out = append(out, g)
	}
	slices.SortFunc(out, func(a, b *exceptionGroup) int { return cmp.Compare(a.Id, b.Id) })
	for _, g := range out {
		if err := g.add(m, q); err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, func(a, b *exceptionGroup) int { return cmp.Compare(exceptionKey(a), exceptionKey(b)) })
	return out, s.seen(m, q, by)
}

// exceptionID names the group of a row in URLs.
func exceptionID(labels []string) string {
	sum := sha256.Sum256([]byte(labels[2] + "\x00" + labels[3]))
	return hex.EncodeToString(sum[:8])
}

// exceptionKey orders groups as their list.
func exceptionKey(g *exceptionGroup) string { return fmt.Sprintf("%020d %s", ^uint64(g.Count), g.Id) }

// add sums up the rows of a group.
func (g *exceptionGroup) add(m answer.Moment, q *exceptionRange) error {
	services, sources := map[string]int64{}, map[string]int64{}
	newest := g.rows[0]
	for _, r := range g.rows {
		place := r.Labels[0] + "\x00" + dimensionText(r.Dims().Map())
		c := g.counted[place]
		c.rows = append(c.rows, r)
		if r.Labels[4] == string(rest.ExceptionSourceSourceLog) {
			c.logs += r.Calls
		} else {
			c.spans += r.Calls
		}
		g.counted[place] = c
		sources[r.Labels[4]] += int64(r.Calls)
		if r.Latest.End > newest.Latest.End {
			newest = r
		}
		if id := answer.HexOrEmpty(r.Latest.TraceID[:]); id != "" && !slices.Contains(g.Traces, id) && len(g.Traces) < shownTraces {
			g.Traces = append(g.Traces, id)
		}
	}
	g.Sample = answer.ValidText(newest.Text)
	for place, c := range g.counted {
		var err error
		if c.merged, err = c.compare(m, q); err != nil {
			return err
		}
		g.counted[place] = c
		g.Count += int64(c.count())
		services[c.rows[0].Labels[0]] += int64(c.count())
		if slices.Index(caution, c.merged) > slices.Index(caution, g.Merged) {
			g.Merged = c.merged
		}
	}
	for name, n := range services {
		g.Services = append(g.Services, rest.ExceptionService{Service: name, Count: n})
	}
	for name, n := range sources {
		g.Sources = append(g.Sources, rest.ExceptionSource{Source: rest.ExceptionSourceSource(name), Count: n})
	}
	slices.SortFunc(g.Services, func(a, b rest.ExceptionService) int {
		return cmp.Or(cmp.Compare(b.Count, a.Count), cmp.Compare(a.Service, b.Service))
	})
	slices.SortFunc(g.Sources, func(a, b rest.ExceptionSource) int { return -cmp.Compare(a.Source, b.Source) })
	return nil
}

const shownTraces = 10

// caution orders how counts became one: what a group says is what is the least certain of its services.
var caution = []rest.ExceptionMerged{rest.None, rest.Distinct, rest.Checked, rest.Assumed}

// compare says whether the log records of a service are about exceptions that its spans recorded too. An example decides: whether the
// span that the newest record names has an exception of this type.
func (c *counted) compare(m answer.Moment, q *exceptionRange) (rest.ExceptionMerged, error) {
	if c.spans == 0 || c.logs == 0 {
		return rest.None, nil
	}
	i := slices.IndexFunc(c.rows, func(r *cells.TallyRow) bool { return r.Labels[4] == string(rest.ExceptionSourceSourceLog) })
	at := c.rows[i].Latest
	if at.TraceID == ([16]byte{}) || at.SpanID == ([8]byte{}) {
		return rest.Distinct, nil
	}
	if q.checks <= 0 {
		return rest.Assumed, nil
	}
	q.checks--
	found, known, err := older.SpanException(m, at, c.rows[i].Labels[2])
	switch {
	case err != nil:
		return "", err
	case found != nil:
		return rest.Checked, nil
	case known:
		return rest.Distinct, nil
	}
	return rest.Assumed, nil
}

// seen sets when groups were first and last seen, over all time and all their series, and by which version first.
func (s *Services) seen(m answer.Moment, q *exceptionRange, by map[string]*exceptionGroup) error {
	lines, err := m.Views.SelectTable(model.TableErrors, q.End, q.End, q.match)
	if err != nil {
		return err
	}
	first := map[string]*cells.TallyTimeline{} // with what a group began
	for i := range lines {
		l := &lines[i]
		id := exceptionID(l.Labels)
		g := by[id]
		if g == nil || l.Base.First == 0 {
			continue
		}
		if first[id] == nil || l.Base.First < first[id].Base.First {
			first[id] = l
			g.FirstSeen = answer.TimeOrNil(time.Unix(0, int64(l.Base.First)))
		}
		if last := time.Unix(0, int64(l.Base.Last)); g.LastSeen == nil || last.After(*g.LastSeen) {
			g.LastSeen = answer.TimeOrNil(last)
		}
	}
	versions, err := m.Views.SelectTable(model.TableVersions, q.End, q.End, func([]string) bool { return true })
	if err != nil {
		return err
	}
	for id, l := range first {
		for i := range versions {
			v := &versions[i]
			if v.Labels[0] == l.Labels[0] && v.Base.First <= l.Base.First && l.Base.First <= v.Base.Last {
				by[id].FirstVersions = append(by[id].FirstVersions, rest.ExceptionVersion{Service: v.Labels[0], Version: v.Labels[1]})
			}
		}
		slices.SortFunc(by[id].FirstVersions, func(a, b rest.ExceptionVersion) int { return cmp.Compare(a.Version, b.Version) })
		by[id].FirstVersions = slices.Compact(by[id].FirstVersions)
	}
	return nil
}

// ListExceptions implements rest.StrictServerInterface.
func (s *Services) ListExceptions(ctx context.Context, in rest.ListExceptionsRequestObject) (rest.ListExceptionsResponseObject, error) {
	m, p := s.Moment(ctx), in.Params
	r, err := m.RangeOf(p.Start, p.End, answer.DefaultRange)
	if err != nil {
		return nil, err
	}
	since, err := newSince(p.NewSince)
	if err != nil {
		return nil, err
	}
	q := &exceptionRange{Range: r, service: p.Service, typ: p.Type, checks: maxChecks}
	groups, err := s.exceptions(m, q)
	if err != nil {
		return nil, err
	}
	groups = slices.DeleteFunc(groups, func(g *exceptionGroup) bool { return g.FirstSeen != nil && g.FirstSeen.Before(since) })
	groups, next, err := answer.Page(groups, answer.LimitOf(p.Limit), p.Next, exceptionKey)
	if err != nil {
		return nil, err
	}
	out := rest.ListExceptions200JSONResponse{Exceptions: make([]rest.Exception, 0, len(groups)), Total: len(groups), Next: next,
		Meta: s.Meta(m, r)}
	if p.Step != nil {
		step, err := m.StepOf(r, p.Step)
		if err != nil {
			return nil, err
		}
		width := int64(step / time.Second)
		out.StepS = &width
		if err := exceptionPoints(m, q, groups, width); err != nil {
			return nil, err
		}
	}
	for _, g := range groups {
		out.Exceptions = append(out.Exceptions, g.Exception)
	}
	return out, nil
}

// exceptionPoints sets the counts of groups over time. Where two sources have the same exceptions, that with more of them counts.
func exceptionPoints(m answer.Moment, q *exceptionRange, groups []*exceptionGroup, width int64) error {
	lines, err := m.Views.SelectTable(model.TableErrors, q.Start, q.End, q.match)
	if err != nil {
		return err
	}
	by := map[string]*exceptionGroup{}
	counts := map[string]map[int64]int64{}
	for _, g := range groups {
		by[g.Id], counts[g.Id] = g, map[int64]int64{}
	}
	for i := range lines {
		l := &lines[i]
		g := by[exceptionID(l.Labels)]
		if g == nil {
			continue
		}
		c := g.counted[l.Labels[0]+"\x00"+dimensionText(l.Dims().Map())]
		ofLog := l.Labels[4] == string(rest.ExceptionSourceSourceLog)
		if (c.merged == rest.Checked || c.merged == rest.Assumed) && ofLog != (c.logs > c.spans) {
			continue
		}
		for _, step := range stepsOf(l.Cells, width) {
			counts[g.Id][step.Bucket] += int64(step.Calls)
		}
	}
	for id, at := range counts {
		points := make([]rest.CountPoint, 0, len(at))
		for bucket, n := range at {
			points = append(points, rest.CountPoint{Time: time.Unix(bucket, 0).UTC(), Count: n})
		}
		slices.SortFunc(points, func(a, b rest.CountPoint) int { return a.Time.Compare(b.Time) })
		by[id].Points = &points
	}
	return nil
}
