package views

import (
	"maps"
	"slices"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/sums"
)

// addMinutes adds the minutes of a segment to the steps of a chart: from what is remembered where the segment holds a whole hour that
// has passed.
func (s *Set) addMinutes(service string, g model.Segment, at func(start int64) *sums.Step) error {
	hour := model.LevelSeconds[model.Levels-1]
	match := func(_ uint32, k model.REDKey) bool { return k.Service == service }
	direct := func(r model.Range) error {
		if r.From >= r.To {
			return nil
		}
		return s.eachRED([]model.Segment{{Level: g.Level, Range: r}}, true, match,
			func(_ uint32, k *model.REDKey, b cells.BucketAt, c *model.REDCounts) { at(b.Start).Add(k, c) })
	}
	from := model.Ceil(g.From, hour)
	to := max(from, min(g.To-g.To%hour, s.head1()-s.head1()%hour))
	if from >= g.To {
		return direct(g.Range)
	}
	if err := direct(model.Range{From: g.From, To: from}); err != nil {
		return err
	}
	var scratch sums.Sum
	for start := from; start < to; start += hour {
		packed, err := s.minutesOf(sums.Hour{Service: service, Start: start}, match)
		if err != nil {
			return err
		}
		for d := (model.Decoder{B: packed}); len(d.B) > 0; {
			t := at(start + int64(d.Uvarint())*model.LevelSeconds[1])
			t.All.AddFrom(&d, &scratch)
			t.Entry.AddFrom(&d, &scratch)
			if d.Err != nil {
				return d.Err
			}
		}
	}
	return direct(model.Range{From: to, To: g.To})
}

// minutesOf returns the minutes of a service's hour.
func (s *Set) minutesOf(h sums.Hour, match func(uint32, model.REDKey) bool) ([]byte, error) {
	changed := s.red.Levels[model.Levels-1].Changed[h.Start]
	if known, ok := s.hours.Get(h); ok && changed <= known.Seq {
		return known.Packed, nil
	}
	var minutes sums.MinuteSums
	err := s.eachRED([]model.Segment{hourSegment(h.Start)}, true, match,
		func(_ uint32, k *model.REDKey, b cells.BucketAt, c *model.REDCounts) { minutes.Add(h.Start, k, b, c) })
	if err != nil {
		return nil, err
	}
	packed := minutes.Pack()
	s.hours.Put(h, sums.Minutes{Seq: s.frontier.Seq, Packed: packed})
	return packed, nil
}

func hourSegment(start int64) model.Segment {
	return model.Segment{Level: 1, Range: model.Range{From: start, To: start + model.LevelSeconds[model.Levels-1]}}
}

// preparedHours is how far back Prepare goes, preparedSeries how many series it sums up at least in one call, preparedCalls in how many
// calls it gets through an hour at most.
const (
	preparedHours  = 25
	preparedSeries = 256
	preparedCalls  = 64
)

// Prepare sums up a piece of what charts of a day will ask for, hours that every partition has passed, newest first, so that the first who
// asks need not wait for it. It is called after each checkpoint, by who takes them; a piece takes some milliseconds.
func (s *Set) Prepare() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &s.preparing
	if len(c.left) == 0 && !s.nextHour() {
		return nil
	}
	want := map[string]*sums.MinuteSums{}
	for n := 0; len(c.left) > 0 && n < c.batch; c.left = c.left[1:] {
		if _, ok := s.hours.Get(sums.Hour{Service: c.left[0].name, Start: c.at}); !ok {
			want[c.left[0].name] = &sums.MinuteSums{}
			n += c.left[0].series
		}
	}
	err := s.eachRED([]model.Segment{hourSegment(c.at)}, true, func(_ uint32, k model.REDKey) bool { return want[k.Service] != nil },
		func(_ uint32, k *model.REDKey, b cells.BucketAt, counts *model.REDCounts) {
			want[k.Service].Add(c.at, k, b, counts)
		})
	if err != nil {
		return err
	}
	for service, sum := range want {
		s.hours.Put(sums.Hour{Service: service, Start: c.at}, sums.Minutes{Seq: s.frontier.Seq, Packed: sum.Pack()})
	}
	return nil
}

// nextHour chooses what Prepare does next; false: there is nothing to do, or no room.
func (s *Set) nextHour() bool {
	c, hour := &s.preparing, model.LevelSeconds[model.Levels-1]
	passed := min(s.head1(), int64(s.complete/1e9))
	passed -= passed%hour + hour // the newest hour that has passed
	since := max(s.since()[1], passed-(preparedHours-1)*hour)
	switch {
	case passed <= 0:
		return false
	case c.newest == 0:
		c.newest, c.oldest, c.at = passed, passed, passed
	case passed > c.newest:
		c.newest = max(c.newest+hour, since)
		c.at = c.newest
		s.hours.Expire(s.since()[1])
	case c.oldest-hour >= since:
		c.oldest -= hour
		c.at = c.oldest
	default:
		return false
	}
	if s.hours.Full() {
		return false
	}
	sizes := map[string]int{}
	for _, k := range s.names.REDKeys(all) {
		sizes[k.Service]++
	}
	n := 0
	for _, name := range slices.Sorted(maps.Keys(sizes)) {
		c.left = append(c.left, serviceSize{name, sizes[name]})
		n += sizes[name]
	}
	c.batch = max(preparedSeries, n/preparedCalls)
	return true
}
