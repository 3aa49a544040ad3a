package views

import (
	"encoding/binary"
	"maps"
	"slices"
	"sync"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// serviceHours remembers the minutes of services' past hours, because charts of a day are asked for again and again and their minutes
// lie in a thousand places. What it holds of an hour is good until a checkpoint adds to the hour.
type serviceHours struct {
	mu   sync.Mutex
	by   map[serviceHour]hourMinutes
	held int // bytes in by
	most int // of held

	// used by Prepare alone: the hours from oldest to newest are done but for the services that are left of one
	newest, oldest, at int64
	left               []serviceSize
	batch              int // series
}

type serviceHour struct {
	service string
	start   int64
}

// hourMinutes are the minutes that have any spans: each the number of the minute, then the counts of all spans and of entry spans.
type hourMinutes struct {
	seq    uint64 // of the state that was summed up
	packed []byte
}

// step is what a chart adds up in one of its steps.
type step struct{ all, entry sum }

func (t *step) add(k *model.REDKey, c *model.REDCounts) {
	t.all.add(k, c)
	if k.Entry() {
		t.entry.add(k, c)
	}
}

func (t *sum) append(b []byte) []byte {
	b = binary.AppendUvarint(b, t.calls)
	b = binary.AppendUvarint(b, t.errors)
	return t.hist.Append(b)
}

// addFrom adds what append wrote; scratch is overwritten.
func (t *sum) addFrom(d *model.Decoder, scratch *sum) {
	scratch.calls, scratch.errors = d.Uvarint(), d.Uvarint()
	scratch.hist.Decode(d)
	t.merge(scratch)
}

// addMinutes adds the minutes of a segment to the steps of a chart: from what is remembered where the segment holds a whole hour that
// has passed.
func (s *Set) addMinutes(service string, g model.Segment, at func(start int64) *step) error {
	hour := model.LevelSeconds[model.Levels-1]
	match := func(_ uint32, k model.REDKey) bool { return k.Service == service }
	direct := func(r model.Range) error {
		if r.From >= r.To {
			return nil
		}
		return s.eachRED([]model.Segment{{Level: g.Level, Range: r}}, true, match,
			func(_ uint32, k *model.REDKey, b cells.BucketAt, c *model.REDCounts) { at(b.Start).add(k, c) })
	}
	from := model.Ceil(g.From, hour)
	to := max(from, min(g.To-g.To%hour, s.head1()-s.head1()%hour))
	if from >= g.To {
		return direct(g.Range)
	}
	if err := direct(model.Range{From: g.From, To: from}); err != nil {
		return err
	}
	var scratch sum
	for start := from; start < to; start += hour {
		packed, err := s.minutesOf(serviceHour{service, start}, match)
		if err != nil {
			return err
		}
		for d := (model.Decoder{B: packed}); len(d.B) > 0; {
			t := at(start + int64(d.Uvarint())*model.LevelSeconds[1])
			t.all.addFrom(&d, &scratch)
			t.entry.addFrom(&d, &scratch)
			if d.Err != nil {
				return d.Err
			}
		}
	}
	return direct(model.Range{From: to, To: g.To})
}

// minutesOf returns the minutes of a service's hour.
func (s *Set) minutesOf(h serviceHour, match func(uint32, model.REDKey) bool) ([]byte, error) {
	changed := s.red.Levels[model.Levels-1].Changed[h.start]
	if known, ok := s.hours.get(h); ok && changed <= known.seq {
		return known.packed, nil
	}
	var minutes hourSum
	err := s.eachRED([]model.Segment{hourSegment(h.start)}, true, match,
		func(_ uint32, k *model.REDKey, b cells.BucketAt, c *model.REDCounts) { minutes.add(h.start, k, b, c) })
	if err != nil {
		return nil, err
	}
	packed := minutes.pack()
	s.hours.put(h, hourMinutes{s.frontier.Seq, packed})
	return packed, nil
}

// hourSum adds up the minutes of an hour.
type hourSum [60]step

func hourSegment(start int64) model.Segment {
	return model.Segment{Level: 1, Range: model.Range{From: start, To: start + model.LevelSeconds[model.Levels-1]}}
}

func (t *hourSum) add(hour int64, k *model.REDKey, b cells.BucketAt, c *model.REDCounts) {
	t[(b.Start-hour)/model.LevelSeconds[1]].add(k, c)
}

func (t *hourSum) pack() (packed []byte) {
	for i := range t {
		if m := &t[i]; m.all.calls > 0 {
			packed = binary.AppendUvarint(packed, uint64(i))
			packed = m.entry.append(m.all.append(packed))
		}
	}
	return packed
}

func (c *serviceHours) get(h serviceHour) (hourMinutes, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.by[h]
	return known, ok
}

// size is about what an hour takes.
func (h *hourMinutes) size(of serviceHour) int { return len(h.packed) + len(of.service) + 96 }

// put remembers an hour; of more than fit, any others are forgotten.
func (c *serviceHours) put(h serviceHour, m hourMinutes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[serviceHour]hourMinutes{}
	}
	c.drop(h)
	for other := range c.by {
		if c.held+m.size(h) <= c.most {
			break
		}
		c.drop(other)
	}
	c.by[h] = m
	c.held += m.size(h)
}

func (c *serviceHours) drop(h serviceHour) {
	if old, ok := c.by[h]; ok {
		c.held -= old.size(h)
		delete(c.by, h)
	}
}

// expire forgets hours before since.
func (c *serviceHours) expire(since int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := range c.by {
		if h.start < since {
			c.drop(h)
		}
	}
}

func (c *serviceHours) full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held > c.most*9/10
}

// preparedHours is how far back Prepare goes, preparedSeries how many series it sums up at least in one call, preparedCalls in how many
// calls it gets through an hour at most.
const (
	preparedHours  = 25
	preparedSeries = 256
	preparedCalls  = 64
)

// serviceSize is a service and how many series it has.
type serviceSize struct {
	name   string
	series int
}

// Prepare sums up a piece of what charts of a day will ask for, hours that every partition has passed, newest first, so that the first who
// asks need not wait for it. It is called after each checkpoint, by who takes them; a piece takes some milliseconds.
func (s *Set) Prepare() error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	c := &s.hours
	if len(c.left) == 0 && !s.nextHour() {
		return nil
	}
	want := map[string]*hourSum{}
	for n := 0; len(c.left) > 0 && n < c.batch; c.left = c.left[1:] {
		if _, ok := c.get(serviceHour{c.left[0].name, c.at}); !ok {
			want[c.left[0].name] = &hourSum{}
			n += c.left[0].series
		}
	}
	err := s.eachRED([]model.Segment{hourSegment(c.at)}, true, func(_ uint32, k model.REDKey) bool { return want[k.Service] != nil },
		func(_ uint32, k *model.REDKey, b cells.BucketAt, counts *model.REDCounts) {
			want[k.Service].add(c.at, k, b, counts)
		})
	if err != nil {
		return err
	}
	for service, sum := range want {
		c.put(serviceHour{service, c.at}, hourMinutes{s.frontier.Seq, sum.pack()})
	}
	return nil
}

// nextHour chooses what Prepare does next; false: there is nothing to do, or no room.
func (s *Set) nextHour() bool {
	c, hour := &s.hours, model.LevelSeconds[model.Levels-1]
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
		c.expire(s.since()[1])
	case c.oldest-hour >= since:
		c.oldest -= hour
		c.at = c.oldest
	default:
		return false
	}
	if c.full() {
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
