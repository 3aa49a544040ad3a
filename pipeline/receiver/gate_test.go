package receiver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.opentelemetry.io/collector/pdata/ptrace/ptraceotlp"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
)

// served serves o on free ports until the test ends.
func served(t *testing.T, o *Receiver) *Listeners {
	t.Helper()
	o.GRPCAddr, o.HTTPAddr, o.TracesTopic = "127.0.0.1:0", "127.0.0.1:0", pipelinetest.Topic
	l, err := o.Listen()
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- o.Serve(ctx, l) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("serve: %v", err)
		}
	})
	return l
}

// postTraces sends the traces over HTTP and returns the status; 0 where nothing answers.
func postTraces(t *testing.T, client *http.Client, url, authorization string) int {
	t.Helper()
	body, err := ptraceotlp.NewExportRequestFromTraces(someTraces()).MarshalProto()
	require.NoError(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/v1/traces", bytes.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/x-protobuf")
	r.Header.Set("Authorization", authorization)
	resp, err := client.Do(r)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	return resp.StatusCode
}

func TestTokens(t *testing.T) {
	b := pipelinetest.NewBroker(t, 1)
	reg := prometheus.NewRegistry()
	o := &Receiver{Kafka: b.Config, Tokens: []string{"first-token-of-senders", "second-token-of-senders"}, Registerer: reg}
	l := served(t, o)
	conn, err := grpc.NewClient(l.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	for header, ok := range map[string]bool{"Bearer first-token-of-senders": true, "bearer second-token-of-senders": true, "": false, "Bearer": false,
		"Bearer first-token-of-sender": false, "Bearer first-token-of-senders,second-token-of-senders": false, "Basic first-token-of-senders": false} {
		wantHTTP, wantCode := http.StatusOK, codes.OK
		if !ok {
			wantHTTP, wantCode = http.StatusUnauthorized, codes.Unauthenticated
		}
		require.Equal(t, wantHTTP, postTraces(t, http.DefaultClient, "http://"+l.HTTPAddr(), header), header)
		_, err := ptraceotlp.NewGRPCClient(conn).Export(metadata.AppendToOutgoingContext(t.Context(), "authorization", header),
			ptraceotlp.NewExportRequestFromTraces(someTraces()))
		require.Equal(t, wantCode, status.Code(err), "%s: %v", header, err)
	}
	require.InDelta(t, 2, testutil.ToFloat64(o.counters.requests.WithLabelValues("traces", "grpc", "OK")), 0)
	require.InDelta(t, 5, testutil.ToFloat64(o.counters.requests.WithLabelValues("traces", "grpc", "Unauthenticated")), 0)
	require.InDelta(t, 5, testutil.ToFloat64(o.counters.requests.WithLabelValues("traces", "http", "Unauthenticated")), 0)
	require.Zero(t, o.gate.progress.Load(), "a refused request takes no place")
}

// With as many requests in progress as there may be, the next one is not read, its sender is asked to send it again, and the places come back.
func TestFull(t *testing.T) {
	b := pipelinetest.NewBroker(t, 1)
	release := make(chan struct{})
	b.ControlKey(kmsg.Produce.Int16(), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		<-release
		return nil, nil, false
	})
	o := &Receiver{Kafka: b.Config, MaxRequests: 2}
	l := served(t, o)
	conn, err := grpc.NewClient(l.GRPCAddr(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	require.NoError(t, err)
	defer conn.Close()
	export := func() error {
		_, err := ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(someTraces()))
		return err
	}
	waiting := make(chan error, 2)
	for range 2 {
		go func() { waiting <- export() }()
	}
	for o.gate.progress.Load() < 2 {
		time.Sleep(time.Millisecond)
	}
	require.Equal(t, http.StatusServiceUnavailable, postTraces(t, http.DefaultClient, "http://"+l.HTTPAddr(), ""))
	require.Equal(t, codes.Unavailable, status.Code(export()))
	close(release)
	require.NoError(t, <-waiting)
	require.NoError(t, <-waiting)
	require.NoError(t, export())
	require.Equal(t, http.StatusOK, postTraces(t, http.DefaultClient, "http://"+l.HTTPAddr(), ""))
	for o.gate.progress.Load() != 0 { // the end of a request is counted after its answer
		time.Sleep(time.Millisecond)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	c := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &key.PublicKey, key)
	require.NoError(t, err)
	leaf, err := x509.ParseCertificate(der)
	require.NoError(t, err)
	trusted := x509.NewCertPool()
	trusted.AddCert(leaf)
	b := pipelinetest.NewBroker(t, 1)
	l := served(t, &Receiver{Kafka: b.Config, TLS: &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			return &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, nil
		}}})
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12}}}
	require.Equal(t, http.StatusOK, postTraces(t, client, "https://"+l.HTTPAddr(), ""))
	require.Equal(t, http.StatusBadRequest, postTraces(t, client, "http://"+l.HTTPAddr(), ""), "plain HTTP is refused")
	conn, err := grpc.NewClient(l.GRPCAddr(), grpc.WithTransportCredentials(credentials.NewTLS(&tls.Config{RootCAs: trusted, MinVersion: tls.VersionTLS12})))
	require.NoError(t, err)
	defer conn.Close()
	_, err = ptraceotlp.NewGRPCClient(conn).Export(t.Context(), ptraceotlp.NewExportRequestFromTraces(someTraces()))
	require.NoError(t, err)
}
