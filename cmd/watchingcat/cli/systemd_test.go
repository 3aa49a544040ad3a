package cli

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

// A service that does not answer itself is not reported as alive, so that systemd restarts it.
func TestWatchdog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var states []string
		var hangs atomic.Bool
		alive := func(ctx context.Context) error {
			if hangs.Load() {
				<-ctx.Done()
				return ctx.Err()
			}
			return nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			report(ctx, 10*time.Second, alive, func(s string) error { states = append(states, s); return nil }, zerolog.Nop())
		}()
		time.Sleep(29 * time.Second)
		synctest.Wait()
		require.Equal(t, []string{daemon.SdNotifyReady, daemon.SdNotifyWatchdog, daemon.SdNotifyWatchdog, daemon.SdNotifyWatchdog, daemon.SdNotifyWatchdog,
			daemon.SdNotifyWatchdog}, states)
		hangs.Store(true)
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Len(t, states, 6)
		stop()
		<-done
		require.Equal(t, daemon.SdNotifyStopping, states[len(states)-1])
	})
}

// Without a watchdog readiness is reported once the process answers, and nothing else until it ends.
func TestReadyOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, stop := context.WithCancel(t.Context())
		var states []string
		tries := 0
		alive := func(context.Context) error {
			if tries++; tries < 4 {
				return errors.New("connection refused")
			}
			return nil
		}
		done := make(chan struct{})
		go func() {
			defer close(done)
			report(ctx, 0, alive, func(s string) error { states = append(states, s); return nil }, zerolog.Nop())
		}()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []string{daemon.SdNotifyReady}, states)
		stop()
		<-done
		require.Equal(t, []string{daemon.SdNotifyReady, daemon.SdNotifyStopping}, states)
	})
}

// The real process reports at the socket that systemd gives it.
func TestUnderSystemd(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "notify")
	l, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	require.NoError(t, err)
	defer l.Close()
	port, err := freeport.Programs.Port()
	require.NoError(t, err)
	t.Setenv("NOTIFY_SOCKET", socket)
	t.Setenv("WATCHDOG_USEC", "2000000")
	read := func() string {
		b := make([]byte, 256)
		n, err := l.Read(b)
		require.NoError(t, err)
		return string(b[:n])
	}
	p := startAlone(t, "DATA_DIR="+t.TempDir(), "EMBEDDED=true", "EMBEDDED_ADDR="+net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	require.Equal(t, daemon.SdNotifyReady, read())
	require.Equal(t, daemon.SdNotifyWatchdog, read())
	require.Equal(t, daemon.SdNotifyWatchdog, read())
	p.signal(syscall.SIGTERM)
	for state := read(); state != daemon.SdNotifyStopping; state = read() {
		require.Equal(t, daemon.SdNotifyWatchdog, state)
	}
	require.NoError(t, p.cmd.Wait())
}
