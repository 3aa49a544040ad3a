package sums

import (
	"sync"

	"github.com/gaurav/watchingcat/views/model"
)

// Trends remembers what services did in the steps of trends: a list of sparklines asks again and again for steps that do not change any
// more. What it holds of a step is good until a checkpoint adds to one of its buckets.
type Trends struct {
	mu   sync.Mutex
	by   map[TrendStep]*trendSums
	held int // points in by
	Most int // of held
}

// TrendBytes is about what a point takes.
const TrendBytes = 64

// TrendStep names a step: its start and its width, in seconds.
type TrendStep struct{ Start, Width int64 }

// TrendPoint is what a service did in a step.
type TrendPoint struct {
	Of Name
	model.TrendPoint
}

type trendSums struct {
	seq  uint64 // of the state that was summed up
	list []TrendPoint
}

// Get returns what is remembered of a step, if no checkpoint since then added to it; changed is the last that did.
func (c *Trends) Get(s TrendStep, changed uint64) ([]TrendPoint, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.by[s]
	if known == nil || changed > known.seq {
		return nil, false
	}
	return known.list, true
}

// Put remembers a step as of checkpoint seq; of more than fit, all are forgotten.
func (c *Trends) Put(s TrendStep, seq uint64, list []TrendPoint) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if old := c.by[s]; old != nil {
		c.held -= len(old.list) + 1
		delete(c.by, s)
	}
	if c.by == nil || c.held+len(list)+1 > c.Most {
		c.by, c.held = map[TrendStep]*trendSums{}, 0
	}
	if len(list) < c.Most {
		c.by[s] = &trendSums{seq, list}
		c.held += len(list) + 1
	}
}
