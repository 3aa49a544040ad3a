package telemetry

import (
	"time"

	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/samples"
)

// Samples is what the API needs of OTLP metrics beside querying them.
type Samples interface {
	// Counters count what became of records and points.
	Counters() samples.MetricCounters
	Families() []samples.Family
	Frontier() model.Frontier
	// SeriesCounts returns how many series of each name had a sample lately.
	SeriesCounts() map[string]int
	// Range returns the times between which samples are held; false while there are none.
	Range() (from, to time.Time, ok bool)
}
