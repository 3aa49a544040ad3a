package export

import (
	"fmt"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/value"
	"github.com/prometheus/prometheus/prompb"
	writev2 "github.com/prometheus/prometheus/prompb/io/prometheus/write/v2"

	"github.com/gaurav/watchingcat/evaluator/query"
)

const (
	// partSamples and partBytes bound one request, and so one record of the topic: brokers take 1 MB by default.
	partSamples = 5000
	partBytes   = 512 << 10
	// setBytes bounds the requests of one timestamp, before they are compressed; partsOfSet follows.
	setBytes   = 64 << 20
	partsOfSet = setBytes / partBytes * 4
)

// A part is one request of remote write 2.0, compressed with snappy as it is sent.
type part struct {
	payload []byte
	samples int
}

// encoder makes parts of samples.
type encoder struct {
	symbols writev2.SymbolsTable
	known   int // symbols counted
	series  []writev2.TimeSeries
	bytes   int
	all     int // bytes of parts before
	parts   []part
	refs    []uint32
	about   map[string]writev2.Metadata // by name, of this part
}

// encode makes the requests of a set. Samples beyond setBytes are dropped and counted.
func encode(s *set) (parts []part, dropped int, err error) {
	e := &encoder{}
	e.begin()
	for i := range s.samples {
		if e.all+e.bytes > setBytes || len(e.parts) >= partsOfSet {
			dropped = len(s.samples) - i
			break
		}
		e.add(&s.samples[i])
		if len(e.series) >= partSamples || e.bytes >= partBytes {
			if err := e.end(); err != nil {
				return nil, 0, err
			}
		}
	}
	if err := e.end(); err != nil {
		return nil, 0, err
	}
	return e.parts, dropped, nil
}

func (e *encoder) begin() {
	e.symbols, e.known, e.series, e.bytes, e.about = writev2.NewSymbolTable(), 0, nil, 0, map[string]writev2.Metadata{}
}

func (e *encoder) add(s *sample) {
	e.refs = e.symbols.SymbolizeLabels(s.l, e.refs)
	ts := writev2.TimeSeries{LabelsRefs: append([]uint32(nil), e.refs...), Metadata: e.metadata(s.l.Get(labels.MetricName))}
	if s.h != nil {
		ts.Histograms = []writev2.Histogram{writev2.FromFloatHistogram(s.st, s.t, s.h)}
		e.bytes += 64 + 9*len(s.h.PositiveBuckets) + 9*len(s.h.NegativeBuckets) + 12*(len(s.h.PositiveSpans)+len(s.h.NegativeSpans))
	} else {
		ts.Samples = []writev2.Sample{{Value: s.v, Timestamp: s.t, StartTimestamp: s.st}}
	}
	e.series = append(e.series, ts)
	e.bytes += 48 + 5*len(ts.LabelsRefs)
	for all := e.symbols.Symbols(); e.known < len(all); e.known++ {
		e.bytes += len(all[e.known]) + 4
	}
}

// metadata is what is known of a metric by its name.
func (e *encoder) metadata(name string) writev2.Metadata {
	if m, ok := e.about[name]; ok {
		return m
	}
	m := writev2.Metadata{}
	if about, ok := query.MetadataOf(name); ok {
		m = writev2.Metadata{Type: writev2.FromMetadataType(about.Type), HelpRef: e.symbols.Symbolize(about.Help),
			UnitRef: e.symbols.Symbolize(about.Unit)}
	}
	e.about[name] = m
	return m
}

// end closes the part.
func (e *encoder) end() error {
	if len(e.series) == 0 {
		return nil
	}
	r := writev2.Request{Symbols: e.symbols.Symbols(), Timeseries: e.series}
	b, err := r.Marshal()
	if err != nil {
		return fmt.Errorf("encode samples: %w", err)
	}
	e.all += len(b)
	e.parts = append(e.parts, part{snappy.Encode(nil, b), len(e.series)})
	e.begin()
	return nil
}

// decode reads a part.
func decode(payload []byte) (*writev2.Request, error) {
	if n, err := snappy.DecodedLen(payload); err != nil || n > setBytes {
		return nil, fmt.Errorf("decode samples: %d bytes: not a part, or too large (%w)", n, err)
	}
	b, err := snappy.Decode(nil, payload)
	if err != nil {
		return nil, fmt.Errorf("decode samples: %w", err)
	}
	r := &writev2.Request{}
	if err := r.Unmarshal(b); err != nil {
		return nil, fmt.Errorf("decode samples: %w", err)
	}
	return r, nil
}

// seriesOf are the series of a part that go on: a marker ends one.
func seriesOf(payload []byte, into map[string]labels.Labels) error {
	r, err := decode(payload)
	if err != nil {
		return err
	}
	b := labels.NewScratchBuilder(16)
	for _, ts := range r.Timeseries {
		if len(ts.Samples) == 1 && value.IsStaleNaN(ts.Samples[0].Value) {
			continue
		}
		l, err := ts.ToLabels(&b, r.Symbols)
		if err != nil {
			return fmt.Errorf("decode samples: %w", err)
		}
		into[string(l.Bytes(nil))] = l
	}
	return nil
}

// older is a part as a request of remote write 1.0, which has no start timestamps.
func older(payload []byte) ([]byte, error) {
	r, err := decode(payload)
	if err != nil {
		return nil, err
	}
	out := prompb.WriteRequest{Timeseries: make([]prompb.TimeSeries, 0, len(r.Timeseries))}
	b := labels.NewScratchBuilder(16)
	seen := map[string]bool{}
	for _, ts := range r.Timeseries {
		l, err := ts.ToLabels(&b, r.Symbols)
		if err != nil {
			return nil, fmt.Errorf("decode samples: %w", err)
		}
		x := prompb.TimeSeries{Labels: prompb.FromLabels(l, nil)}
		for _, s := range ts.Samples {
			x.Samples = append(x.Samples, prompb.Sample{Value: s.Value, Timestamp: s.Timestamp})
		}
		for _, h := range ts.Histograms {
			x.Histograms = append(x.Histograms, prompb.FromFloatHistogram(h.Timestamp, h.ToFloatHistogram()))
		}
		out.Timeseries = append(out.Timeseries, x)
		if about, ok := query.MetadataOf(l.Get(labels.MetricName)); ok && !seen[about.Name] {
			seen[about.Name] = true
			out.Metadata = append(out.Metadata, prompb.MetricMetadata{Type: prompb.FromMetadataType(about.Type),
				MetricFamilyName: about.Name, Help: about.Help, Unit: about.Unit})
		}
	}
	all, err := out.Marshal()
	if err != nil {
		return nil, fmt.Errorf("encode samples: %w", err)
	}
	return snappy.Encode(nil, all), nil
}
