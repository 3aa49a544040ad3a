package views

import (
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/model"
)

// LogPattern is one pattern of log lines, of one or more services, in a range.
type LogPattern struct {
	Pattern             string
	Count, Severe       uint64         // lines, and those of WARN and above
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
			if c := s.patterns.By[id]; c != nil {
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
		p.Count, p.Severe, p.Sample, p.Exemplar = t.Calls, t.Failed, strings.ToValidUTF8(t.Text, "\uFFFD"), t.Latest
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
