package views

import (
	"sync"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// serviceSums remembers what services did in single buckets, because lists of services are asked for again and again over ranges that
// share most of their buckets. What it holds of a bucket is good until a checkpoint adds to the bucket.
type serviceSums struct {
	mu   sync.Mutex
	by   map[bucketOfLevel]*bucketSums
	held int // sums of services in by
	most int // of held
}

// serviceName is a service with its dimensions.
type serviceName struct {
	name string
	dims model.Dims
}

type bucketOfLevel struct {
	level int
	start int64
}

type bucketSums struct {
	seq  uint64 // of the state that was summed up
	list []serviceSum
}

// serviceSum is what one service did: entry spans, and all others.
type serviceSum struct {
	of          serviceName
	entry, rest sum
	last        uint64 // newest end, Unix nanoseconds
}

// serviceSumBytes is about what a sum takes.
const serviceSumBytes = 1 << 10

func (s *serviceSum) merge(o *serviceSum) {
	s.entry.merge(&o.entry)
	s.rest.merge(&o.rest)
	s.last = max(s.last, o.last)
}

func (s *serviceSum) add(k *model.REDKey, c *model.REDCounts) {
	if k.Entry() {
		s.entry.add(k, c)
	} else {
		s.rest.add(k, c)
	}
	s.last = max(s.last, c.Latest.End)
}

// sumServices adds up the services of a segment.
func (s *Set) sumServices(g model.Segment, keys []*model.REDKey, f model.DimFilter, into map[serviceName]*serviceSum) error {
	width, t := model.LevelSeconds[g.Level], &s.red.Levels[g.Level]
	for start := max(model.Ceil(g.From, width), t.Oldest-t.Oldest%width); start < min(g.To, s.head1()); start += width {
		list, err := s.sumBucket(bucketOfLevel{g.Level, start}, t.Changed[start], keys)
		if err != nil {
			return err
		}
		addServices(into, list, f)
	}
	return nil
}

// head1 is a second after the newest event time.
func (s *Set) head1() int64 { return int64(s.head/1e9) + 1 }

func addServices(into map[serviceName]*serviceSum, list []serviceSum, f model.DimFilter) {
	for i := range list {
		if !f.Accepts(list[i].of.dims) {
			continue
		}
		t := into[list[i].of]
		if t == nil {
			t = &serviceSum{of: list[i].of}
			into[t.of] = t
		}
		t.merge(&list[i])
	}
}

// sumBucket returns the sums of a bucket that changed last at some checkpoint.
func (s *Set) sumBucket(b bucketOfLevel, changed uint64, keys []*model.REDKey) ([]serviceSum, error) {
	c := &s.sums
	c.mu.Lock()
	known := c.by[b]
	c.mu.Unlock()
	if known != nil && changed <= known.seq {
		return known.list, nil
	}
	list, err := s.sumCells(model.Segment{Level: b.level, Range: model.Range{From: b.start, To: b.start + model.LevelSeconds[b.level]}},
		keys)
	if err != nil {
		return nil, err
	}
	if b.level == 0 && len(list) > c.most/100 {
		return list, nil // narrow ones would push out the others
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held+len(list) > c.most || c.by == nil {
		c.by, c.held = map[bucketOfLevel]*bucketSums{}, 0
	}
	if old := c.by[b]; old != nil {
		c.held -= len(old.list)
	}
	c.by[b] = &bucketSums{s.frontier.Seq, list}
	c.held += len(list)
	return list, nil
}

func (s *Set) sumCells(g model.Segment, keys []*model.REDKey) (list []serviceSum, err error) {
	place, at := map[serviceName]int{}, make([]int, len(keys)) // place in list, plus one
	err = s.red.Each(s.kv, []model.Segment{g}, cells.Pick{Has: func(id uint32) bool { return int(id) < len(keys) }},
		func(_ cells.BucketAt, id uint32, c *model.REDCounts) error {
			if at[id] == 0 {
				name := serviceName{keys[id].Service, keys[id].Dims}
				if place[name] == 0 {
					list = append(list, serviceSum{of: name})
					place[name] = len(list)
				}
				at[id] = place[name]
			}
			list[at[id]-1].add(keys[id], c)
			return nil
		})
	return list, err
}
