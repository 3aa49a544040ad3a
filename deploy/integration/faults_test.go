//go:build integration

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
)

// Each fault shows as one clear line, and where the process can go on it does so by itself once the fault is gone.

// says waits for a line of the log.
func (a *app) says(text string) {
	a.t.Helper()
	end := time.Now().Add(20 * time.Second)
	for !strings.Contains(a.Output(), text) {
		if time.Now().After(end) {
			a.t.Fatalf("the log does not say %q:\n%s", text, a.Tail(20))
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// notReady asserts that the API answers and says what is not ready.
func (a *app) notReady(because string) {
	a.t.Helper()
	var err error
	waitFor(a.t, func() bool {
		err = get(a.t.Context(), "http://"+a.addr+"/health/ready", nil)
		return err != nil && strings.Contains(err.Error(), "503") && strings.Contains(err.Error(), because)
	})
	if err := get(a.t.Context(), "http://"+a.addr+"/health/live", nil); err != nil {
		a.t.Fatal(err)
	}
}

func kfakeAt(t *testing.T, port int) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.Ports(port))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func create(t *testing.T, c *kfake.Cluster) {
	t.Helper()
	for name, n := range map[string]int32{topic: partitions, deadLetter: 1} {
		if err := c.CreateTopic(name, n, nil); err != nil {
			t.Fatal(err)
		}
	}
}

// recovered asserts that the process goes on without a restart: new records are counted, exactly.
func recovered(t *testing.T, a *app) {
	t.Helper()
	a.ready()
	w := startTraffic(t, a.brokers, topic, 1000)
	waitFor(t, func() bool { return w.count() > 100 })
	sent := w.stop(t)
	a.settled(sent)
	a.Kill()
	exact(t, a, topic, true)
}

func TestBrokerDownAtStart(t *testing.T) {
	p := port(t)
	a := newApp(t, []string{fmt.Sprintf("127.0.0.1:%d", p)})
	a.start()
	a.says("reading the topic failed, retrying")
	a.says("connection refused")
	a.notReady("connection refused")
	create(t, kfakeAt(t, p))
	a.says("reading the topic")
	recovered(t, a)
}

func TestTopicMissing(t *testing.T) {
	p := port(t)
	c := kfakeAt(t, p)
	a := newApp(t, c.ListenAddrs())
	a.start()
	a.says("topic does not exist yet")
	a.notReady("topic does not exist yet")
	create(t, c)
	a.says("reading the topic")
	recovered(t, a)
}

func TestWrongSettings(t *testing.T) {
	for _, c := range []struct{ name, set, says string }{
		{"value", "WATCHINGCAT_KAFKA_START=yesterday", `WATCHINGCAT_KAFKA_START: "yesterday" is neither earliest nor latest`},
		{"duration", "WATCHINGCAT_COMMIT_INTERVAL=often", "WATCHINGCAT_COMMIT_INTERVAL"},
		{"name", "WATCHINGCAT_KAFKA_BROKER=127.0.0.1:9092", "WATCHINGCAT_KAFKA_BROKER is not a setting"},
		{"open door", "WATCHINGCAT_HTTP_ADDR=0.0.0.0:8090", "WATCHINGCAT_AUTH_ENABLED"},
		{"rules", "WATCHINGCAT_RULE_FILES=" + badRules(t), "WATCHINGCAT_RULE_FILES"},
		{"receivers", "WATCHINGCAT_ALERTMANAGER_CONFIG=/does/not/exist.yml", "WATCHINGCAT_ALERTMANAGER_CONFIG"},
		{"brokers", "WATCHINGCAT_KAFKA_BROKERS=", "WATCHINGCAT_KAFKA_BROKERS is not set"},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newApp(t, []string{"127.0.0.1:1"}, c.set)
			a.start()
			ends(t, a, 2, c.says)
		})
	}
}

func badRules(t *testing.T) string {
	file := filepath.Join(t.TempDir(), "rules.yml")
	if err := os.WriteFile(file, []byte("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// ends asserts the exit code and one line, the last, that says why.
func ends(t *testing.T, a *app, code int, says string) {
	t.Helper()
	select {
	case <-a.Done():
	case <-time.After(patience):
		t.Fatalf("goes on:\n%s", a.Tail(20))
	}
	if got := a.ExitCode(); got != code {
		t.Errorf("exit code %d, not %d", got, code)
	}
	if last := a.Tail(1); !strings.HasPrefix(last, "watchingcat: ") || !strings.Contains(last, says) {
		t.Errorf("the last line does not say %q:\n%s", says, a.Tail(10))
	}
	if strings.Contains(a.Output(), "goroutine ") {
		t.Errorf("a stack trace:\n%s", a.Output())
	}
}

func TestDataFolderInUse(t *testing.T) {
	brokers := startKfake(t)
	a := newApp(t, brokers)
	a.start()
	a.ready()
	b := newApp(t, brokers, "WATCHINGCAT_DATA_DIR="+a.data())
	b.start()
	ends(t, b, 1, "data folder is in use")
	recovered(t, a)
}

func TestAddressInUse(t *testing.T) {
	brokers := startKfake(t)
	a := newApp(t, brokers)
	a.start()
	a.ready()
	b := newApp(t, brokers, "WATCHINGCAT_HTTP_ADDR="+a.addr)
	b.start()
	ends(t, b, 1, "WATCHINGCAT_HTTP_ADDR chooses another address")
}

// TestDiskFull fills a small file system. The process stops reading, says so, answers, and is exact once there is space again.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	a := newApp(t, startKfake(t), "WATCHINGCAT_DEDUP_WINDOW=0s")
	if err := os.MkdirAll(a.data(), 0o750); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", a.data(), "tmpfs", 0, "size=512m"); err != nil {
		t.Fatalf("mount a small file system: %v", err)
	}
	t.Cleanup(func() {
		a.Kill()
		if err := syscall.Unmount(a.data(), syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	a.start()
	a.ready()
	w := startTraffic(t, a.brokers, topic, 2000)
	waitFor(t, func() bool { return w.count() > 200 })
	filler := filepath.Join(a.data(), "filler")
	fill(t, filler, a.data(), 48<<20) // under the floor of 64 MiB
	a.says("the data folder is not writable: reading from Kafka is paused")
	if err := get(t.Context(), "http://"+a.addr+"/api/v1/services", nil); err != nil {
		t.Fatalf("the API must go on: %v", err)
	}
	a.notReady("free disk space is under the floor")
	before := w.count()
	waitFor(t, func() bool { return w.count() > before+500 })
	if !a.Running() {
		t.Fatalf("ended:\n%s", a.Tail(20))
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	a.says("the data folder is writable again: reading continues")
	sent := w.stop(t)
	a.settled(sent)
	a.Kill()
	records, n, _ := exact(t, a, topic, false)
	t.Logf("%d records: 0 of %d cells differ", records, n)
}

// fill writes a file until only so many bytes are free.
func fill(t *testing.T, file, dir string, free int64) {
	t.Helper()
	var fs syscall.Statfs_t
	if err := syscall.Statfs(dir, &fs); err != nil {
		t.Fatal(err)
	}
	n := int64(fs.Bavail)*fs.Bsize - free
	if n <= 0 {
		t.Fatalf("only %d bytes are free to begin with", int64(fs.Bavail)*fs.Bsize)
	}
	if err := os.WriteFile(file, make([]byte, n), 0o600); err != nil {
		t.Fatal(err)
	}
}
