package encoding

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/otlp"
)

// Names of encodings, as the Collector's kafkaexporter and kafkareceiver have them.
const (
	Auto        = "auto" // OTLP, protobuf or JSON, record by record
	OTLPProto   = "otlp_proto"
	OTLPJSON    = "otlp_json"
	JaegerProto = "jaeger_proto" // a Span of jaeger's model.proto, or a Batch
	JaegerJSON  = "jaeger_json"  // a Span of jaeger's model.proto as JSON
	ZipkinJSON  = "zipkin_json"  // a list of Zipkin v2 spans
	ZipkinProto = "zipkin_proto" // Zipkin's ListOfSpans
	Raw         = "raw"          // one log line: the bytes as they are
	Text        = "text"         // one log line: UTF-8, where invalid bytes are replaced
)

// A Signal is what the records of a topic are of.
type Signal struct {
	name, setting string
	otlp          *otlp.Signal
	encodings     []string
}

// The signals that topics carry.
var (
	Spans = &Signal{"spans", "WATCHINGCAT_KAFKA_TRACES_ENCODING", &otlp.SpanSignal,
		[]string{Auto, OTLPProto, OTLPJSON, JaegerProto, JaegerJSON, ZipkinJSON, ZipkinProto}}
	Metrics = &Signal{"metrics", "WATCHINGCAT_KAFKA_METRICS_ENCODING", &otlp.MetricSignal, []string{Auto, OTLPProto, OTLPJSON}}
	Logs    = &Signal{"logs", "WATCHINGCAT_KAFKA_LOGS_ENCODING", &otlp.LogSignal, []string{Auto, OTLPProto, OTLPJSON, Raw, Text}}
)

// Check reports that no record of the signal is written in an encoding, and which are.
func (s *Signal) Check(encoding string) error {
	if encoding == "" || slices.Contains(s.encodings, encoding) {
		return nil
	}
	return fmt.Errorf("%q is no encoding of %s: use %s", encoding, s.name, strings.Join(s.encodings, ", "))
}

// ErrEncoding is wrapped by errors of records that are not written in the encoding of their topic.
var ErrEncoding = errors.New("not written in the encoding of its topic")

// A Decoder reads the records of a signal's topics, which are written in one encoding; "" is Auto.
type Decoder struct {
	Signal   *Signal
	Encoding string
	Stamp    *Stamp // nil: none
}

// Made is what a record became.
type Made struct {
	// OTLP is an export request, protobuf.
	OTLP []byte
	// Identity is what a record has in common with itself when it is sent again; nil: OTLP is.
	Identity []byte
	// Line says that the record is one log line without an id: equal ones are no repetition.
	Line bool
}

// maxGrowth bounds what a record becomes, in bytes for each of its own; smallest is what any may become.
const (
	maxGrowth = 32
	smallest  = 64 << 10
)

// Apply calls apply with what the record became. It may do so twice: what is OTLP after white space is protobuf or JSON. The error of a
// record that is written in another encoding names that and the setting to change.
func (d Decoder) Apply(r *kgo.Record, apply func(Made) error) error {
	if d.Stamp != nil {
		stamped := apply
		apply = func(m Made) error {
			m.OTLP = d.Stamp.on(m.OTLP, r.Topic)
			return stamped(m)
		}
	}
	switch d.Encoding {
	case "", Auto, OTLPProto, OTLPJSON:
		return d.applyOTLP(r.Value, apply)
	}
	made, err := d.convert(r)
	if err == nil && len(made.OTLP) > maxGrowth*len(r.Value)+smallest {
		return fmt.Errorf("record of %d bytes became %d bytes of OTLP, at most %d times its size: send fewer spans in one record",
			len(r.Value), len(made.OTLP), maxGrowth)
	}
	if err != nil {
		return d.explain(r.Value, err)
	}
	return apply(made)
}

// OTLP is the record as an export request, protobuf.
func (d Decoder) OTLP(r *kgo.Record) (b []byte, err error) {
	err = d.Apply(r, func(m Made) error {
		b = m.OTLP
		return nil
	})
	return b, err
}

func (d Decoder) applyOTLP(value []byte, apply func(Made) error) error {
	value = unframed(value)
	if name := foreign(value); name != "" {
		return d.explain(value, otlp.ErrMalformed)
	}
	proto := func(b []byte) error { return apply(Made{OTLP: b}) }
	var err error
	switch {
	case d.Encoding == OTLPProto:
		err = proto(value)
	case d.Encoding != OTLPJSON:
		err = d.Signal.otlp.ApplyEither(value, proto)
	default:
		b, jerr := d.Signal.otlp.FromJSON(value)
		if err = jerr; err == nil {
			err = proto(b)
		}
	}
	if errors.Is(err, otlp.ErrMalformed) || errors.Is(err, otlp.ErrJSON) {
		return d.explain(value, err)
	}
	return err
}

// explain adds to an error what the record looks like.
func (d Decoder) explain(value []byte, err error) error {
	name, set := looksLike(value), d.Encoding
	if set == "" {
		set = Auto
	}
	switch {
	case name == "", name == set, set == Auto && (name == OTLPProto || name == OTLPJSON):
		if set == Auto {
			return err
		}
		return fmt.Errorf("%w: the record is no %s (%s is set): %w", ErrEncoding, set, d.Signal.setting, err)
	case !slices.Contains(d.Signal.encodings, name):
		return fmt.Errorf("%w: it looks like %s, which holds no %s: check which topic the exporter writes to (%w)", ErrEncoding, name,
			d.Signal.name, err)
	case name == OTLPProto || name == OTLPJSON:
		name = Auto + " or " + name
	}
	return fmt.Errorf("%w: it looks like %s: set %s=%s (now %s) if that is how its topic is written (%w)", ErrEncoding,
		strings.TrimPrefix(name, Auto+" or "), d.Signal.setting, name, set, err)
}

// convert makes OTLP of what is none. A panic is an error of this record alone.
func (d Decoder) convert(r *kgo.Record) (m Made, err error) {
	defer func() {
		if p := recover(); p != nil {
			m, err = Made{}, fmt.Errorf("panic while decoding: %v", p)
		}
	}()
	switch d.Encoding {
	case JaegerProto:
		m.OTLP, err = fromJaegerProto(r.Value)
	case JaegerJSON:
		m.OTLP, err = fromJaegerJSON(r.Value)
	case ZipkinJSON:
		m.OTLP, err = fromZipkinJSON(r.Value)
	case ZipkinProto:
		m.OTLP, err = fromZipkinProto(r.Value)
	case Raw, Text:
		m.Line = true
		m.OTLP, err = fromLine(r, d.Encoding == Text)
	default:
		err = d.Signal.Check(d.Encoding)
	}
	m.Identity = r.Value // translations order attributes by chance
	return m, err
}
