package cli

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/apptest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

// identityBench is a server that asks who one is, in front of an in-process broker.
type identityBench struct {
	t          *testing.T
	broker     *kfake.Cluster
	url, pprof string
	settings   []string // of the environment
}

func newIdentityBench(t *testing.T) *identityBench {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(1, "otlp_spans", "otlp_logs", "otlp_metrics", "watchingcat_dead_letter"))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	var ports [2]int
	for i := range ports {
		if ports[i], err = freeport.Programs.Port(); err != nil {
			t.Fatal(err)
		}
	}
	b := &identityBench{t: t, broker: broker, url: fmt.Sprintf("http://127.0.0.1:%d", ports[0]),
		pprof: fmt.Sprintf("http://127.0.0.1:%d", ports[1])}
	for name, v := range map[string]string{"KAFKA_BROKERS": strings.Join(broker.ListenAddrs(), ","),
		"DATA_DIR":  filepath.Join(t.TempDir(), "data"),
		"HTTP_ADDR": strings.TrimPrefix(b.url, "http://"), "PPROF_ADDR": strings.TrimPrefix(b.pprof, "http://"), "MIN_FREE_DISK_BYTES": "1",
		"AUTH_ENABLED": "true"} {
		b.settings = append(b.settings, config.EnvPrefix+name+"="+v)
		t.Setenv(config.EnvPrefix+name, v)
	}
	return b
}

// serve runs the server until the test ends.
func (b *identityBench) serve() {
	b.t.Helper()
	cfg, err := config.Load(serveCommand().Flags(), b.settings)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- serve(ctx, cfg, zerolog.Nop()) }()
	b.t.Cleanup(func() {
		stop()
		if err := <-served; err != nil {
			b.t.Error(err)
		}
	})
	for !answers(b.t.Context(), cfg.HTTPAddr) {
		time.Sleep(10 * time.Millisecond)
	}
}

// run is a command line with an input; what it says is returned.
func (b *identityBench) run(code int, input, token string, args ...string) string {
	b.t.Helper()
	b.t.Setenv(config.EnvPrefix+"TOKEN", token)
	var out bytes.Buffer
	if got := runWith(b.t.Context(), args, strings.NewReader(input), &out, &out); got != code {
		b.t.Fatalf("watchingcat %s: exit code %d, want %d\n%s", strings.Join(args, " "), got, code, &out)
	}
	return out.String()
}

// get is the status and the answer to a request.
func (b *identityBench) get(method, url, token, body string) (int, string) {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		b.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	return resp.StatusCode, string(text)
}

// follow opens an event stream and returns its events by name until it ends.
func (b *identityBench) follow(token string) <-chan string {
	b.t.Helper()
	req, err := http.NewRequestWithContext(b.t.Context(), http.MethodGet, b.url+"/api/v1/live?view=pipeline", nil)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil || resp.StatusCode != http.StatusOK {
		b.t.Fatal(resp, err)
	}
	events := make(chan string)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		in := bufio.NewScanner(resp.Body)
		in.Buffer(nil, 1<<20)
		for in.Scan() {
			if name, ok := strings.CutPrefix(in.Text(), "event: "); ok {
				events <- name
			}
		}
	}()
	return events
}

// ends waits for the event that says that the credential has ended.
func (b *identityBench) ends(events <-chan string) {
	b.t.Helper()
	last := ""
	for name := range events {
		last = name
	}
	if last != "closed" {
		b.t.Fatalf("the last event is %q", last)
	}
}

// TestIdentityCommands makes the first admin without a server, then works with the server that runs, and on the topic beside it.
func TestIdentityCommands(t *testing.T) {
	b := newIdentityBench(t)
	says := func(got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Fatalf("%q is not in:\n%s", want, got)
		}
	}
	const password = "correct horse"
	says(b.run(exitUsage, "", "", "user", "add", "ann"), "password on standard input")
	says(b.run(exitUsage, "short\n", "", "user", "add", "ann"), "8 to 256 bytes")
	says(b.run(exitUsage, password, "", "user", "add", "--role", "root", "ann"), "none of viewer, editor, admin")
	says(b.run(exitUsage, password, "", "user", "add", "-r", "admin", "ann"), "--help")
	b.run(exitOK, password+"\n", "", "user", "add", "--role", "admin", "ann")
	says(b.run(exitUsage, password, "", "user", "add", "ann"), "there is a user of this name")
	b.serve()

	var login rest.Login
	enter := func() (int, string) {
		return b.get("POST", b.url+"/api/v1/auth/login", "", `{"username":"ann","password":"`+password+`"}`)
	}
	status, text := enter()
	for status == http.StatusServiceUnavailable { // never 401, which would send a browser's user away
		says(text, "not_read_yet")
		time.Sleep(10 * time.Millisecond)
		status, text = enter()
	}
	if err := json.Unmarshal([]byte(text), &login); status != http.StatusOK || err != nil {
		t.Fatal(status, text, err)
	}
	idOf := func(list, name string) string {
		t.Helper()
		m := regexp.MustCompile(`(?m)^([0-9a-f]{16})  ` + name + ` `).FindStringSubmatch(list)
		if m == nil {
			t.Fatalf("%s is not listed:\n%s", name, list)
		}
		return m[1]
	}
	for _, as := range []string{login.Token, ""} { // asking the server, and on the topic
		by := "ann"
		if as == "" {
			by = "command line"
		}
		token := strings.TrimSpace(b.run(exitOK, "", as, "token", "create", "--role", "viewer", "--name", "grafana", "--expires", "720h"))
		if !regexp.MustCompile(`^wc_[0-9a-f]{16}_[A-Za-z0-9_-]{43}$`).MatchString(token) {
			t.Fatalf("no token alone: %q", token)
		}
		list := b.run(exitOK, "", as, "token", "list")
		says(list, by)
		if strings.Contains(list, token[20:]) {
			t.Fatal("the list shows a secret")
		}
		status, text := b.get("GET", b.url+"/api/v1/services", token, "")
		for as == "" && status == http.StatusUnauthorized { // the server reads the topic a moment after the command wrote to it
			time.Sleep(10 * time.Millisecond)
			status, text = b.get("GET", b.url+"/api/v1/services", token, "")
		}
		if status != http.StatusOK {
			t.Fatal(status, text)
		}
		says(b.run(exitFailure, "", token, "token", "list"), "this needs the role admin, and token:grafana has viewer; Ask an admin")
		events := b.follow(token)
		b.run(exitOK, "", as, "token", "revoke", idOf(list, "grafana"))
		b.ends(events)
		if status, _ := b.get("GET", b.url+"/api/v1/services", token, ""); status != http.StatusUnauthorized {
			t.Fatal(status)
		}
		says(b.run(exitUsage, "", as, "token", "revoke", "0123456789abcdef"), "there is no such user or token")
		says(b.run(exitUsage, "", as, "token", "create", "--name", "no good"), "a name has 1 to 64")
	}
	b.run(exitOK, password, login.Token, "user", "add", "--role", "viewer", "bob")
	says(b.run(exitFailure, password, login.Token, "user", "add", "bob"), "there is a user of this name")
	says(b.run(exitFailure, "", "wc_0123456789abcdef_x", "token", "list"), "who asks is not known")

	_, audit := b.get("GET", b.url+"/api/v1/audit?limit=100", login.Token, "")
	for _, want := range []string{`"by":"ann"`, `"by":"command line (`, `"action":"create"`, `"action":"delete"`, `"object":"bob"`} {
		says(audit, want)
	}
	events := b.follow(login.Token)
	if status, text := b.get("PUT", b.url+"/api/v1/users/ann", login.Token,
		`{"role":"admin","password":"another horse"}`); status != http.StatusOK {
		t.Fatal(status, text)
	}
	b.ends(events)
}

// TestNotReadyBeforeSettingsAreRead: whoever asks a replica that has not read users and rules yet would be sent away, or miss rules.
func TestNotReadyBeforeSettingsAreRead(t *testing.T) {
	b := newIdentityBench(t)
	var allowed atomic.Bool
	b.broker.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.KeepControl()
		if allowed.Load() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.CreateTopicsResponse)
		resp.Topics = []kmsg.CreateTopicsResponseTopic{{Topic: "watchingcat_config", ErrorCode: kerr.TopicAuthorizationFailed.Code}}
		return resp, nil, true
	})
	b.serve()
	wait := func(what string, ok func(status int, checks string) bool) {
		t.Helper()
		for deadline := time.Now().Add(3 * time.Minute); ; time.Sleep(5 * time.Millisecond) {
			status, text := b.get("GET", b.url+"/health/ready", "", "")
			if ok(status, text) {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("never %s: %d %s", what, status, text)
			}
		}
	}
	wait("not ready for the settings alone", func(status int, checks string) bool {
		return status == http.StatusServiceUnavailable && strings.Contains(checks, "watchingcat_config") && strings.Contains(checks,
			"have not been read yet") &&
			strings.Contains(checks, "UNKNOWN_TOPIC") && !strings.Contains(checks, "otlp_")
	})
	allowed.Store(true)
	wait("ready", func(status int, checks string) bool {
		return status == http.StatusOK && !strings.Contains(checks, "watchingcat_config")
	})
}

// TestCommandsTrustAPrivateCA: a server whose certificate is of a company's own CA is asked once that is named, and not before.
func TestCommandsTrustAPrivateCA(t *testing.T) {
	cert, key := apptest.NewPair(t, 1)
	pair, err := tls.X509KeyPair(cert, key)
	require.NoError(t, err)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/tokens" || r.Header.Get("Authorization") != "Bearer wc_x" {
			t.Errorf("asked for %s by %s", r.URL.Path, r.Header.Get("Authorization"))
		}
		fmt.Fprint(w, `{"tokens":[{"id":"1","name":"grafana","role":"viewer","created_at":"2026-01-01T00:00:00Z","created_by":"ann"}],"total":1}`)
	}))
	srv.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	srv.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	srv.StartTLS()
	t.Cleanup(srv.Close)
	b := &identityBench{t: t}
	if out := b.run(exitFailure, "", "wc_x", "token", "list", "--server-url", srv.URL); !strings.Contains(out,
		"WATCHINGCAT_CA_FILE names the CA of its certificate") {
		t.Fatal(out)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if out := b.run(exitUsage, "", "wc_x", "token", "list", "--server-url", srv.URL, "--ca-file", ca); !strings.Contains(out,
		"WATCHINGCAT_CA_FILE: open ") {
		t.Fatal(out)
	}
	for text, code := range map[string]int{"no certificate": exitUsage, string(cert): exitOK} {
		require.NoError(t, os.WriteFile(ca, []byte(text), 0o600))
		out := b.run(code, "", "wc_x", "token", "list", "--server-url", srv.URL+"/", "--ca-file", ca)
		if want := map[int]string{exitUsage: "holds no PEM certificate", exitOK: "grafana"}[code]; !strings.Contains(out, want) {
			t.Fatal(out)
		}
	}
}

// TestProfilesHaveTheirOwnPort: the API serves no profiles, and their port serves nothing else.
func TestProfilesHaveTheirOwnPort(t *testing.T) {
	b := newIdentityBench(t)
	b.serve()
	for !answers(t.Context(), strings.TrimPrefix(b.pprof, "http://")) {
		time.Sleep(10 * time.Millisecond)
	}
	for _, path := range []string{"/debug/pprof/", "/debug/pprof/heap", "/debug/pprof/cmdline"} {
		if status, _ := b.get("GET", b.pprof+path, "", ""); status != http.StatusOK {
			t.Errorf("%s: %d", path, status)
		}
		if status, _ := b.get("GET", b.url+path, "", ""); status != http.StatusNotFound {
			t.Errorf("the API answers %s with %d", path, status)
		}
	}
	for _, path := range []string{"/", "/api/v1/services", "/metrics"} {
		if status, _ := b.get("GET", b.pprof+path, "", ""); status != http.StatusNotFound {
			t.Errorf("the port of profiles answers %s with %d", path, status)
		}
	}
	for _, addr := range []string{"0.0.0.0:6060", ":6060", "[::]:6060", "192.0.2.1:6060", "localhost"} {
		var u config.UsageError
		if _, err := config.Load(serveCommand().Flags(), []string{config.EnvPrefix + "PPROF_ADDR=" + addr}); !errors.As(err, &u) ||
			!strings.Contains(err.Error(), "loopback") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}
