package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// TestReplayAndMigrate replays with a running server and without one, and rebuilds views of another format.
func TestReplayAndMigrate(t *testing.T) {
	broker, err := kfake.NewCluster(kfake.NumBrokers(1),
		kfake.SeedTopics(3, "otlp_spans", "otlp_logs", "otlp_metrics", "watchingcat_dead_letter"))
	require.NoError(t, err)
	defer broker.Close()
	port, err := freeport.Programs.Port()
	require.NoError(t, err)
	dir := filepath.Join(t.TempDir(), "data")
	for name, v := range map[string]string{"KAFKA_BROKERS": strings.Join(broker.ListenAddrs(), ","), "DATA_DIR": dir,
		"HTTP_ADDR":       fmt.Sprintf("127.0.0.1:%d", port),
		"COMMIT_INTERVAL": "10ms", "MIN_FREE_DISK_BYTES": "1", "RETENTION_TRACES": "1h,1MiB", "RETENTION_LOGS": "1h,1MiB"} {
		t.Setenv(config.EnvPrefix+name, v)
	}
	watchingcat := func(ctx context.Context, code int, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		if got := run(ctx, args, &out, &errs); got != code {
			t.Fatalf("watchingcat %s: exit code %d, want %d\n%s%s", strings.Join(args, " "), got, code, &out, &errs)
		}
		return out.String() + errs.String()
	}
	says := func(got, want string) {
		t.Helper()
		if !strings.Contains(got, want) {
			t.Fatalf("%q is not in:\n%s", want, got)
		}
	}
	watchingcat(t.Context(), exitOK, "load", "--metrics", "--rate", "4000", "--spans", "4000", "--duration", "3s")

	serving, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	flags := serveCommand().Flags()
	cfg, err := config.Load(flags, []string{config.EnvPrefix + "KAFKA_BROKERS=" + strings.Join(broker.ListenAddrs(), ","),
		config.EnvPrefix + "DATA_DIR=" + dir, fmt.Sprintf("%sHTTP_ADDR=127.0.0.1:%d", config.EnvPrefix, port),
		config.EnvPrefix + "COMMIT_INTERVAL=10ms", config.EnvPrefix + "MIN_FREE_DISK_BYTES=1"})
	require.NoError(t, err)
	go func() { served <- serve(serving, cfg, zerolog.Nop()) }()
	for !answers(t.Context(), cfg.HTTPAddr) {
		time.Sleep(10 * time.Millisecond)
	}
	watchingcat(t.Context(), exitUsage, "replay", "--views", "nothing")
	watchingcat(t.Context(), exitUsage, "replay", "--pause", "7")
	watchingcat(t.Context(), exitUsage, "replay", "--pause", "1", "--keep")
	says(watchingcat(t.Context(), exitOK, "replay", "--keep"), "replay 1 swapped in")
	says(watchingcat(t.Context(), exitOK, "replay", "--cancel", "1"), "replay 1 canceled")
	busy := writeFile(t, "busy.yml", "groups: [{name: g, rules: [{alert: Busy, expr: 'sum(increase(calls_total[1m])) > 10'}]}]")
	backtests := func(says func(got, want string)) {
		t.Helper()
		says(watchingcat(t.Context(), exitOK, "rules", "backtest", "--from", "-10m", busy), "evaluations every 10s")
		says(watchingcat(t.Context(), exitOK, "rules", "backtest", "--topics", "--from", "-10m", busy), "fired 1 times")
		says(watchingcat(t.Context(), exitOK, "rules", "diff", "--topics", "--from", "-10m", busy, busy), "notifications")
	}
	backtests(says)
	watchingcat(t.Context(), exitUsage, "rules", "backtest", "--topics", "--step", "1m", busy)
	says(watchingcat(t.Context(), exitFailure, "rules", "backtest", "--topics", "--from", "2020-01-01T00:00:00Z", "--to",
		"2020-01-01T01:00:00Z", busy), "hold no record of that time")
	folders := samples.Folders{DataDir: dir}
	if left, err := folders.Versions(); err != nil || !slices.Equal(left, []uint32{1}) {
		t.Fatalf("samples of versions %v are left, %v", left, err)
	}
	// No replay reaches its end while the broker has no records to give.
	var held atomic.Bool
	broker.ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.KeepControl()
		if !held.Load() {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.FetchResponse)
		resp.ErrorCode = kerr.UnknownServerError.Code
		return resp, nil, true
	})
	// interrupted runs a command until it shows how far the replay is.
	interrupted := func(id string, args ...string) string {
		t.Helper()
		ctx, interrupt := context.WithCancel(t.Context())
		defer interrupt()
		var out bytes.Buffer
		if got := run(ctx, args, &out, &interrupter{w: &out, at: "replay " + id + " running",
			interrupt: interrupt}); got != exitInterrupted {
			t.Fatalf("watchingcat %s: exit code %d\n%s", strings.Join(args, " "), got, &out)
		}
		return out.String()
	}
	held.Store(true)
	says(interrupted("2", "replay"), "continues in the server")
	watchingcat(t.Context(), exitFailure, "migrate", "--dry-run") // the folder is in use
	stop()
	require.NoError(t, <-served)

	held.Store(false)

	openFolder(t, dir).Close() // the process has closed it
	backtests(func(got, want string) {
		t.Helper()
		says(got, want)
		says(got, "working on the data folder")
	})
	before := liveDump(t, dir)
	held.Store(true)
	says(watchingcat(t.Context(), exitFailure, "replay"), "has not ended") // the server was stopped before it was swapped in
	says(interrupted("2", "replay", "--resume", "2"), "is paused")
	held.Store(false)
	says(watchingcat(t.Context(), exitOK, "replay", "--resume", "2"), "swapped in")
	if got := liveDump(t, dir); got != before {
		t.Fatalf("the new version differs:\n%s\nwas\n%s", got, before)
	}
	says(watchingcat(t.Context(), exitOK, "migrate"), "nothing to do")

	otherFormat(t, dir)
	says(watchingcat(t.Context(), exitFailure, "serve"), "watchingcat migrate")
	says(watchingcat(t.Context(), exitOK, "migrate", "--dry-run"), "needed: a replay")
	says(watchingcat(t.Context(), exitOK, "migrate"), "swapped in")
	if got := liveDump(t, dir); got != before {
		t.Fatalf("after migrating:\n%s\nwas\n%s", got, before)
	}
}

// interrupter interrupts a command as soon as it writes a text.
type interrupter struct {
	w         io.Writer
	at        string
	interrupt func()
}

func (i *interrupter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), i.at) {
		i.interrupt()
	}
	return i.w.Write(p)
}

func openFolder(t *testing.T, dir string) *storage.DB {
	t.Helper()
	for range 6000 { // the process before may still be closing it
		db, err := storage.Open(dir, storage.Options{MinFreeBytes: 1, Logger: zerolog.Nop()})
		if err == nil {
			return db
		}
		require.ErrorIs(t, err, storage.ErrInUse)
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("the data folder stays in use")
	return nil
}

// liveDump is what the live version has counted.
func liveDump(t *testing.T, dir string) string {
	t.Helper()
	db := openFolder(t, dir)
	defer db.Close()
	layout, err := model.ReadLayout(db)
	require.NoError(t, err)
	set, err := views.Open(db, model.Config{Version: layout.Live})
	require.NoError(t, err)
	var b strings.Builder
	for _, view := range []string{"red", "errors"} {
		require.NoError(t, set.Dump(&b, view))
	}
	if b.Len() < 1000 {
		t.Fatalf("hardly anything was counted:\n%s", &b)
	}
	return b.String()
}

// otherFormat makes the live views say that they are of another format.
func otherFormat(t *testing.T, dir string) {
	t.Helper()
	db := openFolder(t, dir)
	defer db.Close()
	layout, err := model.ReadLayout(db)
	require.NoError(t, err)
	key := storage.Key(layout.Live, 0, storage.TableMeta, 's') // of a fold
	v, err := db.Get(key)
	if errors.Is(err, storage.ErrNotFound) {
		key = storage.Key(layout.Live, 0, storage.TableMeta, 'v')
		v, err = db.Get(key)
	}
	require.NoError(t, err)
	v[0] += 9
	require.NoError(t, db.Commit(storage.Commit{Entries: []storage.Entry{{Key: key, Value: v}}}))
}
