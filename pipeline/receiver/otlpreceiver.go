package receiver

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/plog/plogotlp"
	"go.opentelemetry.io/collector/pdata/pmetric/pmetricotlp"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	_ "google.golang.org/grpc/encoding/gzip" // senders compress
	"google.golang.org/grpc/status"
)

// DefaultMaxBytes bounds an export request, after decompression.
const DefaultMaxBytes = 16 << 20

// Receiver takes OTLP over gRPC and HTTP and writes each export request as one record to Kafka, as a collector's Kafka
// exporter does. A request is answered once the brokers have it; there is no partial success.
type Receiver struct {
	Kafka    kafka.Config
	GRPCAddr string // "" means none
	HTTPAddr string // "" means none

	TracesTopic, MetricsTopic, LogsTopic string

	// TLS of both ports; nil: none.
	TLS *tls.Config
	// Tokens of senders; none: senders need none.
	Tokens []string
	// MaxBytes bounds a request (0: DefaultMaxBytes), MaxRequests how many are in progress (0: 64). Beyond it a request is not read, and
	// answered so that its sender sends it again.
	MaxBytes, MaxRequests int
	// Registerer shows what the receiver counts; nil: it is not shown.
	Registerer prometheus.Registerer

	Logger zerolog.Logger

	cl       *kgo.Client
	gate     *gate
	counters *counters
}

// Listen opens what Run serves. An address that is taken is in the error, the other is served all the same: the caller decides
// whether that is worth more than a warning. Without any listener Run does nothing.
func (o *Receiver) Listen() (*Listeners, error) {
	l := &Listeners{}
	errs := []error{o.prepare()}
	for _, a := range []struct {
		name, addr string
		to         *net.Listener
	}{{"OTLP gRPC", o.GRPCAddr, &l.grpc}, {"OTLP HTTP", o.HTTPAddr, &l.http}} {
		if a.addr == "" {
			continue
		}
		var err error
		if *a.to, err = net.Listen("tcp", a.addr); err != nil {
			errs = append(errs, fmt.Errorf("pipeline: %s listener: %w", a.name, err))
		}
	}
	return l, errors.Join(errs...)
}

// Listeners are open ports.
type Listeners struct{ grpc, http net.Listener }

// GRPCAddr returns the address of the gRPC port, "" for none.
func (l *Listeners) GRPCAddr() string { return addrOf(l.grpc) }

// HTTPAddr returns the address of the HTTP port, "" for none.
func (l *Listeners) HTTPAddr() string { return addrOf(l.http) }

// Close closes the ports; those that Serve served are closed already.
func (l *Listeners) Close() {
	for _, open := range []net.Listener{l.grpc, l.http} {
		if open != nil {
			_ = open.Close()
		}
	}
}

func addrOf(l net.Listener) string {
	if l == nil {
		return ""
	}
	return l.Addr().String()
}

// Run listens and serves until ctx ends. Taken ports are logged as a warning, as the demo wants it.
func (o *Receiver) Run(ctx context.Context) error {
	l, err := o.Listen()
	if err != nil {
		o.Logger.Warn().Err(err).Msg("an OTLP port is not served")
	}
	return o.Serve(ctx, l)
}

// Serve serves the listeners until ctx ends, and closes them.
func (o *Receiver) Serve(ctx context.Context, l *Listeners) error {
	if err := o.open(); err != nil {
		return err
	}
	defer o.cl.Close()
	gs := o.grpcServer()
	hs := &http.Server{Handler: o.Handler(), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute}
	errs := make(chan error, 2)
	var wg sync.WaitGroup
	if l.grpc != nil {
		wg.Go(func() { errs <- gs.Serve(l.grpc) })
	}
	if l.http != nil {
		wg.Go(func() { errs <- hs.Serve(o.secured(l.http)) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-errs:
		err = fmt.Errorf("pipeline: serve OTLP: %w", err)
	}
	gs.Stop()
	err = errors.Join(err, hs.Close())
	wg.Wait()
	return err
}

// prepare sets the bounds.
func (o *Receiver) prepare() (err error) {
	o.MaxBytes, o.MaxRequests = cmp.Or(o.MaxBytes, DefaultMaxBytes), cmp.Or(o.MaxRequests, 64)
	o.gate = newGate(o.Tokens, o.MaxRequests)
	o.counters, err = newCounters(o.Registerer)
	return err
}

// open opens the client that writes.
func (o *Receiver) open() (err error) {
	o.cl, err = o.Kafka.Client(kgo.AllowAutoTopicCreation(), kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchMaxBytes(int32(o.MaxBytes+1<<20)), kgo.MaxBufferedBytes(8*o.MaxBytes), //nolint:gosec // at most 17 MiB
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()))
	return err
}

// secured puts TLS over the HTTP port where it is set.
func (o *Receiver) secured(l net.Listener) net.Listener {
	if o.TLS == nil {
		return l
	}
	c := o.TLS.Clone()
	c.NextProtos = []string{"http/1.1"}
	return tls.NewListener(l, c)
}

func (o *Receiver) grpcServer() *grpc.Server {
	opts := []grpc.ServerOption{grpc.MaxRecvMsgSize(o.MaxBytes), grpc.InTapHandle(o.tap), grpc.StatsHandler(progressing{o.gate}), grpc.UnaryInterceptor(o.unary)}
	if o.TLS != nil {
		c := o.TLS.Clone()
		c.NextProtos = nil // the credentials set it
		opts = append(opts, grpc.Creds(credentials.NewTLS(c)))
	}
	s := grpc.NewServer(opts...)
	ptraceotlp.RegisterGRPCServer(s, &otlpTraces{o: o})
	pmetricotlp.RegisterGRPCServer(s, &otlpMetrics{o: o})
	plogotlp.RegisterGRPCServer(s, &otlpLogs{o: o})
	return s
}

type otlpTraces struct {
	ptraceotlp.UnimplementedGRPCServer
	o *Receiver
}

func (s *otlpTraces) Export(ctx context.Context, r ptraceotlp.ExportRequest) (ptraceotlp.ExportResponse, error) {
	return ptraceotlp.NewExportResponse(), s.o.export(ctx, "traces", s.o.TracesTopic, r.MarshalProto)
}

type otlpMetrics struct {
	pmetricotlp.UnimplementedGRPCServer
	o *Receiver
}

func (s *otlpMetrics) Export(ctx context.Context, r pmetricotlp.ExportRequest) (pmetricotlp.ExportResponse, error) {
	return pmetricotlp.NewExportResponse(), s.o.export(ctx, "metrics", s.o.MetricsTopic, r.MarshalProto)
}

type otlpLogs struct {
	plogotlp.UnimplementedGRPCServer
	o *Receiver
}

func (s *otlpLogs) Export(ctx context.Context, r plogotlp.ExportRequest) (plogotlp.ExportResponse, error) {
	return plogotlp.NewExportResponse(), s.o.export(ctx, "logs", s.o.LogsTopic, r.MarshalProto)
}

// exportTimeout is how long a sender waits for the brokers before it is asked to send again.
const exportTimeout = 10 * time.Second

// export writes one request. Its errors are gRPC statuses: Unavailable where the sender should try again.
func (o *Receiver) export(ctx context.Context, signal, topic string, marshal func() ([]byte, error)) error {
	value, err := marshal()
	if err != nil {
		return status.Errorf(codes.InvalidArgument, "encode request: %v", err)
	}
	ctx, cancel := context.WithTimeout(ctx, exportTimeout)
	defer cancel()
	err = o.cl.ProduceSync(ctx, &kgo.Record{Topic: topic, Value: value}).FirstErr()
	switch {
	case err == nil:
		o.counters.bytes.WithLabelValues(signal).Add(float64(len(value)))
		return nil
	case errors.Is(err, kerr.MessageTooLarge):
		// a smaller batch would pass, the same one never will
		return status.Errorf(codes.InvalidArgument, "the broker takes no record of %d bytes: send smaller batches", len(value))
	}
	return status.Errorf(codes.Unavailable, "the broker does not take the request now: %v", err)
}
