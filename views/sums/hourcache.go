package sums

import "sync"

// Hours remembers the minutes of services' past hours, because charts of a day are asked for again and again and their minutes
// lie in a thousand places. What it holds of an hour is good until a checkpoint adds to the hour.
type Hours struct {
	mu   sync.Mutex
	by   map[Hour]Minutes
	held int // bytes in by
	Most int // of held
}

// Hour names an hour of a service; it starts at Start, Unix seconds.
type Hour struct {
	Service string
	Start   int64
}

// Minutes are the minutes that have any spans: each the number of the minute, then the counts of all spans and of entry spans.
type Minutes struct {
	Seq    uint64 // of the state that was summed up
	Packed []byte
}

// Get returns what is remembered of an hour.
func (c *Hours) Get(h Hour) (Minutes, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.by[h]
	return known, ok
}

// size is about what an hour takes.
func (h *Minutes) size(of Hour) int { return len(h.Packed) + len(of.Service) + 96 }

// Put remembers an hour; of more than fit, any others are forgotten.
func (c *Hours) Put(h Hour, m Minutes) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.by == nil {
		c.by = map[Hour]Minutes{}
	}
	c.drop(h)
	for other := range c.by {
		if c.held+m.size(h) <= c.Most {
			break
		}
		c.drop(other)
	}
	c.by[h] = m
	c.held += m.size(h)
}

func (c *Hours) drop(h Hour) {
	if old, ok := c.by[h]; ok {
		c.held -= old.size(h)
		delete(c.by, h)
	}
}

// Expire forgets hours before since.
func (c *Hours) Expire(since int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for h := range c.by {
		if h.Start < since {
			c.drop(h)
		}
	}
}

// Full reports whether little room is left.
func (c *Hours) Full() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held > c.Most*9/10
}
