package sums

import (
	"sync"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// Name is a service with its dimensions.
type Name struct {
	Name string
	Dims model.Dims
}

// Service is what one service did: entry spans, and all others.
type Service struct {
	Of          Name
	entry, rest Sum
	last        uint64 // newest end, Unix nanoseconds
	active      int64  // seconds of the buckets with spans
}

// Merge adds what o did.
func (s *Service) Merge(o *Service) {
	s.entry.merge(&o.entry)
	s.rest.merge(&o.rest)
	s.last = max(s.last, o.last)
	s.active += o.active
}

// Add counts a cell of a series.
func (s *Service) Add(k *model.REDKey, c *model.REDCounts) {
	if k.Entry() {
		s.entry.Add(k, c)
	} else {
		s.rest.Add(k, c)
	}
	s.last = max(s.last, c.Latest.End)
}

// Bucket names a bucket of a level; it starts at Start, Unix seconds.
type Bucket struct {
	Level int
	Start int64
}

type bucketSums struct {
	seq  uint64 // of the state that was summed up
	list []Service
}

// Buckets remembers what services did in single buckets, because lists of services are asked for again and again over ranges that
// share most of their buckets. What it holds of a bucket is good until a checkpoint adds to the bucket.
type Buckets struct {
	mu   sync.Mutex
	by   map[Bucket]*bucketSums
	held int // sums of services in by
	Most int // of held
}

// ServiceBytes is about what a sum takes.
const ServiceBytes = 1 << 10

// AddServices adds the services of a bucket, width seconds wide, that f accepts to others.
func AddServices(into map[Name]*Service, list []Service, width int64, f model.DimFilter) {
	for i := range list {
		if !f.Accepts(list[i].Of.Dims) {
			continue
		}
		t := into[list[i].Of]
		if t == nil {
			t = &Service{Of: list[i].Of}
			into[t.Of] = t
		}
		t.Merge(&list[i])
		t.active += width
	}
}

// Model is the service as readers get it.
func (t *Service) Model() model.Service {
	t.rest.merge(&t.entry)
	return model.Service{Name: t.Of.Name, Dims: t.Of.Dims, RED: t.rest.RED(), Entry: t.entry.RED(), LastSeen: model.Time(t.last)}
}

// Counts is the service as it was counted.
func (t *Service) Counts() model.ServiceCounts {
	c := model.ServiceCounts{Name: t.Of.Name, Dims: t.Of.Dims, All: t.rest.counts(), LastSeen: model.Time(t.last),
		Active: time.Duration(t.active) * time.Second}
	c.Entry = t.entry.counts()
	c.All.Merge(&c.Entry)
	return c
}

// Trend is the service's incoming requests as a point of its trend.
func (t *Service) Trend() TrendPoint {
	return TrendPoint{t.Of, model.TrendPoint{Calls: t.entry.calls, Errors: t.entry.errors, P95: t.entry.hist.Quantile(0.95)}}
}

// Get returns what is remembered of a bucket, if no checkpoint since then added to it; changed is the last that did.
func (c *Buckets) Get(b Bucket, changed uint64) ([]Service, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	known := c.by[b]
	if known == nil || changed > known.seq {
		return nil, false
	}
	return known.list, true
}

// Put remembers a bucket as of checkpoint seq; of more than fit, all are forgotten.
func (c *Buckets) Put(b Bucket, seq uint64, list []Service) {
	if b.Level == 0 && len(list) > c.Most/100 {
		return // narrow ones would push out the others
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held+len(list) > c.Most || c.by == nil {
		c.by, c.held = map[Bucket]*bucketSums{}, 0
	}
	if old := c.by[b]; old != nil {
		c.held -= len(old.list)
	}
	c.by[b] = &bucketSums{seq, list}
	c.held += len(list)
}
