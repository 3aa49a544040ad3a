package logs

import (
	"google.golang.org/protobuf/encoding/protowire"
)

// Unique reports whether a record of OTLP logs holds something by which it differs from others that say the same: an id, or a time
// finer than a second. Of other records equal bytes do not say that one was sent again.
func Unique(value []byte) bool {
	for resource := range nested(value, 1) {
		for scope := range nested(resource, 2) {
			for line := range nested(scope, 2) {
				if uniqueLine(line) {
					return true
				}
			}
		}
	}
	return false
}

// uniqueLine looks at time_unix_nano (1), trace_id (9), span_id (10), observed_time_unix_nano (11) and the attribute log.record.uid.
func uniqueLine(b []byte) bool {
	for field := range Parts(b) {
		num, typ, tag := protowire.ConsumeTag(field)
		switch {
		case tag < 0:
		case (num == 1 || num == 11) && typ == protowire.Fixed64Type:
			if t, n := protowire.ConsumeFixed64(field[tag:]); n > 0 && t%1e9 != 0 {
				return true
			}
		case (num == 9 || num == 10) && typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(field[tag:])
			for _, x := range v {
				if x != 0 {
					return true
				}
			}
		case num == 6 && typ == protowire.BytesType:
			v, _ := protowire.ConsumeBytes(field[tag:])
			for key := range nested(v, 1) {
				if string(key) == "log.record.uid" {
					return true
				}
			}
		}
	}
	return false
}
