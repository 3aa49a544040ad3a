package ingest

import (
	"errors"

	"github.com/gaurav/watchingcat/pipeline/otlp"
	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

// ErrTooManyLogs says that a record holds more log lines than one record may.
var ErrTooManyLogs = errors.New("too many log records in one record")

// DecodeLogs reads an OTLP ExportLogsServiceRequest (or LogsData) and calls f for each log record. Lines are counted on the wire
// before anything is built: a megabyte of empty ones would become a hundred.
func DecodeLogs(b []byte, d *model.Dimensions, maxLogs int, f func(r *model.Resource, l *logs.Record)) error {
	n, err := countNested(b, 1, 2, 2)
	if err != nil {
		return err
	}
	if n > maxLogs {
		return ErrTooManyLogs
	}
	return logs.Decode(b, d, f)
}

// countNested counts the messages that a path of field numbers leads to.
func countNested(b []byte, path ...int32) (n int, err error) {
	for i := 0; i < len(b); {
		fd, ok := otlp.NextField(b, i)
		if !ok {
			return 0, otlp.ErrMalformed
		}
		i = fd.Next
		//nolint:gosec // a path has an element: it ends at the last
		if fd.Num != path[0] || fd.Wire != otlp.WireLen {
			continue
		}
		if len(path) == 1 {
			n++
			continue
		}
		//nolint:gosec // a path has an element: it ends at the last
		below, err := countNested(fd.Data, path[1:]...)
		if err != nil {
			return 0, err
		}
		n += below
	}
	return n, nil
}
