package ingest

import (
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/pmetric"

	"github.com/gaurav/watchingcat/pipeline/otlp"
)

// ErrTooManyPoints says that a record holds more metrics or data points than one record may.
var ErrTooManyPoints = errors.New("too many metric data points in one record")

// maxPointParts bounds the attributes, exemplars and quantiles of a record, for each data point that it may hold.
const maxPointParts = 20

// DecodeMetrics reads an OTLP ExportMetricsServiceRequest (or MetricsData, the same bytes) by pdata. What a record may hold is
// counted on the wire first: an empty point takes two bytes there and a hundred in memory.
func DecodeMetrics(b []byte, maxPoints int) (pmetric.Metrics, error) {
	c := pointCounter{points: maxPoints, parts: maxPoints * maxPointParts}
	if err := c.level(b, 0); err != nil {
		return pmetric.Metrics{}, err
	}
	var u pmetric.ProtoUnmarshaler
	md, err := u.UnmarshalMetrics(b)
	if err != nil {
		return pmetric.Metrics{}, fmt.Errorf("%w: %w", otlp.ErrMalformed, err)
	}
	return md, nil
}

// pointCounter walks a record down to its data points and counts everything that becomes an object.
type pointCounter struct{ points, parts int }

// metricLevels are the fields that lead down: resource metrics, scope metrics, metrics, kinds of data, data points.
var metricLevels = [5][12]bool{{1: true}, {2: true}, {2: true}, {5: true, 7: true, 9: true, 10: true, 11: true}, {1: true}}

func (c *pointCounter) level(b []byte, depth int) error {
	for i := 0; i < len(b); {
		f, ok := otlp.NextField(b, i)
		if !ok {
			return otlp.ErrMalformed
		}
		i = f.Next
		switch {
		case f.Wire != otlp.WireLen:
			continue
		case depth == len(metricLevels): // inside a data point
			if c.parts--; c.parts < 0 {
				return ErrTooManyPoints
			}
			continue
		case int(f.Num) >= len(metricLevels[depth]) || !metricLevels[depth][f.Num]:
			continue
		}
		if c.points--; c.points < 0 && depth != 3 {
			return ErrTooManyPoints
		}
		if depth == 3 {
			c.points++ // the kind of data is no object beside its metric
		}
		if err := c.level(f.Data, depth+1); err != nil {
			return err
		}
	}
	return nil
}
