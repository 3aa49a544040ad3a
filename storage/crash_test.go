package storage_test

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/storagetest"
)

// killSeed names, to a child process, what to do: seed, folder, and after which commit to die.
const killSeed = "STORAGE_TEST_KILL"

func TestMain(m *testing.M) {
	if job := os.Getenv(killSeed); job != "" {
		killedChild(job)
	}
	os.Exit(m.Run())
}

// killedChild commits the history from where the folder is, says after each commit how many are in, and kills itself while the
// next one is under way.
func killedChild(job string) {
	f := strings.SplitN(job, " ", 3)
	seed, _ := strconv.ParseUint(f[0], 10, 64)
	last, _ := strconv.Atoi(f[1])
	h := storagetest.NewHistory(seed, 200)
	db, err := storage.Open(f[2], small())
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	ps, err := db.Positions(1, 0)
	if err != nil {
		fmt.Println(err)
		os.Exit(3)
	}
	n := 0
	if len(ps) > 0 {
		n = int(ps[0].Offset)
	}
	die := sync.OnceFunc(func() {
		go func() {
			p, _ := os.FindProcess(os.Getpid())
			p.Kill()
		}()
	})
	for ; n < 200; n++ {
		if n >= last { // the child before may have come further than it was to
			die()
		}
		if err := db.Commit(h.Commits[n]); err != nil {
			fmt.Println(err)
			os.Exit(3)
		}
		fmt.Println(n + 1)
	}
	if last < 200 {
		die()
		select {} // a busy machine may take its time to kill
	}
	db.Close()
	os.Exit(0)
}

// TestKill: after a SIGKILL at any moment the state is that after some commit, and none that had returned is lost.
func TestKill(t *testing.T) {
	for seed := range uint64(3) {
		dir, h := t.TempDir(), storagetest.NewHistory(seed, 200)
		for _, last := range []int{0, 13, 41, 90, 150, 200} {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", killSeed, seed, last, dir))
			out, err := cmd.Output()
			if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() == 3 {
				t.Fatalf("child: %v: %s", err, out)
			}
			if killed := cmd.ProcessState.ExitCode() == -1; killed == (last == 200) {
				t.Fatalf("child that should die at %d ended with %v", last, cmd.ProcessState)
			}
			said := 0
			if lines := strings.Fields(string(out)); len(lines) > 0 {
				said, _ = strconv.Atoi(lines[len(lines)-1])
			}
			db := open(t, dir)
			if n := h.Check(t, db); n < said {
				t.Fatalf("seed %d: %d commits left, %d had returned", seed, n, said)
			}
			require.NoError(t, db.Close())
		}
	}
}

// TestTornTail: the end of the newest log, cut off or zeroed or overwritten anywhere, leaves a prefix of the commits, or Open says
// no. The files are those of a process that was killed, so that the log has not been turned into a table.
func TestTornTail(t *testing.T) {
	const seed, commits = 11, 60
	h := storagetest.NewHistory(seed, 200)
	source := t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", killSeed, seed, commits, source))
	if out, _ := cmd.Output(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("child: %v: %s", cmd.ProcessState, out)
	}
	logName := newest(t, source, "*.mem")
	whole, err := os.ReadFile(filepath.Join(source, logName))
	require.NoError(t, err)
	used := len(bytes.TrimRight(whole, "\x00"))
	damage := map[string]func(b []byte, at int) []byte{
		"cut":    func(b []byte, at int) []byte { return b[:at] },
		"zeroed": func(b []byte, at int) []byte { clear(b[at:]); return b },
		"noise": func(b []byte, at int) []byte {
			for i := at; i < used; i++ {
				b[i] ^= byte(i*31 + 7)
			}
			return b
		},
	}
	seen := map[int]bool{}
	for name, fn := range damage {
		for part := range 8 {
			at := used - part*used/7
			dir := copyFolder(t, source)
			require.NoError(t, os.WriteFile(filepath.Join(dir, logName), fn(slices.Clone(whole), at), 0o600))
			db, err := storage.Open(dir, small())
			if err != nil {
				if !strings.Contains(err.Error(), dir) {
					t.Errorf("%s at %d: the refusal does not name the folder: %v", name, at, err)
				}
				t.Logf("%s at %d of %d: refused: %v", name, at, used, err)
				continue
			}
			n := h.Check(t, db)
			seen[n] = true
			if part == 0 && n < commits {
				t.Errorf("%s: nothing lost but padding, yet %d of %d commits left", name, n, commits)
			}
			require.NoError(t, db.Close())
		}
	}
	if len(seen) < 5 {
		t.Errorf("the damage reached only these prefixes: %v", seen)
	}
}

// TestTornValueLog: the value log holds nothing, so that losing it loses nothing.
func TestTornValueLog(t *testing.T) {
	const seed, commits = 12, 60
	h, dir := storagetest.NewHistory(seed, 200), t.TempDir()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d %d %s", killSeed, seed, commits, dir))
	if out, _ := cmd.Output(); cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != -1 {
		t.Fatalf("child: %v: %s", cmd.ProcessState, out)
	}
	require.NoError(t, os.Truncate(filepath.Join(dir, newest(t, dir, "*.vlog")), 20))
	if n := h.Check(t, open(t, dir)); n < commits {
		t.Fatalf("%d of %d commits left", n, commits)
	}
}

func newest(t *testing.T, dir, pattern string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, pattern))
	if err != nil || len(files) == 0 {
		t.Fatalf("no %s in %s: %v", pattern, dir, err)
	}
	slices.Sort(files)
	return filepath.Base(files[len(files)-1])
}

// copyFolder copies what the files use; they are sparse and mostly padding.
func copyFolder(t *testing.T, from string) string {
	t.Helper()
	for {
		to := t.TempDir()
		before := fileNames(t, from)
		err := os.CopyFS(to, os.DirFS(from))
		if slices.Equal(before, fileNames(t, from)) { // else a memtable was flushed meanwhile: the copy is of no one moment
			require.NoError(t, err)
			return to
		}
	}
}

func fileNames(t *testing.T, dir string) (names []string) {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}
