package model

// Kind is a span's kind, with OTLP's numbers (opentelemetry/proto/trace/v1/trace.proto, Span.SpanKind).
type Kind uint8

// The kinds.
const (
	KindUnspecified Kind = iota
	KindInternal
	KindServer
	KindClient
	KindProducer
	KindConsumer
	Kinds // how many there are
)

// Status is a span's status code, with OTLP's numbers.
type Status uint8

// The status codes.
const (
	StatusUnset Status = iota
	StatusOK
	StatusError
	Statuses
)

// Resource is what the views need of an OTLP resource. Its slices point into the scanned record.
type Resource struct {
	// Seq distinguishes the resources of one record, from 1 on; 0: what they hold distinguishes them.
	Seq        uint64
	Service    []byte // service.name; empty is a name, see HasService
	HasService bool
	Dims       []DimensionValue
	// DBName and DBNamespace stand on the resource of some database clients; nil where absent.
	DBName, DBNamespace []byte
	Version             []byte // service.version; nil where absent
}

// Span is what the views need of an OTLP span. Its slices point into the scanned record and live as long as it does; a
// scanner reuses one Span for all spans of a record.
type Span struct {
	TraceID  [16]byte
	SpanID   [8]byte
	ParentID [8]byte // zero: a root
	Name     []byte
	Start    uint64 // Unix nanoseconds
	End      uint64 // Unix nanoseconds
	Kind     Kind
	Status   Status
	Size     uint32 // encoded bytes
	// TraceState holds W3C tracestate, in which OpenTelemetry's probability sampling is noted.
	TraceState []byte
	// Attributes that name the other side of a call; nil where absent.
	PeerService, DBName, DBNamespace, DBSystemName, DBSystem, ServerAddress, NetPeerName, Destination []byte
	// What a database call does, and which messaging system it is; nil where absent.
	DBOperation, DBCollection, MessagingSystem []byte
	// Exceptions are the span's events named "exception".
	Exceptions []Exception
	Dims       []DimensionValue // where they differ from the resource's
}

// System is the database system, by its current name first.
func (s *Span) System() []byte { return FirstOf(s.DBSystemName, s.DBSystem) }

// Namespace is the name of the database, by its current name first; some clients put it on the resource.
func (r *Resource) Namespace(s *Span) []byte {
	return FirstOf(r.DBNamespace, s.DBNamespace, r.DBName, s.DBName)
}

// Exception is one recorded exception, with OpenTelemetry's exception.type and exception.message.
type Exception struct{ Type, Message []byte }

// Duration is End-Start in nanoseconds, 0 when the end lies before the start.
func (s *Span) Duration() uint64 {
	if s.End < s.Start {
		return 0
	}
	return s.End - s.Start
}

var kindNames = [Kinds]string{"SPAN_KIND_UNSPECIFIED", "SPAN_KIND_INTERNAL", "SPAN_KIND_SERVER", "SPAN_KIND_CLIENT", "SPAN_KIND_PRODUCER",
	"SPAN_KIND_CONSUMER"}

// String is the kind as metric labels and OTLP JSON write it.
func (k Kind) String() string {
	if k >= Kinds {
		return ""
	}
	return kindNames[k]
}

var statusNames = [Statuses]string{"STATUS_CODE_UNSET", "STATUS_CODE_OK", "STATUS_CODE_ERROR"}

// String is the status as metric labels and OTLP JSON write it.
func (s Status) String() string {
	if s >= Statuses {
		return ""
	}
	return statusNames[s]
}

// Record is what an Accumulator needs to know of a Kafka record beside its spans.
type Record struct {
	Offset      int64
	LeaderEpoch int32
	Timestamp   int64 // Unix milliseconds; <= 0 when unknown
	// Received is the receiver's clock when the record was read, Unix milliseconds; 0 when unknown, then Timestamp stands for it.
	Received int64
	// Anonymous says that nothing distinguishes the record from others with the same content (no id, no time finer than a second): equal
	// bytes are then no repetition.
	Anonymous bool
	Value     []byte
	// Identity is what equals that of a record when it is sent again; nil: Value is.
	Identity []byte
}

// FirstOf returns the first of names that is not empty; nil if none is.
func FirstOf(names ...[]byte) []byte {
	for _, n := range names {
		if len(n) > 0 {
			return n
		}
	}
	return nil
}
