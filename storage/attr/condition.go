package attr

import (
	"strings"

	"go.opentelemetry.io/collector/pdata/pcommon"
)

// Condition is what an attribute must be, other than equal to a text.
type Condition struct {
	Key     string
	Accepts func(value string) bool
}

// ResourcePrefix stands before the key of an attribute that is looked up in the resource only.
const ResourcePrefix = "resource."

// OfLine is the value of an attribute of a log line, else of its resource.
func OfLine(key string, line, resource pcommon.Map) (v pcommon.Value, ok bool) {
	if v, ok = line.Get(key); ok {
		return v, true
	}
	if v, ok = resource.Get(key); ok {
		return v, true
	}
	if of, is := strings.CutPrefix(key, ResourcePrefix); is {
		return resource.Get(of)
	}
	return v, false
}
