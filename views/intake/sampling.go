package intake

import (
	"encoding/binary"
	"strings"

	"github.com/open-telemetry/opentelemetry-collector-contrib/pkg/sampling"

	"github.com/gaurav/watchingcat/views/model"
)

// sampled caches the adjusted count of the last tracestate: spans of a trace share it.
type sampled struct {
	state              string
	quotient, rest, of uint64
}

// adjustedCount is how many spans one sampled span stands for, OpenTelemetry's probability sampling
// (https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/). Where it is not whole, the trace id decides
// whether to round up, so that the same span counts the same every time.
func (a *Accumulator) adjustedCount(s *model.Span) uint64 {
	if len(s.TraceState) == 0 {
		return 1
	}
	t := &a.trace
	if t.state != string(s.TraceState) {
		*t = parseSampled(string(s.TraceState))
	}
	if t.rest != 0 {
		hi, lo := binary.BigEndian.Uint64(s.TraceID[:]), binary.BigEndian.Uint64(s.TraceID[8:])
		// the low 56 bits decided whether to sample; the mix makes the rounding independent of them
		mix := (hi ^ lo*0x9e3779b97f4a7c15) * 0xff51afd7ed558ccd
		if (mix^mix>>33)%t.of < t.rest {
			return t.quotient + 1
		}
	}
	return t.quotient
}

func parseSampled(state string) sampled {
	t := sampled{state: state, quotient: 1}
	if !strings.Contains(state, "ot=") {
		return t
	}
	w, err := sampling.NewW3CTraceState(state)
	if err != nil {
		return t
	}
	th, ok := w.OTelValue().TValueThreshold()
	if !ok || th.Unsigned() >= sampling.MaxAdjustedCount {
		return t
	}
	t.of = sampling.MaxAdjustedCount - th.Unsigned()
	t.quotient, t.rest = sampling.MaxAdjustedCount/t.of, sampling.MaxAdjustedCount%t.of
	return t
}
