package views

import (
	"fmt"
	"maps"
	"time"

	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/views/model"
)

// A SampleReader holds the samples of one version of OTLP metrics. *samples.Store is one.
type SampleReader interface {
	promstorage.SampleAndChunkQueryable
	promstorage.ExemplarQueryable
	// Range returns the times between which samples are held; false while there are none.
	Range() (from, to time.Time, ok bool)
	// Since is the oldest time that is retained; false while there are no samples.
	Since() (time.Time, bool)
	// SeriesCounts returns how many series of each name had a sample lately.
	SeriesCounts() map[string]int
}

// MetricVersions are the OTLP metrics that a Layout names: the state of the version that goes on with the topic, and the samples of
// every version that is read. The zero value: there are none.
type MetricVersions struct {
	Live    *Metrics
	Samples map[uint32]SampleReader
}

func (m *MetricVersions) check(l *model.Layout) error {
	if m.Live == nil {
		return nil
	}
	for _, n := range l.SampleVersions() {
		if m.Samples[n] == nil {
			return fmt.Errorf("views: the metric samples of version %d are to be read and not open", n)
		}
	}
	return nil
}

// follow makes the metrics of v go on where those of old, if any, are; it is called while neither takes a checkpoint.
func (l *Live) follow(old, v *View) {
	now := v.metrics.Live
	if old != nil {
		v.counted = old.counted
		was := old.metrics.Live
		if was == now {
			return
		}
		if was != nil {
			was.Feed().ForwardTo(nil)
			c := was.Counters()
			v.counted = v.counted.plus(&c)
		}
	}
	if now == nil {
		return
	}
	if old != nil {
		c := now.Counters()
		v.counted = v.counted.minus(&c)
	}
	now.Feed().ForwardTo(func(fr model.Frontier, _, _ []model.Touch, _ model.TableSet) { l.metrics.Publish(fr, nil, nil, 0) })
}

// Samples are those of a View: of several versions as one. nil: there are none.
func (v *View) Samples() SampleReader {
	if v.metrics.Live == nil {
		return nil
	}
	return &splicedSamples{v}
}

// LiveMetrics are OTLP metrics that outlive swaps. Of what is read more than once, as by a query, Samples of one View agree.
type LiveMetrics struct{ l *Live }

// Metrics are the OTLP metrics that are shown with the views.
func (l *Live) Metrics() LiveMetrics { return LiveMetrics{l} }

// state calls fn with the version that goes on with the topic, if there is one.
func (m LiveMetrics) state(fn func(*Metrics)) {
	v := m.l.View()
	defer v.Release()
	if v.metrics.Live != nil {
		fn(v.metrics.Live)
	}
}

// Frontier tells how far the committed samples reach.
func (m LiveMetrics) Frontier() (fr model.Frontier) {
	m.state(func(s *Metrics) { fr = s.Frontier() })
	return fr
}

// Families returns what is known of metric families, ordered by name.
func (m LiveMetrics) Families() (list []Family) {
	m.state(func(s *Metrics) { list = s.Families() })
	return list
}

// Progress returns the progress of every partition, ordered by topic and partition.
func (m LiveMetrics) Progress() (list []model.Progress) {
	m.state(func(s *Metrics) { list = s.Progress() })
	return list
}

// Counters returns what was counted since the process began; what a replay reads again does not count.
func (m LiveMetrics) Counters() MetricCounters {
	v := m.l.View()
	defer v.Release()
	c := MetricCounters{}
	if v.metrics.Live != nil {
		c = v.metrics.Live.Counters()
	}
	return c.plus(&v.counted)
}

// Feed tells about checkpoints and swaps; its changes name no series.
func (m LiveMetrics) Feed() *model.Feed { return &m.l.metrics }

// Range returns the times between which samples are held; false while there are none.
func (m LiveMetrics) Range() (from, to time.Time, ok bool) {
	v := m.l.View()
	defer v.Release()
	if s := v.Samples(); s != nil {
		return s.Range()
	}
	return from, to, false
}

// SeriesCounts returns how many series of each name had a sample lately.
func (m LiveMetrics) SeriesCounts() map[string]int {
	v := m.l.View()
	defer v.Release()
	if s := v.Samples(); s != nil {
		return s.SeriesCounts()
	}
	return map[string]int{}
}

// combine adds sign times what o counted; what is told of now stays that of c.
func (c MetricCounters) combine(o *MetricCounters, sign uint64) MetricCounters {
	for _, f := range []struct {
		to *uint64
		v  uint64
	}{{&c.Records, o.Records}, {&c.Points, o.Points}, {&c.Kept, o.Kept}, {&c.Samples, o.Samples}, {&c.Duplicates, o.Duplicates},
		{&c.DeadLetters, o.DeadLetters}, {&c.Early, o.Early}, {&c.Overflowed, o.Overflowed}} {
		*f.to += sign * f.v
	}
	dropped := maps.Clone(c.Dropped)
	if dropped == nil {
		dropped = map[string]uint64{}
	}
	for reason, n := range o.Dropped {
		dropped[reason] += sign * n
	}
	c.Dropped = dropped
	return c
}

func (c MetricCounters) plus(o *MetricCounters) MetricCounters  { return c.combine(o, 1) }
func (c MetricCounters) minus(o *MetricCounters) MetricCounters { return c.combine(o, ^uint64(0)) }
