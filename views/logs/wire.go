package logs

import (
	"iter"

	"google.golang.org/protobuf/encoding/protowire"
)

// Parts cuts OTLP LogsData into its fields: each is LogsData too, mostly with one ResourceLogs. What cannot be cut comes as it is.
func Parts(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) > 0 {
			_, _, n := protowire.ConsumeField(b)
			if n < 0 {
				n = len(b)
			}
			if !yield(b[:n]) {
				return
			}
			b = b[n:]
		}
	}
}

// CountLines is how many log records a part has; lines are numbered whether they are decoded or not.
func CountLines(part []byte) (n int) {
	for resource := range nested(part, 1) { // LogsData.resource_logs
		for scope := range nested(resource, 2) { // ResourceLogs.scope_logs
			for range nested(scope, 2) { // ScopeLogs.log_records
				n++
			}
		}
	}
	return n
}

// nested are the messages that stand in field num of a message.
func nested(b []byte, num protowire.Number) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for field := range Parts(b) {
			got, typ, tag := protowire.ConsumeTag(field)
			if tag < 0 || got != num || typ != protowire.BytesType {
				continue
			}
			if v, size := protowire.ConsumeBytes(field[tag:]); size >= 0 && !yield(v) {
				return
			}
		}
	}
}
