package model

import (
	"fmt"
	"strings"
)

// Text is the buckets that are not empty, for dumps.
func (h *Histogram) Text() string {
	var b strings.Builder
	for i, n := range h.Counts {
		if n != 0 {
			fmt.Fprintf(&b, "%d:%d,", i+int(h.Offset), n)
		}
	}
	return strings.TrimSuffix(b.String(), ",")
}

// Text is the ids of the exemplar, for dumps.
func (e *Exemplar) Text() string {
	if *e == (Exemplar{}) {
		return "-"
	}
	return fmt.Sprintf("%s/%s", IDText(e.TraceID[:]), IDText(e.SpanID[:]))
}

// IDText is an id as text: what scripts wrote, else hex.
func IDText(b []byte) string {
	t := strings.TrimRight(string(b), "\x00")
	for _, c := range []byte(t) {
		if c < '!' || c > '~' {
			return fmt.Sprintf("%x", b)
		}
	}
	if t == "" {
		return "-"
	}
	return t
}
