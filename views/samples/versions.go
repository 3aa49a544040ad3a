package samples

import (
	"fmt"
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

// Check reports versions that a Layout names and that are not there.
func (m *MetricVersions) Check(l *model.Layout) error {
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
