package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestCertificateIsReadAgain: a new pair is served to new connections without a restart; while the files do not match, and when they
// are broken, the pair before is; connections that are open go on.
func TestCertificateIsReadAgain(t *testing.T) {
	dir := t.TempDir()
	cfg := Config{TLSCert: filepath.Join(dir, "cert.pem"), TLSKey: filepath.Join(dir, "key.pem")}
	at := time.Now().Add(-time.Hour)
	write := func(name string, b []byte) {
		t.Helper()
		at = at.Add(time.Second) // file systems may keep whole seconds
		if err := os.WriteFile(name, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, _, err := cfg.secured(l); err == nil {
		t.Fatal("there are no files yet")
	}
	cert1, key1 := newPair(t, 1)
	write(cfg.TLSCert, cert1)
	write(cfg.TLSKey, key1)
	secured, _, err := cfg.secured(l)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: time.Minute, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	go func() { _ = srv.Serve(secured) }() // until it is closed
	defer srv.Close()

	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(cert1)
	client := func() *http.Client {
		return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	}
	serial := func(c *http.Client) int64 {
		t.Helper()
		resp, err := c.Get("https://" + l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
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
	cert2, key2 := newPair(t, 2)
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
	if err := os.Remove(cfg.TLSCert); err != nil {
		t.Fatal(err)
	}
	if got := serial(client()); got != 1 {
		t.Error("a file that is gone")
	}
	c, err := tls.Dial("tcp", l.Addr().String(), &tls.Config{RootCAs: roots, MaxVersion: tls.VersionTLS11}) //nolint:gosec // it must be refused
	if err == nil {
		t.Error("TLS 1.1 is taken", c.Close())
	}
}

// newPair is a certificate for 127.0.0.1 that signs itself.
func newPair(t *testing.T, serial int64) (cert, key []byte) {
	t.Helper()
	k, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(serial), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, c, c, &k.PublicKey, k)
	if err != nil {
		t.Fatal(err)
	}
	b, err := x509.MarshalPKCS8PrivateKey(k)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: b})
}
