package app

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/pprof"
	"os"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// certificate is a pair of files that is read again when one of them has changed.
type certificate struct {
	cert, key string

	mu      sync.Mutex
	pair    *tls.Certificate
	changed [2]time.Time
}

func openCertificate(cert, key string) (*certificate, error) {
	c := &certificate{cert: cert, key: key}
	return c, c.load()
}

// load reads the files where they have changed; on an error the pair read before stays.
func (c *certificate) load() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var changed [2]time.Time
	for i, name := range []string{c.cert, c.key} {
		st, err := os.Stat(name)
		if err != nil {
			return err
		}
		changed[i] = st.ModTime()
	}
	if c.pair != nil && changed == c.changed {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		return err
	}
	c.pair, c.changed = &pair, changed
	return nil
}

// get is for tls.Config. Files that are being replaced do not match for a moment: what was read before answers meanwhile.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	err := c.load()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.pair == nil {
		return nil, err
	}
	return c.pair, nil
}

// serverTLS is how the process's ports speak TLS; both are nil where it is not set.
func serverTLS(c *config.Config) (*tls.Config, *certificate, error) {
	if c.TLSCert == "" {
		return nil, nil, nil
	}
	cert, err := openCertificate(c.TLSCert, c.TLSKey)
	if err != nil {
		return nil, nil, certificateError(err)
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: cert.get, NextProtos: []string{"http/1.1"}}, cert, nil
}

// secured puts TLS over the listener where it is set; the certificate is nil where it is not.
func secured(c *config.Config, l net.Listener) (net.Listener, *certificate, error) {
	t, cert, err := serverTLS(c)
	if t == nil {
		return l, nil, err
	}
	return tls.NewListener(l, t), cert, nil
}

func certificateError(err error) error {
	return config.Usage("%sTLS_CERT, %sTLS_KEY: %v", config.EnvPrefix, config.EnvPrefix, err)
}

// profiles serves pprof at its own address until ctx ends, where one is set.
func profiles(ctx context.Context, addr string, log zerolog.Logger) error {
	if addr == "" {
		<-ctx.Done()
		return nil
	}
	var lc net.ListenConfig
	l, err := lc.Listen(ctx, "tcp", addr)
	if err != nil {
		return fmt.Errorf("listen for profiles: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	log.Info().Str("url", "http://"+l.Addr().String()+"/debug/pprof/").Msg("profiles")
	srv := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	stop := context.AfterFunc(ctx, func() { _ = srv.Close() }) // a profile under way is of no use to a process that ends
	defer stop()
	if err := srv.Serve(l); ctx.Err() == nil {
		return fmt.Errorf("profiles: %w", err)
	}
	return nil
}
