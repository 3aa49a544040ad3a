package live

import (
	"time"

	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

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
			v.counted = v.counted.Plus(&c)
		}
	}
	if now == nil {
		return
	}
	if old != nil {
		c := now.Counters()
		v.counted = v.counted.Minus(&c)
	}
	now.Feed().ForwardTo(func(fr model.Frontier, _, _ []model.Touch, _ model.TableSet) { l.metrics.Publish(fr, nil, nil, 0) })
}

// Samples are those of a View: of several versions as one. nil: there are none.
func (v *View) Samples() samples.SampleReader {
	if v.metrics.Live == nil {
		return nil
	}
	return &splicedSamples{v}
}

// Metrics are OTLP metrics that outlive swaps. Of what is read more than once, as by a query, Samples of one View agree.
type Metrics struct{ l *Live }

// Metrics are the OTLP metrics that are shown with the views.
func (l *Live) Metrics() Metrics { return Metrics{l} }

// state calls fn with the version that goes on with the topic, if there is one.
func (m Metrics) state(fn func(*samples.Metrics)) {
	v := m.l.View()
	defer v.Release()
	if v.metrics.Live != nil {
		fn(v.metrics.Live)
	}
}

// Frontier is how far the committed samples reach.
func (m Metrics) Frontier() (fr model.Frontier) {
	m.state(func(s *samples.Metrics) { fr = s.Frontier() })
	return fr
}

// Families returns what is known of metric families, ordered by name.
func (m Metrics) Families() (list []samples.Family) {
	m.state(func(s *samples.Metrics) { list = s.Families() })
	return list
}

// Progress returns the progress of every partition, ordered by topic and partition.
func (m Metrics) Progress() (list []model.Progress) {
	m.state(func(s *samples.Metrics) { list = s.Progress() })
	return list
}

// Counters returns what was counted since the process began; what a replay reads again does not count.
func (m Metrics) Counters() samples.MetricCounters {
	v := m.l.View()
	defer v.Release()
	c := samples.MetricCounters{}
	if v.metrics.Live != nil {
		c = v.metrics.Live.Counters()
	}
	return c.Plus(&v.counted)
}

// Feed publishes checkpoints and swaps; its changes name no series.
func (m Metrics) Feed() *model.Feed { return &m.l.metrics }

// Range returns the times between which samples are held; false while there are none.
func (m Metrics) Range() (from, to time.Time, ok bool) {
	v := m.l.View()
	defer v.Release()
	if s := v.Samples(); s != nil {
		return s.Range()
	}
	return from, to, false
}

// SeriesCounts returns how many series of each name had a sample lately.
func (m Metrics) SeriesCounts() map[string]int {
	v := m.l.View()
	defer v.Release()
	if s := v.Samples(); s != nil {
		return s.SeriesCounts()
	}
	return map[string]int{}
}
