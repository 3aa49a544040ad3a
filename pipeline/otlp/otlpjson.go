package otlp

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"

	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/pmetric"
	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Collectors may export OTLP as JSON (encoding otlp_json). Such a record becomes protobuf where it enters, and everything after that knows
// protobuf alone. The first byte decides: { begins no OTLP message. White space does (a newline is the tag of the first field), so what
// begins with that is read as protobuf first.

// ErrJSON is wrapped by errors of records that are JSON.
var ErrJSON = errors.New("malformed JSON")

const (
	// maxJSONObjects bounds the objects and lists of a record: one of two bytes becomes one of hundreds.
	maxJSONObjects = 1_000_000
	// maxJSONDepth is four levels for each that values may be nested, and what is around them.
	maxJSONDepth = 4*maxNesting + 32
)

// Signal is what a record is of.
type Signal struct {
	field, old string // the names of the list that its JSON has
	proto      func(b []byte) ([]byte, error)
}

// The signals that a topic may carry.
var (
	SpanSignal = Signal{"resourceSpans", "resource_spans", func(b []byte) ([]byte, error) {
		var u ptrace.JSONUnmarshaler
		td, err := u.UnmarshalTraces(b)
		if err != nil {
			return nil, err
		}
		var m ptrace.ProtoMarshaler
		return m.MarshalTraces(td)
	}}
	LogSignal = Signal{"resourceLogs", "resource_logs", func(b []byte) ([]byte, error) {
		var u plog.JSONUnmarshaler
		ld, err := u.UnmarshalLogs(b)
		if err != nil {
			return nil, err
		}
		var m plog.ProtoMarshaler
		return m.MarshalLogs(ld)
	}}
	MetricSignal = Signal{"resourceMetrics", "resource_metrics", func(b []byte) ([]byte, error) {
		var u pmetric.JSONUnmarshaler
		md, err := u.UnmarshalMetrics(b)
		if err != nil {
			return nil, err
		}
		var m pmetric.ProtoMarshaler
		return m.MarshalMetrics(md)
	}}
)

// IsJSON reports whether b is JSON that begins with its object.
func IsJSON(b []byte) bool { return len(b) > 0 && b[0] == '{' }

// IsPaddedJSON reports whether b may be JSON with white space before it. It may be protobuf too.
func IsPaddedJSON(b []byte) bool {
	return len(b) > 0 && bytes.IndexByte([]byte(" \t\r\n"), b[0]) >= 0 && IsJSON(bytes.TrimLeft(b, " \t\r\n"))
}

// ApplyEither applies a record that is protobuf or JSON.
func (s *Signal) ApplyEither(value []byte, apply func(proto []byte) error) error {
	if !IsJSON(value) {
		err := apply(value)
		if err == nil || !IsPaddedJSON(value) {
			return err
		}
	}
	b, err := s.FromJSON(value)
	if err != nil {
		return err
	}
	return apply(b)
}

// FromJSON is a record of JSON as protobuf.
func (s *Signal) FromJSON(value []byte) (b []byte, err error) {
	defer func() {
		if p := recover(); p != nil {
			b, err = nil, fmt.Errorf("%w: panic while decoding: %v", ErrJSON, p)
		}
	}()
	if err := CheckJSON(value); err != nil {
		return nil, err
	}
	if !bytes.Contains(value, []byte(`"`+s.field+`"`)) && !bytes.Contains(value, []byte(`"`+s.old+`"`)) {
		return nil, fmt.Errorf("%w: it has no %s: check that the exporter sends this signal to this topic", ErrJSON, s.field)
	}
	if b, err = s.proto(value); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJSON, err)
	}
	return b, nil
}

// CheckJSON refuses what is not one value of JSON, or is one that is nested too deeply or has too many parts.
func CheckJSON(b []byte) error {
	if err := boundedJSON(b); err != nil {
		return err
	}
	if !json.Valid(b) {
		return fmt.Errorf("%w: it is no JSON value, or more than one: a record holds one request", ErrJSON)
	}
	return nil
}

// boundedJSON refuses what would take far more memory than bytes, before anything is built.
func boundedJSON(b []byte) error {
	objects, depth, text := 0, 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case text && c == '\\':
			i++
		case c == '"':
			text = !text
		case text:
		case c == '{' || c == '[':
			objects, depth = objects+1, depth+1
			if depth > maxJSONDepth {
				return fmt.Errorf("%w: values are nested deeper than %d", ErrJSON, maxNesting)
			}
			if objects > maxJSONObjects {
				return fmt.Errorf("%w: more than %d objects and lists in one record", ErrJSON, maxJSONObjects)
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return nil
}
