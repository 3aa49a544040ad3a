//go:build integration

package integration

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Each test takes something away from the process that it needs: it stays, says what is missing, serves what it can, and continues.

// TestFewDescriptors leaves the process 128 descriptors and opens 400 connections that ask and stay.
func TestFewDescriptors(t *testing.T) {
	prlimit, err := exec.LookPath("prlimit")
	if err != nil {
		t.Skip(err)
	}
	a := newApp(t, startKfake(t), "WATCHINGCAT_DEDUP_WINDOW=0s")
	a.start()
	a.ready()
	if out, err := exec.Command(prlimit, fmt.Sprintf("--pid=%d", a.Pid), "--nofile=128:128").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	w := startTraffic(t, a.brokers, topic, 2000)
	waitFor(t, func() bool { return w.count() > 100 })
	var held []net.Conn
	for range 400 {
		c, err := net.Dial("tcp", a.addr)
		if err != nil {
			t.Fatal(err)
		}
		held = append(held, c)
		_, _ = fmt.Fprintf(c, "GET /api/v1/services HTTP/1.1\r\nHost: localhost\r\n\r\n")
	}
	before := w.count()
	waitFor(t, func() bool { return w.count() > before+1000 })
	if !a.Running() {
		t.Fatalf("ended:\n%s", a.Tail(20))
	}
	a.says("the limit of connections is reached")
	if err := get(t.Context(), "http://"+a.addr+"/livez", nil); err != nil {
		t.Errorf("the health of the process is not answered: %v", err)
	}
	if n, err := a.metric("watchingcat_http_connections_refused_total"); err != nil || n < 200 {
		t.Errorf("%v refused connections, %v", n, err)
	}
	for _, c := range held {
		_ = c.Close()
	}
	sent := w.stop(t)
	a.settled(sent)
	a.Kill()
	records, n, _ := exact(t, a, topic, false)
	t.Logf("%d records: 0 of %d cells differ", records, n)
}

// TestDiskReadOnly makes the data folder read-only while records come in.
func TestDiskReadOnly(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount the data folder read-only")
	}
	a := newApp(t, startKfake(t), "WATCHINGCAT_DEDUP_WINDOW=0s")
	a.start()
	a.ready()
	w := startTraffic(t, a.brokers, topic, 2000)
	waitFor(t, func() bool { return w.count() > 200 })
	for round := range 2 {
		if err := syscall.Mount(a.data(), a.data(), "", syscall.MS_BIND, ""); err != nil {
			t.Skipf("cannot mount: %v", err)
		}
		unmount := func() error { return syscall.Unmount(a.data(), syscall.MNT_DETACH) }
		if err := syscall.Mount("", a.data(), "", syscall.MS_BIND|syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
			_ = unmount()
			t.Skipf("cannot mount read-only: %v", err)
		}
		a.says("the data folder is read-only")
		a.notReady("mount it writable")
		before := w.count()
		waitFor(t, func() bool { return w.count() > before+500 })
		if err := get(t.Context(), "http://"+a.addr+"/api/v1/services", nil); err != nil {
			t.Errorf("the API must go on: %v", err)
		}
		if n, err := a.metric("watchingcat_state_writes_refused_total"); err != nil || n < 1 {
			t.Errorf("%v refused writes, %v", n, err)
		}
		if n := strings.Count(a.Output(), "is not writable: reading from Kafka is paused"); n > 2*(round+1) { // of spans and of metrics
			t.Errorf("%d lines say that it cannot be written", n)
		}
		if err := unmount(); err != nil {
			t.Fatal(err)
		}
		a.ready()
	}
	a.says("the data folder is writable again: reading continues")
	sent := w.stop(t)
	a.settled(sent)
	a.Kill()
	records, n, _ := exact(t, a, topic, false)
	t.Logf("%d records: 0 of %d cells differ", records, n)
}

// TestDataFolderDeleted: nothing counts as committed any more, the API answers, and a restart reads the topic again.
func TestDataFolderDeleted(t *testing.T) {
	a := newApp(t, startKfake(t), "WATCHINGCAT_DEDUP_WINDOW=0s")
	a.start()
	a.ready()
	w := startTraffic(t, a.brokers, topic, 2000)
	waitFor(t, func() bool { return w.count() > 200 })
	if err := os.RemoveAll(a.data()); err != nil {
		t.Fatal(err)
	}
	a.says("the data folder was deleted or replaced while the process runs")
	a.notReady("restart the process")
	held := func() (n float64) {
		for _, p := range a.partitions() {
			n += p
		}
		return n
	}
	before, stands := w.count(), held()
	waitFor(t, func() bool { return w.count() > before+500 })
	if now := held(); now != stands {
		t.Errorf("positions went from %v to %v although nothing is stored", stands, now)
	}
	if err := get(t.Context(), "http://"+a.addr+"/api/v1/services", nil); err != nil {
		t.Errorf("the API must go on: %v", err)
	}
	if !a.Running() {
		t.Fatalf("ended:\n%s", a.Tail(20))
	}
	a.Stop(30 * time.Second)
	if out := a.Output(); strings.Contains(out, "goroutine ") || !strings.Contains(a.Tail(3),
		"watchingcat: checkpoint: commit: storage: the data folder was deleted") {
		t.Errorf("it was killed, or the last lines do not say that not all is stored:\n%s", out[max(0, len(out)-10000):])
	}
	a.start()
	sent := w.stop(t)
	a.settled(sent)
	a.Kill()
	records, n, _ := exact(t, a, topic, false)
	t.Logf("%d records: 0 of %d cells differ", records, n)
}
