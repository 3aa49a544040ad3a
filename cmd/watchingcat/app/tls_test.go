package app

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/apptest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// TestCertificateIsReadAgain: a new pair is served to new connections without a restart; while the files do not match, and when they
// are broken, the pair before is; connections that are open go on.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cfg := config.Config{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	at := time.Now().Add(-time.Hour)
	write := func(name string, b []byte) {
		t.Helper()
		at = at.Add(time.Second) // file systems may keep whole seconds
		require.NoError(t, os.WriteFile(name, b, 0o600))
		require.NoError(t, os.Chtimes(name, at, at))
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer l.Close()
	if _, _, err := secured(&cfg, l); err == nil {
		t.Fatal("there are no files yet")
	}
	cert1, key1 := apptest.NewPair(t, 1)
	write(cfg.TLSCert, cert1)
	write(cfg.TLSKey, key1)
	over, _, err := secured(&cfg, l)
	require.NoError(t, err)
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute,
		ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = srv.Serve(over) }() // until it is closed
	defer srv.Close()

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert1)
	client := func() *http.Client {
		return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	}
	serial := func(c *http.Client) int64 {
		t.Helper()
		resp, err := c.Get("https://" + l.Addr().String())
		require.NoError(t, err)
		defer resp.Body.Close()
		if _, err := io.Copy(io.Discard, resp.Body); err != nil { // so that the connection can be used again
			t.Fatal(err)
		}
		return resp.TLS.PeerCertificates[0].SerialNumber.Int64()
	}
	old := client()
	if got := serial(old); got != 1 {
		t.Fatal(got)
	}
	cert2, key2 := apptest.NewPair(t, 2)
	roots.AppendCertsFromPEM(cert2)
	for _, step := range []struct {
		what, file string
		text       []byte
		want       int64
	}{
		{"the certificate is new, its key is not there yet", cfg.TLSCert, cert2, 1},
		{"both are new", cfg.TLSKey, key2, 2},
		{"a broken file", cfg.TLSCert, []byte("odd"), 2},
		{"an empty file", cfg.TLSKey, nil, 2},
		{"half of the old pair", cfg.TLSCert, cert1, 2},
		{"the old pair", cfg.TLSKey, key1, 1},
	} {
		write(step.file, step.text)
		if got := serial(client()); got != step.want {
			t.Errorf("%s: certificate %d, want %d", step.what, got, step.want)
		}
	}
	if got := serial(old); got != 1 {
		t.Error("the open connection was not used again")
	}
	require.NoError(t, os.Remove(cfg.TLSCert))
	if got := serial(client()); got != 1 {
		t.Error("a file that is gone")
	}
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}) //nolint:gosec // it must be refused
	if err == nil {
		t.Error("TLS 1.1 is taken", c.Close())
	}
}
