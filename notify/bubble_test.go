package notify

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/synctest"

	commoncfg "github.com/prometheus/common/config"
)

// bubble runs a test in virtual time: waiting costs none, and what must not happen within a time is looked at when it has passed.
func bubble(t *testing.T, test func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, test)
}

// pipes is a network in memory, as a bubble needs: time passes there only while nothing waits for the operating system.
type pipes struct {
	mu        sync.Mutex
	listeners map[string]*pipeListener
}

var network = &pipes{listeners: map[string]*pipeListener{}}

// serve starts a server on an address of its own.
func (p *pipes) serve(h http.Handler) *httptest.Server {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &pipeListener{addr: pipeAddr(fmt.Sprintf("receiver-%d.test:80", len(p.listeners))), conns: make(chan net.Conn),
		closed: make(chan struct{})}
	p.listeners[string(l.addr)] = l
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: h}} //nolint:gosec // its clients are those of the test
	s.Start()
	return s
}

func (p *pipes) dial(ctx context.Context, _, addr string) (net.Conn, error) {
	p.mu.Lock()
	l := p.listeners[addr]
	p.mu.Unlock()
	if l == nil {
		return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	}
	client, server := net.Pipe()
	select {
	case l.conns <- server:
		return client, nil
	case <-l.closed:
		return nil, &net.OpError{Op: "dial", Net: "pipe", Addr: l.addr, Err: net.ErrClosed}
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func (p *pipes) options() []commoncfg.HTTPClientOption {
	return []commoncfg.HTTPClientOption{commoncfg.WithDialContextFunc(p.dial)}
}

type pipeAddr string

func (pipeAddr) Network() string  { return "pipe" }
func (a pipeAddr) String() string { return string(a) }

type pipeListener struct {
	addr   pipeAddr
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (l *pipeListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *pipeListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return nil
}

func (l *pipeListener) Addr() net.Addr { return l.addr }
