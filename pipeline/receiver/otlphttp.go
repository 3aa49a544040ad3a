package receiver

import (
	"cmp"
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
	handle := func(signal, topic string, request func() otlpRequest) {
		mux.HandleFunc("POST /v1/"+signal, func(w http.ResponseWriter, r *http.Request) {
			o.counted(signal, "http", o.serveOTLP(w, r, signal, topic, request))
		})
	}
	handle("traces", o.TracesTopic, func() otlpRequest { r := ptraceotlp.NewExportRequest(); return &r })
	handle("metrics", o.MetricsTopic, func() otlpRequest { r := pmetricotlp.NewExportRequest(); return &r })
	handle("logs", o.LogsTopic, func() otlpRequest { r := plogotlp.NewExportRequest(); return &r })
	return mux
}

// serveOTLP answers one request and returns the code of the answer.
func (o *Receiver) serveOTLP(w http.ResponseWriter, r *http.Request, signal, topic string, request func() otlpRequest) codes.Code {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	asJSON := kind == "application/json"
	if err != nil || !asJSON && kind != "application/x-protobuf" {
		http.Error(w, "send application/x-protobuf or application/json", http.StatusUnsupportedMediaType)
		return codes.InvalidArgument
	}
	if err := o.take(r, signal, topic, asJSON, request); err != nil {
		st := status.Convert(err)
		var sized *sizedError
		code := httpCodes[st.Code()]
		if errors.As(err, &sized) {
			code = sized.code
		}
		if st.Code() == codes.Unavailable {
			w.Header().Set("Retry-After", "1")
		}
		otlpError(w, asJSON, cmp.Or(code, http.StatusBadRequest), st.Code(), errors.New(st.Message()))
		return st.Code()
	}
	// pdata's response would carry an empty partial_success, which the specification wants unset
	if asJSON {
		w.Header().Set("Content-Type", "application/json")
		io.WriteString(w, "{}") // a sender that has gone away will send again
		return codes.OK
	}
	w.Header().Set("Content-Type", "application/x-protobuf")
	return codes.OK
}

// httpCodes are those of OTLP/HTTP: senders send again after 503.
var httpCodes = map[codes.Code]int{codes.Unavailable: http.StatusServiceUnavailable, codes.Unauthenticated: http.StatusUnauthorized}

// sizedError is one of the request's body, with its status of HTTP.
type sizedError struct {
	code int
	err  error
}

func (e *sizedError) Error() string { return e.err.Error() }

// GRPCStatus makes it an invalid argument: the same request never passes.
func (e *sizedError) GRPCStatus() *status.Status {
	return status.New(codes.InvalidArgument, e.err.Error())
}

// take reads a request and writes it. Its errors are statuses of gRPC.
func (o *Receiver) take(r *http.Request, signal, topic string, asJSON bool, request func() otlpRequest) error {
	if !o.gate.admits(r.Header.Get("Authorization")) {
		return errToken
	}
	if !o.gate.enter() {
		return errFull
	}
	defer o.gate.leave()
	body, code, err := o.otlpBody(r)
	if err != nil {
		return &sizedError{code, err}
	}
	q := request()
	unmarshal := q.UnmarshalProto
	if asJSON {
		unmarshal = q.UnmarshalJSON
	}
	if err := unmarshal(body); err != nil {
		return status.Errorf(codes.InvalidArgument, "decode request: %v", err)
	}
	return o.export(r.Context(), signal, topic, q.MarshalProto)
}

// otlpBody reads the body, at most MaxBytes before and after decompression.
func (o *Receiver) otlpBody(r *http.Request) ([]byte, int, error) {
	var body io.Reader = http.MaxBytesReader(nil, r.Body, int64(o.MaxBytes))
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
	b, err := io.ReadAll(io.LimitReader(body, int64(o.MaxBytes)+1))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge), len(b) > o.MaxBytes:
		return nil, http.StatusRequestEntityTooLarge, fmt.Errorf("the request is over %d bytes: send smaller batches", o.MaxBytes)
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
