package cli

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/apptest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

// TestMain lets the test's own binary be watchingcat, so that real signals can be sent to a process.
func TestMain(m *testing.M) {
	if os.Getenv("BE_WATCHINGCAT") != "" {
		os.Exit(Main(""))
	}
	os.Exit(m.Run())
}

// process is a `watchingcat serve` of its own.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	log    *apptest.Lines
	addr   string
	client *http.Client
	cl     *kgo.Client
}

// startProcess starts it with settings as NAME=value, without the prefix, before a broker in the test.
func startProcess(t *testing.T, settings ...string) *process {
	t.Helper()
	broker, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(2, "otlp_spans", "otlp_logs", "otlp_metrics", "watchingcat_dead_letter"))
	require.NoError(t, err)
	t.Cleanup(broker.Close)
	p := startAlone(t, append([]string{"KAFKA_BROKERS=" + strings.Join(broker.ListenAddrs(), ",")}, settings...)...)
	if p.cl, err = kgo.NewClient(kgo.SeedBrokers(broker.ListenAddrs()...), kgo.ProducerLinger(0)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.cl.Close)
	return p
}

// startAlone is startProcess without a broker of the test.
func startAlone(t *testing.T, settings ...string) *process {
	t.Helper()
	port, err := freeport.Programs.Port()
	require.NoError(t, err)
	p := &process{t: t, log: &apptest.Lines{}, addr: fmt.Sprintf("127.0.0.1:%d", port)}
	p.client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}} //nolint:gosec // its certificate is made by the test
	p.cmd = exec.Command(os.Args[0], "serve")
	p.cmd.Env = append(os.Environ(), "BE_WATCHINGCAT=1", config.EnvPrefix+"HTTP_ADDR="+p.addr, config.EnvPrefix+"MIN_FREE_DISK_BYTES=1")
	for _, s := range settings {
		p.cmd.Env = append(p.cmd.Env, config.EnvPrefix+s)
	}
	p.cmd.Stderr = p.log
	require.NoError(t, p.cmd.Start())
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill() // an error means that it has ended
		if t.Failed() {
			p.log.Mu.Lock()
			defer p.log.Mu.Unlock()
			t.Logf("it said:\n%s", p.log.B.String())
		}
	})
	p.until("it is ready", func() bool { code, _ := p.get("/readyz"); return code == http.StatusOK })
	return p
}

func (p *process) until(what string, ok func() bool) {
	p.t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); !ok(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			p.t.Fatal("never: " + what)
		}
	}
}

func (p *process) url(path string) string {
	if len(p.cmd.Env) > 0 && strings.Contains(strings.Join(p.cmd.Env, "\n"), config.EnvPrefix+"TLS_CERT=") {
		return "https://" + p.addr + path
	}
	return "http://" + p.addr + path
}

// get returns status and body; 0 when no server answers.
func (p *process) get(path string) (int, string) {
	res, err := p.client.Get(p.url(path))
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return 0, err.Error()
	}
	return res.StatusCode, string(b)
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatal(err)
	}
}

// span writes n records of one span each.
func (p *process) spans(n int) {
	p.t.Helper()
	var rs []*kgo.Record
	for i := range n {
		rs = append(rs, &kgo.Record{Topic: "otlp_spans", Value: sentSpan(p.t, i)})
	}
	if err := p.cl.ProduceSync(p.t.Context(), rs...).FirstErr(); err != nil {
		p.t.Fatal(err)
	}
}

// TestSIGTERM: readiness ends first, while requests are still taken; the one under way gets its answer; what was read is committed
// although no checkpoint was due; the exit code is 0.
func TestSIGTERM(t *testing.T) {
	dir := t.TempDir()
	p := startProcess(t, "DATA_DIR="+dir, "COMMIT_INTERVAL=10s", "SHUTDOWN_DELAY=2s", "RATE_LIMIT=0")
	p.spans(50)
	p.until("all of it is read", func() bool {
		_, text := p.get("/metrics")
		return strings.Contains(text, `messaging_client_consumed_messages_total{messaging_destination_name="otlp_spans",messaging_operation_name="process",messaging_system="kafka"} 50`)
	})
	body, write := io.Pipe()
	answer := make(chan string, 1)
	go func() {
		res, err := http.Post(p.url("/api/v1/metrics/query"), "application/json", body) // answered when the body has come
		if err != nil {
			answer <- err.Error()
			return
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		answer <- fmt.Sprint(res.StatusCode, err, string(b))
	}()
	if _, err := io.WriteString(write, `{"query": `); err != nil {
		t.Fatal(err)
	}
	p.until("the request is under way", func() bool {
		_, text := p.get("/metrics")
		return strings.Contains(text, `http_server_active_requests{http_request_method="POST",url_scheme="http"} 1`)
	})
	p.signal(syscall.SIGTERM)
	p.until("it says that it ends", func() bool {
		code, text := p.get("/readyz")
		return code == http.StatusServiceUnavailable && strings.Contains(text, "shutting down")
	})
	if code, text := p.get("/api/v1/services"); code != http.StatusOK {
		t.Errorf("while it is only not ready: %d %s", code, text)
	}
	p.until("no connection is accepted any more", func() bool { code, _ := p.get("/livez"); return code == 0 })
	if _, err := io.WriteString(write, `"1+1"}`); err != nil {
		t.Fatal(err)
	}
	require.NoError(t, write.Close())
	if got := <-answer; !strings.HasPrefix(got, "200 <nil>") {
		t.Errorf("the request under way: %s", got)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
	db := openFolder(t, dir)
	defer db.Close()
	list, err := db.Positions(0, 0)
	require.NoError(t, err)
	sum := int64(0)
	for _, x := range list {
		if x.Topic == "otlp_spans" {
			sum += x.Offset
		}
	}
	if sum != 50 {
		t.Errorf("%d of 50 records are committed", sum)
	}
}

// TestSIGHUP: rules, alertmanager.yml and certificate are read again; of a broken file what was there before stays, and the log and a
// metric say so.
func TestSIGHUP(t *testing.T) {
	dir := t.TempDir()
	at := time.Now().Add(-time.Hour)
	write := func(name string, text []byte) string {
		t.Helper()
		name = filepath.Join(dir, name)
		at = at.Add(time.Second) // file systems may keep whole seconds
		require.NoError(t, os.WriteFile(name, text, 0o600))
		require.NoError(t, os.Chtimes(name, at, at))
		return name
	}
	rules := func(alert string) []byte {
		return []byte("groups:\n- name: g\n  rules:\n  - alert: " + alert + "\n    expr: vector(0) > 1\n")
	}
	receiver := func(name string) []byte {
		return []byte("route: {receiver: " + name + "}\nreceivers: [{name: " + name + "}]\n")
	}
	pair := func(serial int64) (cert, key []byte) { return apptest.NewPair(t, serial) }
	cert, key := pair(1)
	p := startProcess(t, "DATA_DIR="+filepath.Join(dir, "data"), "RULE_FILES="+write("rules.yml", rules("One")),
		"ALERTMANAGER_CONFIG="+write("am.yml", receiver("one")), "TLS_CERT="+write("cert.pem", cert), "TLS_KEY="+write("key.pem", key),
		"RATE_LIMIT=0")
	inForce := func(alert, name string, serial int64) bool {
		_, list := p.get("/api/v1/alerts")
		_, status := p.get("/alertmanager/api/v2/status")
		var am struct{ Config struct{ Original string } }
		if json.Unmarshal([]byte(status), &am) != nil {
			return false
		}
		c, err := tls.Dial("tcp", p.addr, &tls.Config{InsecureSkipVerify: true}) //nolint:gosec // its certificate is made by the test
		require.NoError(t, err)
		defer c.Close()
		return strings.Contains(list, `"name":"`+alert+`"`) && strings.Contains(am.Config.Original, "receiver: "+name+"\n") &&
			c.ConnectionState().PeerCertificates[0].SerialNumber.Int64() == serial
	}
	successful := func(want string) func() bool {
		return func() bool {
			_, text := p.get("/metrics")
			return strings.Contains(text, "\nwatchingcat_config_last_reload_successful "+want+"\n")
		}
	}
	if !inForce("One", "one", 1) || !successful("1")() {
		t.Fatal("what it was started with is not in force")
	}
	cert, key = pair(2)
	write("rules.yml", rules("Two"))
	write("am.yml", receiver("two"))
	write("cert.pem", cert)
	write("key.pem", key)
	p.signal(syscall.SIGHUP)
	p.until("the new files are in force", func() bool { return inForce("Two", "two", 2) })
	p.until("it says so", func() bool {
		return len(p.log.With(t, map[string]any{"message": "rules, notification settings and certificate reloaded"})) == 1
	})

	// each broken file keeps its own part back, and the others are read
	for i, broken := range []string{"rules.yml", "am.yml", "cert.pem"} {
		alert, name, serial := fmt.Sprint("Alert", i), fmt.Sprint("name", i), int64(10+i)
		cert, key := pair(serial)
		for file, text := range map[string][]byte{"rules.yml": rules(alert), "am.yml": receiver(name), "cert.pem": cert, "key.pem": key} {
			if file == broken {
				text = []byte("odd: [")
			}
			write(file, text)
		}
		old := func() bool { return inForce(alert, name, serial) }
		switch broken { // what stays is what was in force before
		case "rules.yml":
			old = func() bool { return inForce("Two", name, serial) }
		case "am.yml":
			old = func() bool { return inForce(alert, "name0", serial) }
		case "cert.pem":
			old = func() bool { return inForce(alert, name, serial-1) }
		}
		p.signal(syscall.SIGHUP)
		p.until("the others are in force without "+broken, old)
		p.until("the metric says so", successful("0"))
		p.until("the log says why", func() bool {
			got := p.log.With(t, map[string]any{"message": "reload failed; the previous version stays active"})
			return len(got) == i+1 && (strings.Contains(got[i]["error"].(string), broken) || broken == "cert.pem" &&
				strings.Contains(got[i]["error"].(string), "TLS_CERT"))
		})
	}
	cert, key = pair(20)
	for file, text := range map[string][]byte{"rules.yml": rules("Last"), "am.yml": receiver("last"), "cert.pem": cert, "key.pem": key} {
		write(file, text)
	}
	p.signal(syscall.SIGHUP)
	p.until("all is well again", func() bool { return inForce("Last", "last", 20) && successful("1")() })
	p.signal(syscall.SIGTERM)
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("exit: %v", err)
	}
}

// TestGiveUp: ending that takes too long is broken off, other ending is not.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var gaveUp atomic.Int32
		ended := app.GiveUpAfter(ctx, time.Minute, func() { gaveUp.Add(1) })
		time.Sleep(time.Hour)
		stop()
		time.Sleep(59 * time.Second)
		if gaveUp.Load() != 0 {
			t.Error("too early")
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if gaveUp.Load() != 1 {
			t.Errorf("gave up %d times", gaveUp.Load())
		}
		ended()
		again := app.GiveUpAfter(ctx, time.Minute, func() { gaveUp.Add(1) })
		time.Sleep(30 * time.Second)
		again()
		time.Sleep(time.Hour)
		if gaveUp.Load() != 1 {
			t.Error("although it had ended")
		}
	})
}
