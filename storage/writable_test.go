package storage_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/storage/storagetest"
)

// refusal asserts that err is the reason, may be tried again, and says what to do.
func refusal(t *testing.T, err, reason error, advice string) {
	t.Helper()
	if !errors.Is(err, reason) || !errors.Is(err, storage.ErrUnwritable) || !strings.Contains(err.Error(), advice) {
		t.Fatalf("%v: not %v with the advice %q", err, reason, advice)
	}
}

// TestFolderGone: what is written into a folder that was deleted is lost with the process, so no commit succeeds any more. What was read
// before is answered.
func TestFolderGone(t *testing.T) {
	for name, replace := range map[string]bool{"deleted": false, "replaced": true} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "data")
			db, err := storage.Open(dir, small())
			require.NoError(t, err)
			defer db.Close() // cannot flush any more, and ends all the same
			storagetest.Commit(t, db, storagetest.Set("a", "1"))
			require.NoError(t, os.RemoveAll(dir))
			if replace {
				require.NoError(t, os.Mkdir(dir, 0o750))
				require.NoError(t, os.WriteFile(filepath.Join(dir, "LOCK.watchingcat"), nil, 0o600))
			}
			for range 3 {
				refusal(t, db.Commit(storage.Commit{Entries: []storage.Entry{storagetest.Set("a", "2")}}), storage.ErrFolderGone,
					"restart the process")
			}
			if got := storagetest.Dump(t, db, nil, nil); len(got) != 1 || got[0] != "a=1" {
				t.Errorf("reads: %v", got)
			}
			expect(t, db, `watchingcat_state_writes_refused_total{reason="folder_gone"} 3`, "watchingcat_state_writable 0")
		})
	}
}

// expect asserts lines of the metrics.
func expect(t *testing.T, db *storage.DB, lines ...string) {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(db)
	text, err := testutil.CollectAndFormat(db, expfmt.TypeTextPlain, "watchingcat_state_writable", "watchingcat_state_writes_refused_total",
		"watchingcat_state_reopened_total")
	require.NoError(t, err)
	for _, line := range lines {
		if !bytes.Contains(text, []byte(line+"\n")) {
			t.Errorf("no line %q in\n%s", line, text)
		}
	}
}

// TestUnwritableFolder: each error of the operating system that says that no file can be made is an own reason, no commit reaches Badger
// meanwhile, and the same commit succeeds afterwards.
func TestUnwritableFolder(t *testing.T) {
	for _, c := range []struct {
		errno  syscall.Errno
		reason error
		label  string
		advice string
	}{
		{syscall.EROFS, storage.ErrReadOnly, "read_only", "mount it writable"},
		{syscall.EACCES, storage.ErrReadOnly, "read_only", "right to write"},
		{syscall.EPERM, storage.ErrReadOnly, "read_only", "right to write"},
		{syscall.EMFILE, storage.ErrDescriptors, "descriptors", "ulimit -n"},
		{syscall.ENFILE, storage.ErrDescriptors, "descriptors", "ulimit -n"},
		{syscall.ENOSPC, storage.ErrDiskFull, "disk_full", "free space"},
		{syscall.EDQUOT, storage.ErrDiskFull, "disk_full", "free space"},
		{syscall.EIO, storage.ErrUnwritable, "other", "input/output error"},
	} {
		t.Run(c.errno.Error(), func(t *testing.T) {
			o, fails := small(), false
			storage.CreateWith(&o, func(name string) (*os.File, error) {
				if fails {
					return nil, &fs.PathError{Op: "open", Path: name, Err: c.errno}
				}
				return os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o600)
			})
			db, err := storage.Open(t.TempDir(), o)
			require.NoError(t, err)
			defer db.Close()
			storagetest.Commit(t, db, storagetest.Set("a", "1"))
			fails = true
			next := storage.Commit{Entries: []storage.Entry{storagetest.Set("a", "2")}}
			refusal(t, db.Commit(next), c.reason, c.advice)
			if got := storagetest.Dump(t, db, nil, nil); len(got) != 1 || got[0] != "a=1" {
				t.Errorf("reads: %v", got)
			}
			expect(t, db, fmt.Sprintf("watchingcat_state_writes_refused_total{reason=%q} 1", c.label), "watchingcat_state_writable 0")
			fails = false
			require.NoError(t, db.Commit(next))
			if got := storagetest.Dump(t, db, nil, nil); len(got) != 1 || got[0] != "a=2" {
				t.Errorf("reads: %v", got)
			}
			expect(t, db, "watchingcat_state_writable 1")
		})
	}
}

// TestDescriptorsExhausted uses up the descriptors of this process.
func TestDescriptorsExhausted(t *testing.T) {
	db := open(t, t.TempDir())
	kept := samples.Open(t.TempDir(), samples.Options{})
	defer kept.Close()
	require.NoError(t, kept.Wait(t.Context()))
	var was syscall.Rlimit
	require.NoError(t, syscall.Getrlimit(syscall.RLIMIT_NOFILE, &was))
	low := was
	low.Cur = min(was.Cur, 256)
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &low); err != nil {
		t.Skip(err)
	}
	var held []*os.File
	free := func() {
		for _, f := range held {
			_ = f.Close()
		}
		held = nil
		if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &was); err != nil {
			t.Error(err)
		}
	}
	defer free()
	for {
		f, err := os.Open(os.DevNull)
		if err != nil {
			break
		}
		held = append(held, f)
	}
	c := storage.Commit{Entries: []storage.Entry{storagetest.Set("a", "1")}}
	sample := []samples.Sample{{Labels: labels.FromStrings(labels.MetricName, "a"), T: 1000, V: 1}}
	refusal(t, db.Commit(c), storage.ErrDescriptors, "limit of open files")
	_, err := kept.Append(context.Background(), sample)
	refusal(t, err, storage.ErrDescriptors, "limit of open files")
	free()
	if err := db.Commit(c); err != nil {
		t.Error(err)
	}
	if _, err := kept.Append(context.Background(), sample); err != nil {
		t.Error(err)
	}
}

// TestSamplesFolderGone: as TestFolderGone.
func TestSamplesFolderGone(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "metrics")
	s := samples.Open(dir, samples.Options{})
	defer s.Close()
	sample := []samples.Sample{{Labels: labels.FromStrings(labels.MetricName, "a"), T: 1000, V: 1}}
	if _, err := s.Append(context.Background(), sample); err != nil {
		t.Fatal(err)
	}
	require.NoError(t, os.RemoveAll(dir))
	_, err := s.Append(context.Background(), sample)
	refusal(t, err, storage.ErrFolderGone, "restart the process")
}

// TestFailedMidway: where Badger's log cannot go on to a new file, Badger would end the process at its next use. The state is opened again
// instead, beside readers, and nothing is lost or torn.
func TestFailedMidway(t *testing.T) {
	dir, o := t.TempDir(), small()
	o.MemTableBytes = storage.MinMemTableBytes
	db, err := storage.Open(dir, o)
	require.NoError(t, err)
	logs, err := filepath.Glob(filepath.Join(dir, "*.mem"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	var n int
	if _, err := fmt.Sscanf(filepath.Base(logs[len(logs)-1]), "%d.mem", &n); err != nil {
		t.Fatal(err)
	}
	// the next log is there already
	require.NoError(t, os.WriteFile(filepath.Join(dir, fmt.Sprintf("%05d.mem", n+1)), make([]byte, 20), 0o600))
	stop, done := make(chan struct{}), sync.WaitGroup{}
	for range 2 {
		done.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				err := db.Scan(nil, nil, func(_, _ []byte) error { return nil })
				if err != nil && !errors.Is(err, storage.ErrUnwritable) {
					t.Error(err)
				}
			}
		})
	}
	failed := 0
	for i := range 60 {
		c := storage.Commit{Entries: []storage.Entry{{Key: storagetest.Key(fmt.Sprintf("k%02d", i)),
			Value: bytes.Repeat([]byte{byte(i)}, 60<<10)}}}
		for {
			err := db.Commit(c)
			if err == nil {
				break
			}
			refusal(t, err, storage.ErrReopening, "restart the process")
			failed++
		}
	}
	close(stop)
	done.Wait()
	if failed == 0 || db.Reopened() != 1 {
		t.Fatalf("%d commits failed and the state was opened again %d times", failed, db.Reopened())
	}
	check := func(db *storage.DB) {
		for i := range 60 {
			v, err := db.Get(storagetest.Key(fmt.Sprintf("k%02d", i)))
			if err != nil || !bytes.Equal(v, bytes.Repeat([]byte{byte(i)}, 60<<10)) {
				t.Errorf("entry %d: %d bytes, %v", i, len(v), err)
			}
		}
	}
	check(db)
	expect(t, db, "watchingcat_state_reopened_total 1", "watchingcat_state_writable 1")
	require.NoError(t, db.Close())
	check(open(t, dir))
}
