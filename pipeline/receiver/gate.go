package receiver

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"strings"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/stats"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"
)

var (
	// errFull and errToken are the answers to requests that are not read.
	errFull  = status.Error(codes.Unavailable, "the receiver has as many requests in progress as its memory allows: send again")
	errToken = status.Error(codes.Unauthenticated, "send one of the tokens of WATCHINGCAT_OTLP_TOKENS as Authorization: Bearer TOKEN")
)

// gate decides, before a request is read, whether it may come in.
type gate struct {
	tokens   [][32]byte // SHA-256; none: senders need none
	most     int64      // requests in progress
	progress atomic.Int64
}

func newGate(tokens []string, most int) *gate {
	g := &gate{most: int64(most)}
	for _, t := range tokens {
		g.tokens = append(g.tokens, sha256.Sum256([]byte(t)))
	}
	return g
}

// admits reports whether the header Authorization holds a token of a sender. The time that it takes says nothing about the tokens.
func (g *gate) admits(authorization string) bool {
	if len(g.tokens) == 0 {
		return true
	}
	scheme, token, _ := strings.Cut(authorization, " ")
	sum := sha256.Sum256([]byte(strings.TrimSpace(token)))
	found := 0
	for _, t := range g.tokens {
		found |= subtle.ConstantTimeCompare(t[:], sum[:])
	}
	return found == 1 && strings.EqualFold(scheme, "bearer")
}

// enter takes a place of a request; leave gives it back.
func (g *gate) enter() bool {
	if g.progress.Add(1) > g.most {
		g.progress.Add(-1)
		return false
	}
	return true
}

func (g *gate) leave() { g.progress.Add(-1) }

// tap refuses a gRPC request before its message is read.
func (o *Receiver) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	signal := signalOf(info.FullMethodName)
	header := ""
	if v := metadata.ValueFromIncomingContext(ctx, "authorization"); len(v) > 0 {
		header = v[0]
	} else if v := info.Header.Get("authorization"); len(v) > 0 {
		header = v[0]
	}
	if !o.gate.admits(header) {
		o.counted(signal, "grpc", codes.Unauthenticated)
		return nil, errToken
	}
	if o.gate.progress.Load() >= o.gate.most {
		o.counted(signal, "grpc", codes.Unavailable)
		return nil, errFull
	}
	return ctx, nil
}

// progressing counts the gRPC requests in progress, from their header to their end, whatever becomes of them.
type progressing struct{ g *gate }

func (progressing) TagRPC(ctx context.Context, _ *stats.RPCTagInfo) context.Context   { return ctx }
func (progressing) TagConn(ctx context.Context, _ *stats.ConnTagInfo) context.Context { return ctx }
func (progressing) HandleConn(context.Context, stats.ConnStats)                       {}

func (p progressing) HandleRPC(_ context.Context, s stats.RPCStats) {
	switch s.(type) {
	case *stats.Begin:
		p.g.progress.Add(1)
	case *stats.End:
		p.g.progress.Add(-1)
	}
}

// signalOf is the signal that a gRPC method takes.
func signalOf(method string) string {
	for _, s := range []string{"trace", "metrics", "logs"} {
		if strings.Contains(method, "."+s+".") {
			return strings.TrimSuffix(s, "s") + "s"
		}
	}
	return "unknown"
}

// counters are what the receiver counts.
type counters struct {
	requests *prometheus.CounterVec
	bytes    *prometheus.CounterVec
}

func newCounters(to prometheus.Registerer) (*counters, error) {
	c := &counters{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_otlp_requests_total",
			Help: "Export requests that the OTLP receivers answered, by the gRPC code of the answer."}, []string{"signal", "transport", "code"}),
		bytes: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "watchingcat_otlp_written_bytes_total",
			Help: "Bytes of OTLP that the receivers wrote to the topics, uncompressed."}, []string{"signal"}),
	}
	if to == nil {
		return c, nil
	}
	for _, v := range []prometheus.Collector{c.requests, c.bytes} {
		if err := to.Register(v); err != nil {
			return nil, err
		}
	}
	return c, nil
}

func (o *Receiver) counted(signal, transport string, code codes.Code) {
	o.counters.requests.WithLabelValues(signal, transport, code.String()).Inc()
}

// unary counts the answers of requests that were read.
func (o *Receiver) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, next grpc.UnaryHandler) (any, error) {
	answer, err := next(ctx, request)
	o.counted(signalOf(info.FullMethod), "grpc", status.Code(err))
	return answer, err
}
