package receiver

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	statuspb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
)

// otlpRequest is what the three signals have in common.
type otlpRequest interface {
	MarshalProto() ([]byte, error)
	UnmarshalProto([]byte) error
	UnmarshalJSON([]byte) error
}

// Handler serves OTLP/HTTP.
func (o *Receiver) Handler() http.Handler {
	mux := http.NewServeMux()
	handle := func(path, topic string, request func() otlpRequest) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) { o.serveOTLP(w, r, topic, request()) })
	}
	handle("/v1/traces", o.TracesTopic, func() otlpRequest { r := ptraceotlp.NewExportRequest(); return &r })
	handle("/v1/metrics", o.MetricsTopic, func() otlpRequest { r := pmetricotlp.NewExportRequest(); return &r })
	handle("/v1/logs", o.LogsTopic, func() otlpRequest { r := plogotlp.NewExportRequest(); return &r })
	return mux
}

func (o *Receiver) serveOTLP(w http.ResponseWriter, r *http.Request, topic string, request otlpRequest) {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	asJSON := kind == "application/json"
	if err != nil || !asJSON && kind != "application/x-protobuf" {
		http.Error(w, "send application/x-protobuf or application/json", http.StatusUnsupportedMediaType)
		return
	}
	body, code, err := otlpBody(w, r)
	if err != nil {
		otlpError(w, asJSON, code, codes.InvalidArgument, err)
		return
	}
	unmarshal := request.UnmarshalProto
	if asJSON {
		unmarshal = request.UnmarshalJSON
	}
	if err := unmarshal(body); err != nil {
		otlpError(w, asJSON, http.StatusBadRequest, codes.InvalidArgument, fmt.Errorf("decode request: %w", err))
		return
	}
	if err := o.export(r.Context(), topic, request.MarshalProto); err != nil {
		st := status.Convert(err)
		code := http.StatusBadRequest
		if st.Code() == codes.Unavailable {
			code = http.StatusServiceUnavailable // which senders retry
			w.Header().Set("Retry-After", "1")
		}
		otlpError(w, asJSON, code, st.Code(), errors.New(st.Message()))
		return
	}
	// pdata's response would carry an empty partial_success, which the specification wants unset
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}") // a sender that has gone away will send again
		return
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
}

// otlpBody reads the body, at most maxOTLPBytes before and after decompression.
func otlpBody(w http.ResponseWriter, r *http.Request) ([]byte, int, error) {
	var body io.Reader = http.MaxBytesReader(w, r.Body, maxOTLPBytes)
	switch enc := r.Header.Get("Content-Encoding"); enc {
	case "", "identity":
	case "gzip":
		z, err := gzip.NewReader(body)
		if err != nil {
			return nil, http.StatusBadRequest, fmt.Errorf("read gzip: %w", err)
		}
		body = z
	default:
		return nil, http.StatusUnsupportedMediaType, fmt.Errorf("content encoding %q is not known: use gzip or none", enc)
	}
	b, err := io.ReadAll(io.LimitReader(body, maxOTLPBytes+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), len(b) > maxOTLPBytes:
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the request is over %d bytes: send smaller batches", maxOTLPBytes)
	case err != nil:
		return nil, http.StatusBadRequest, fmt.Errorf("read body: %w", err)
	}
	return b, 0, nil
}

// otlpError answers with a Status message in the request's encoding, as the specification wants it.
func otlpError(w http.ResponseWriter, asJSON bool, httpCode int, code codes.Code, err error) {
	st := &statuspb.Status{Code: int32(code), Message: err.Error()}
	marshal, contentType := proto.Marshal, "application/x-protobuf"
	if asJSON {
		marshal, contentType = protojson.Marshal, "application/json"
	}
	b, err := marshal(st)
	if err != nil {
		http.Error(w, "encode status", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(httpCode)
	w.Write(b)
}
