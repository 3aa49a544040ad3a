package storage

import (
	"fmt"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/semconv/v1.43.0/dbconv"
)

// OperationBuckets are those of db.client.operation.duration, in seconds, as the semantic conventions advise.
var OperationBuckets = []float64{.001, .005, .01, .05, .1, .5, 1, 5, 10}

// NewOperationDuration makes db.client.operation.duration; a nil meter records nothing.
func NewOperationDuration(m metric.Meter) (dbconv.ClientOperationDuration, error) {
	h, err := dbconv.NewClientOperationDuration(m, metric.WithExplicitBucketBoundaries(OperationBuckets...))
	if err != nil {
		return h, fmt.Errorf("storage: metrics: %w", err)
	}
	return h, nil
}

var commitSet = attribute.NewSet(semconv.DBSystemNameKey.String("badger"), semconv.DBOperationName("commit"))
