package views

import (
	"encoding/binary"
	"sync"
)

// serviceHours remembers the minutes of services' past hours, because charts of a day are asked for again and again and their minutes
// lie in a thousand places. What it holds of an hour is good until a checkpoint adds to the hour.
type serviceHours struct {
	mu   sync.Mutex
	by   map[serviceHour]hourMinutes
	held int // bytes in by
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

// maxServiceHours bounds the bytes that are remembered.
const maxServiceHours = 48 << 20

// step is what a chart adds up in one of its steps.
type step struct{ all, entry sum }

func (t *step) add(k *REDKey, c *redCounts) {
	t.all.add(k, c)
	if k.entry() {
		t.entry.add(k, c)
	}
}

func (t *sum) append(b []byte) []byte {
	b = binary.AppendUvarint(b, t.calls)
	b = binary.AppendUvarint(b, t.errors)
	return t.hist.append(b)
}

// addFrom adds what append wrote; scratch is overwritten.
func (t *sum) addFrom(d *decoder, scratch *sum) {
	scratch.calls, scratch.errors = d.uvarint(), d.uvarint()
	scratch.hist.decode(d)
	t.merge(scratch)
}

// addMinutes adds the minutes of a segment to the steps of a chart: from what is remembered where the segment holds a whole hour that
// has passed.
func (s *Set) addMinutes(service string, g segment, at func(start int64) *step) error {
	hour := levelSeconds[levels-1]
	match := func(_ uint32, k REDKey) bool { return k.Service == service }
	direct := func(r span) error {
		if r.from >= r.to {
			return nil
		}
		return s.eachRED([]segment{{g.level, r}}, true, match, func(_ uint32, k *REDKey, b bucketAt, c *redCounts) { at(b.start).add(k, c) })
	}
	from := ceil(g.from, hour)
	to := max(from, min(g.to-g.to%hour, s.head1()-s.head1()%hour))
	if from >= g.to {
		return direct(g.span)
	}
	if err := direct(span{g.from, from}); err != nil {
		return err
	}
	var scratch sum
	for start := from; start < to; start += hour {
		packed, err := s.minutesOf(serviceHour{service, start}, match)
		if err != nil {
			return err
		}
		for d := (decoder{b: packed}); len(d.b) > 0; {
			t := at(start + int64(d.uvarint())*levelSeconds[1])
			t.all.addFrom(&d, &scratch)
			t.entry.addFrom(&d, &scratch)
			if d.err != nil {
				return d.err
			}
		}
	}
	return direct(span{to, g.to})
}

// minutesOf returns the minutes of a service's hour.
func (s *Set) minutesOf(h serviceHour, match func(uint32, REDKey) bool) ([]byte, error) {
	c, changed := &s.hours, s.red.levels[levels-1].changed[h.start]
	c.mu.Lock()
	known, ok := c.by[h]
	c.mu.Unlock()
	if ok && changed <= known.seq {
		return known.packed, nil
	}
	minutes := make([]step, levelSeconds[levels-1]/levelSeconds[1])
	g := segment{1, span{h.start, h.start + levelSeconds[levels-1]}}
	err := s.eachRED([]segment{g}, true, match, func(_ uint32, k *REDKey, b bucketAt, c *redCounts) {
		minutes[(b.start-h.start)/levelSeconds[1]].add(k, c)
	})
	if err != nil {
		return nil, err
	}
	var packed []byte
	for i := range minutes {
		if t := &minutes[i]; t.all.calls > 0 {
			packed = binary.AppendUvarint(packed, uint64(i))
			packed = t.entry.append(t.all.append(packed))
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	size := len(packed) + len(h.service) + 96
	if c.held+size > maxServiceHours || c.by == nil {
		c.by, c.held = map[serviceHour]hourMinutes{}, 0
	}
	if old, ok := c.by[h]; ok {
		c.held -= len(old.packed) + len(h.service) + 96
	}
	c.by[h] = hourMinutes{s.frontier.Seq, packed}
	c.held += size
	return packed, nil
}
