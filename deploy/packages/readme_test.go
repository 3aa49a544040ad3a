package packages

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// notRun are the commands within sentences and tables of README.md, and why TestReadme does not run them. Without a reason it does.
var notRun = map[string]string{
	"make test":                 "the gate runs it",
	"docker compose up --build": "needs Docker and images; TestCompose and TestImage check what it starts",
	"watchingcat verify":        "the server is too young to have a past; make integration runs it",
	"make faults LONG=1":        "takes hours",
	"make integration":          "the gate runs it",
	"make bench-latency":        "takes an hour, and compares with other servers",
	"make insight DATA=...":     "needs a data set",
	"make bench-process":        "takes an hour",
	"make bench-k6":             "takes an hour",
	"make help":                 "",
	"watchingcat doctor":        "",
	"watchingcat serve --embedded --otlp-grpc-addr 127.0.0.1:4317": "",
}

// stranger is someone with Go, make and the source, and nothing else: no settings, no state, an empty home.
type stranger struct {
	t   *testing.T
	dir string
	env []string
}

// said is the output of a running command.
type said struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *said) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

func (s *stranger) command(ctx context.Context, line string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "sh", "-c", "exec "+line)
	cmd.Dir, cmd.Env = s.dir, s.env
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // a signal reaches make and what it runs, as from a terminal
	return cmd
}

// run runs a command that ends.
func (s *stranger) run(line string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 5*time.Minute)
	defer cancel()
	out, err := s.command(ctx, line).CombinedOutput()
	require.NoError(s.t, err, "%s\n%s", line, out)
	return string(out)
}

// start runs a command that does not end, until the URL answers 200; end ends it as Ctrl-C does.
func (s *stranger) start(line, url string) (out *said, end func()) {
	s.t.Helper()
	out = &said{}
	cmd := s.command(context.Background(), line)
	cmd.Stdout, cmd.Stderr = out, out
	require.NoError(s.t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	s.t.Cleanup(func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	s.until(line, out, func() bool {
		select {
		case err := <-ended:
			s.t.Fatalf("%s ended: %v\n%s", line, err, out)
		default:
		}
		_, status := s.get(url)
		return status == http.StatusOK
	})
	return out, func() {
		s.t.Helper()
		require.NoError(s.t, syscall.Kill(-cmd.Process.Pid, syscall.SIGINT))
		select {
		case <-ended:
		case <-time.After(3 * time.Minute):
			s.t.Fatalf("%s does not end:\n%s", line, out)
		}
	}
}

func (s *stranger) until(what string, out *said, ok func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("never: %s\n%s", what, out)
		}
	}
}

func (s *stranger) get(url string) (body string, status int) {
	res, err := http.Get(url) //nolint:gosec,noctx // of the test
	if err != nil {
		return "", 0
	}
	defer res.Body.Close()
	var b bytes.Buffer
	_, _ = b.ReadFrom(res.Body)
	return b.String(), res.StatusCode
}

// readme are the commands of README.md: those of its code blocks, in their order, and those within sentences and tables.
func readme(t *testing.T) (blocks, mentioned []string) {
	t.Helper()
	text, err := os.ReadFile(root + "/README.md")
	require.NoError(t, err)
	for line := range strings.Lines(string(text)) {
		if block, ok := strings.CutPrefix(line, "    "); ok {
			command, _, _ := strings.Cut(strings.TrimSpace(block), "  ") // what follows explains it
			blocks = append(blocks, command)
			continue
		}
		for _, m := range regexp.MustCompile("`((?:make|docker|go|npm|watchingcat) [^`]+)`").FindAllStringSubmatch(line, -1) {
			if !slices.Contains(mentioned, m[1]) {
				mentioned = append(mentioned, m[1])
			}
		}
	}
	return blocks, mentioned
}

// TestReadme goes the way of a stranger: each command of README.md from top to bottom, in an empty home, and what README.md says one sees.
// A command that is new in README.md gets its place here.
func TestReadme(t *testing.T) {
	blocks, mentioned := readme(t)
	require.Equal(t, []string{"make demo", "make test", "go build -o watchingcat ./cmd/watchingcat", "export WATCHINGCAT_KAFKA_BROKERS=kafka-1:9092,kafka-2:9092",
		"./watchingcat doctor", "export WATCHINGCAT_RULE_FILES='/etc/watchingcat/rules/*.yml'",
		"export WATCHINGCAT_ALERTMANAGER_CONFIG=/etc/watchingcat/alertmanager.yml", "./watchingcat serve"}, blocks)
	for _, m := range mentioned {
		require.Contains(t, notRun, m)
	}
	for command := range notRun {
		require.True(t, slices.Contains(mentioned, command) || slices.Contains(blocks, command), "README.md no longer has %s", command)
	}
	s := &stranger{t: t, dir: buildContext(t)}
	caches, err := exec.CommandContext(t.Context(), "go", "env", "GOCACHE", "GOMODCACHE").Output()
	require.NoError(t, err)
	cache := strings.Fields(string(caches))
	page := freeAddr(t) // 8090 may be taken where the tests run
	base := []string{"HOME=" + t.TempDir(), "PATH=" + os.Getenv("PATH"), "GOCACHE=" + cache[0], "GOMODCACHE=" + cache[1], "GOTOOLCHAIN=local",
		"GOFLAGS=-trimpath", "CGO_ENABLED=0", "WATCHINGCAT_HTTP_ADDR=" + page, "WATCHINGCAT_MIN_FREE_DISK_BYTES=1", "WATCHINGCAT_MEMORY_LIMIT=512MiB"}
	s.env = base

	help := s.run("make help")
	for _, m := range mentioned {
		if target, ok := strings.CutPrefix(m, "make "); ok && target != "help" {
			require.Regexp(t, `(?m)^ +`+strings.Fields(target)[0]+` `, help, "make help lists all targets")
		}
	}
	out, end := s.start("make demo", "http://"+page+"/")
	html, _ := s.get("http://" + page + "/")
	require.Contains(t, html, "<title>WatchingCat")
	s.until("the shop's services", out, func() bool {
		services, _ := s.get("http://" + page + "/api/v1/services")
		return strings.Contains(services, `"checkout"`) && strings.Contains(services, `"payment"`)
	})
	end()
	require.Contains(t, out.String(), "Stopped.")

	s.run("go build -o watchingcat ./cmd/watchingcat")
	// "Without a Kafka": here it is the user's Kafka, too.
	kafka, other := freeAddr(t), freeAddr(t)
	s.env = append(slices.Clone(base), "WATCHINGCAT_EMBEDDED_ADDR="+kafka, "WATCHINGCAT_HTTP_ADDR="+other)
	_, endKafka := s.start("./watchingcat serve --embedded --otlp-grpc-addr "+freeAddr(t), "http://"+other+"/livez")
	defer endKafka()
	s.env = append(slices.Clone(base), "WATCHINGCAT_KAFKA_BROKERS="+kafka)
	s.run("./watchingcat load --spans 500 --rate 1000 --logs")
	report, _ := s.command(t.Context(), "./watchingcat doctor").CombinedOutput() // it may fail: the broker has one node
	require.Contains(t, string(report), "otlp_spans")
	etc := t.TempDir()
	demo := filepath.Join(s.dir, "cmd/watchingcat/cli/demo")
	for from, to := range map[string]string{"rules.yml": "rules/shop.yml", "alertmanager.yml": "alertmanager.yml"} {
		text, err := os.ReadFile(filepath.Join(demo, from))
		require.NoError(t, err)
		require.NoError(t, os.MkdirAll(filepath.Dir(filepath.Join(etc, to)), 0o750))
		require.NoError(t, os.WriteFile(filepath.Join(etc, to), bytes.ReplaceAll(text, []byte("INBOX"), []byte("127.0.0.1:1")), 0o600))
	}
	s.env = append(s.env, "WATCHINGCAT_RULE_FILES="+etc+"/rules/*.yml", "WATCHINGCAT_ALERTMANAGER_CONFIG="+etc+"/alertmanager.yml",
		"WATCHINGCAT_DATA_DIR="+t.TempDir())
	out, end = s.start("./watchingcat serve", "http://"+page+"/readyz")
	s.until("the spans in the topics", out, func() bool {
		services, _ := s.get("http://" + page + "/api/v1/services")
		return strings.Contains(services, `"checkout"`)
	})
	for path, want := range map[string]string{"/prometheus/api/v1/query?query=sum(calls_total)": `"success"`, "/alertmanager/api/v2/status": "cluster",
		"/jaeger/api/services": "checkout", "/docs": "Operations"} { // the data sources of Grafana, and the documents
		body, status := s.get("http://" + page + path)
		require.Equal(t, http.StatusOK, status, path)
		require.Contains(t, body, want, fmt.Sprintf("%s: %.300s", path, body))
	}
	end()
}
