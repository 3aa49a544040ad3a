package backup_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/backup"
	"github.com/gaurav/watchingcat/storage/backup/backuptest"
	"github.com/gaurav/watchingcat/storage/backup/s3"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/storage/storagetest"
)

const (
	metricsVersion = 3
	sampleTime     = int64(1_500_000_000_000)
)

// process is what applies records 1, 2, 3 and so on, as a pipeline does: samples first, then state and position in one commit. A record
// is a function of its number, so the state is a function of the position.
type process struct {
	t       *testing.T
	dir     string
	db      *storage.DB
	folders *samples.Folders
	store   *samples.Store
}

func options() storage.Options {
	return storage.Options{MemTableBytes: storage.MinMemTableBytes, MinFreeBytes: 1}
}

func start(t *testing.T, dir string) *process {
	t.Helper()
	db, err := storage.Open(dir, options())
	require.NoError(t, err)
	p := &process{t: t, dir: dir, db: db, folders: &samples.Folders{DataDir: dir, Options: samples.Options{Retention: time.Hour, MinFreeBytes: 1}}}
	p.store = p.folders.Open(metricsVersion)
	require.NoError(t, p.store.Wait(context.Background()))
	t.Cleanup(p.stop)
	return p
}

func (p *process) stop() { require.NoError(p.t, errors.Join(p.store.Close(), p.db.Close())) }

func (p *process) position() int64 {
	list, err := p.db.Positions(metricsVersion, 0)
	require.NoError(p.t, err)
	if len(list) == 0 {
		return 1
	}
	return list[0].Offset
}

// apply applies the records before an offset, from the stored position on.
func (p *process) apply(to int64) {
	for n := p.position(); n < to; n++ {
		require.NoError(p.t, p.record(n))
	}
}

func (p *process) record(n int64) error {
	r := rand.New(rand.NewPCG(uint64(n), 1))
	var list []samples.Sample
	for i := range 3 {
		at := sampleTime + n*10_000 - int64(r.IntN(10))*15_000
		list = append(list, samples.Sample{Labels: labels.FromStrings(labels.MetricName, fmt.Sprint("m", i)), T: at, V: float64(at % 1e6)})
	}
	if _, err := p.store.Append(context.Background(), list); err != nil {
		return err
	}
	c := storage.Commit{Version: metricsVersion, Positions: []storage.Position{{Topic: "t", Offset: n + 1, LeaderEpoch: -1}}}
	value := func(size int) []byte { return binary.BigEndian.AppendUint64(make([]byte, size), uint64(n)) }
	for range 6 {
		k := fmt.Sprintf("%02d", r.IntN(40))
		c.Entries = append(c.Entries, storage.Entry{Key: storagetest.RawKey(k), Value: value(r.IntN(40_000))},
			storage.Entry{Key: storagetest.Key(k), Value: value(r.IntN(30_000))})
		gone := fmt.Sprintf("%02d", r.IntN(40))
		c.Entries = append(c.Entries, storage.Entry{Key: storagetest.RawKey(gone)}, storage.Entry{Key: storagetest.Key(gone)})
	}
	c.Entries = unique(c.Entries)
	if err := p.db.Commit(c); err != nil {
		return err
	}
	if r.IntN(8) == 0 {
		return p.db.GC()
	}
	return nil
}

func unique(list []storage.Entry) (out []storage.Entry) {
	seen := map[string]bool{}
	for _, e := range list {
		if !seen[string(e.Key)] {
			seen[string(e.Key)] = true
			out = append(out, e)
		}
	}
	return out
}

// dump is all that the process holds, as text.
func (p *process) dump() string {
	var b strings.Builder
	require.NoError(p.t, p.db.Scan(nil, nil, func(k, v []byte) error {
		fmt.Fprintf(&b, "%x %d %x\n", k, len(v), v[max(0, len(v)-8):])
		return nil
	}))
	q, err := p.store.Querier(0, 1<<60)
	require.NoError(p.t, err)
	defer q.Close()
	var lines []string
	set := q.Select(context.Background(), true, nil, labels.MustNewMatcher(labels.MatchRegexp, labels.MetricName, ".+"))
	for set.Next() {
		it := set.At().Iterator(nil)
		for it.Next() != chunkenc.ValNone {
			at, v := it.At()
			lines = append(lines, fmt.Sprint(set.At().Labels(), at, "=", v))
		}
	}
	require.NoError(p.t, set.Err())
	slices.Sort(lines)
	return b.String() + strings.Join(lines, "\n")
}

func describe(kv storage.KV) (c backup.Contents, err error) {
	list, err := kv.Positions(metricsVersion, 0)
	for _, p := range list {
		c.Positions = append(c.Positions, backup.Position{Topic: p.Topic, Partition: p.Partition, Offset: p.Offset})
	}
	c.Views, c.Samples = []backup.View{{Version: metricsVersion, Format: 1, Live: true}}, []uint32{metricsVersion}
	return c, err
}

func (p *process) source() backup.Source {
	return backup.Source{State: p.db, Samples: p.folders, Describe: describe, Program: "test", Now: time.Now}
}

func restoring() backup.RestoreOptions {
	return backup.RestoreOptions{State: options(), Samples: samples.Options{MinFreeBytes: 1}, Describe: describe}
}

func restore(t *testing.T, st backup.Store, id string) (*process, *backup.Manifest, error) {
	t.Helper()
	m, err := backup.ReadManifest(t.Context(), st, id)
	if err != nil {
		return nil, nil, err
	}
	dir := filepath.Join(t.TempDir(), "data")
	if err := backup.Restore(t.Context(), st, m, dir, restoring()); err != nil {
		_, opened := storage.Open(dir, options())
		require.Error(t, opened, "a folder that was not restored whole is not opened")
		return nil, m, err
	}
	return start(t, dir), m, nil
}

func different(a, b string) (n int) {
	in := map[string]bool{}
	for line := range strings.SplitSeq(a, "\n") {
		in[line] = true
	}
	for line := range strings.SplitSeq(b, "\n") {
		if !in[line] {
			n++
		}
		delete(in, line)
	}
	return n + len(in)
}

// TestRestoredGoesOnExactly: whatever is committed, deleted and written to blocks while a backup is made, what is restored continues at the
// position in it and ends as the process that was backed up, to the last entry and sample.
func TestRestoredGoesOnExactly(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			r := rand.New(rand.NewPCG(seed, 7))
			p := start(t, t.TempDir())
			p.apply(int64(2 + r.IntN(150)))
			st := backup.Folder(t.TempDir())
			before, last := p.position(), int64(0)
			var applied error
			src := p.source()
			src.Describe = func(kv storage.KV) (backup.Contents, error) { // the state is frozen: go on
				for n := before; n < before+40; n++ {
					applied = errors.Join(applied, p.record(n))
				}
				return describe(kv)
			}
			wrote := &afterPut{Store: st, fn: func() {
				for n := p.position(); last < 3; last++ {
					applied = errors.Join(applied, p.record(n+last))
				}
			}}
			m, err := backup.Take(t.Context(), wrote, src, backup.Options{})
			require.NoError(t, errors.Join(err, applied))
			require.Equal(t, before, m.Positions[0].Offset)
			require.Greater(t, p.position(), before+40, "records are applied while the backup is written")

			end := p.position() + int64(r.IntN(60))
			p.apply(end)
			want := p.dump()
			again, _, err := restore(t, st, m.ID)
			require.NoError(t, err)
			require.Equal(t, before, again.position())
			require.NotZero(t, different(want, again.dump()), "the comparison sees what is not applied yet")
			again.apply(end)
			require.Zero(t, different(want, again.dump()))
			again.stop()
			again = start(t, again.dir)
			require.Zero(t, different(want, again.dump()), "after a restart")
		})
	}
}

// afterPut calls fn after each file.
type afterPut struct {
	backup.Store
	fn func()
}

func (a *afterPut) Put(ctx context.Context, name string, b []byte) error {
	err := a.Store.Put(ctx, name, b)
	a.fn()
	return err
}

// TestSamplesBeforeStateIsNoticed: with the samples of a time before the state, samples are lost; so the order of a backup matters, and the
// comparison sees it.
func TestSamplesBeforeStateIsNoticed(t *testing.T) {
	p := start(t, t.TempDir())
	p.apply(50)
	st := backup.Folder(t.TempDir())
	older, err := backup.Take(t.Context(), st, p.source(), backup.Options{})
	require.NoError(t, err)
	p.apply(100)
	newer, err := backup.Take(t.Context(), st, p.source(), backup.Options{})
	require.NoError(t, err)
	for i, s := range newer.Streams {
		if strings.HasPrefix(s.Name, "samples") {
			newer.Streams[i] = older.Streams[0]
			for _, f := range s.Files {
				b, err := os.ReadFile(filepath.Join(st.String(), older.ID, f.Name))
				require.NoError(t, err)
				require.NoError(t, os.WriteFile(filepath.Join(st.String(), newer.ID, f.Name), b, 0o600))
			}
		}
	}
	dir := t.TempDir()
	require.NoError(t, backup.Restore(t.Context(), st, newer, dir, restoring()))
	again := start(t, dir)
	again.apply(120)
	p.apply(120)
	require.NotZero(t, different(p.dump(), again.dump()))
}

func taken(t *testing.T) (*process, backup.Store, *backup.Manifest) {
	t.Helper()
	p := start(t, t.TempDir())
	p.apply(60)
	st := backup.Folder(t.TempDir())
	m, err := backup.Take(t.Context(), st, p.source(), backup.Options{})
	require.NoError(t, err)
	return p, st, m
}

// TestDamagedBackupIsRefused: a file that is changed, cut, longer or gone, and a manifest that is, are refused, by restore and by verify.
func TestDamagedBackupIsRefused(t *testing.T) {
	backup.RetryPause(t, time.Millisecond)
	_, st, m := taken(t)
	at := func(name string) string { return filepath.Join(st.String(), m.ID, name) }
	r := rand.New(rand.NewPCG(1, 3))
	for _, s := range m.Streams {
		for how, change := range map[string]func(b []byte) []byte{
			"cut":     func(b []byte) []byte { return b[:len(b)-1-r.IntN(len(b)/2)] },
			"changed": func(b []byte) []byte { b = bytes.Clone(b); b[r.IntN(len(b))] ^= 4; return b },
			"longer":  func(b []byte) []byte { return append(bytes.Clone(b), 0) },
			"empty":   func([]byte) []byte { return nil },
		} {
			name := at(s.Files[0].Name)
			whole, err := os.ReadFile(name)
			require.NoError(t, err)
			require.NoError(t, os.WriteFile(name, change(whole), 0o600))
			_, _, err = restore(t, st, m.ID)
			require.ErrorIs(t, err, backup.ErrDamaged, "%s %s", s.Name, how)
			require.ErrorIs(t, backup.Verify(t.Context(), st, m, func(int64) {}), backup.ErrDamaged)
			require.NoError(t, os.WriteFile(name, whole, 0o600))
		}
		require.NoError(t, os.Rename(at(s.Files[0].Name), at("away")))
		_, _, err := restore(t, st, m.ID)
		require.ErrorIs(t, err, backup.ErrDamaged)
		require.NoError(t, os.Rename(at("away"), at(s.Files[0].Name)))
	}
	require.NoError(t, backup.Verify(t.Context(), st, m, func(int64) {}))
	manifest, err := os.ReadFile(at("manifest.json"))
	require.NoError(t, err)
	change := func(fn func(m map[string]any)) error {
		var in map[string]any
		require.NoError(t, json.Unmarshal(manifest, &in))
		fn(in)
		b, err := json.Marshal(in)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(at("manifest.json"), b, 0o600))
		_, _, err = restore(t, st, m.ID)
		return err
	}
	require.ErrorIs(t, change(func(m map[string]any) { m["format"] = 2 }), backup.ErrFormat)
	require.ErrorIs(t, change(func(m map[string]any) { delete(m, "format") }), backup.ErrFormat)
	require.ErrorIs(t, change(func(m map[string]any) { m["id"] = "20260101T000000Z-0000" }), backup.ErrDamaged)
	require.ErrorIs(t, change(func(m map[string]any) { m["streams"] = []any{} }), backup.ErrDamaged)
	require.ErrorIs(t, change(func(m map[string]any) { m["positions"].([]any)[0].(map[string]any)["offset"] = 7 }), backup.ErrDamaged)
	require.NoError(t, change(func(map[string]any) {}))
	require.NoError(t, os.WriteFile(at("manifest.json"), manifest[:len(manifest)/2], 0o600))
	_, _, err = restore(t, st, m.ID)
	require.ErrorIs(t, err, backup.ErrDamaged)
	require.NoError(t, os.Remove(at("manifest.json")))
	_, _, err = restore(t, st, m.ID)
	require.ErrorIs(t, err, backup.ErrIncomplete)
	_, err = backup.Newest(t.Context(), st)
	require.ErrorIs(t, err, backup.ErrNoBackup)
	require.ErrorContains(t, err, "1 incomplete")
}

// TestRestoreNeedsRoom: a restore that the disk cannot hold does not begin, and one that an error ended is begun anew.
func TestRestoreNeedsRoom(t *testing.T) {
	p, st, m := taken(t)
	dir := filepath.Join(t.TempDir(), "data")
	o := restoring()
	o.State.FreeBytes = func(string) (uint64, error) { return uint64(m.Unpacked()) - 1, nil }
	require.ErrorIs(t, backup.Restore(t.Context(), st, m, dir, o), storage.ErrDiskFull)
	free := 0
	o.State.FreeBytes = func(string) (uint64, error) {
		if free++; free > 2 {
			return 0, nil // it fills while the state is restored
		}
		return 1 << 40, nil
	}
	require.ErrorIs(t, backup.Restore(t.Context(), st, m, dir, o), storage.ErrDiskFull)
	_, err := storage.Open(dir, options())
	require.ErrorIs(t, err, storage.ErrRestoring)
	require.NoError(t, backup.Restore(t.Context(), st, m, dir, restoring()))
	require.ErrorIs(t, backup.Restore(t.Context(), st, m, dir, restoring()), storage.ErrNotEmpty)
	require.Zero(t, different(p.dump(), start(t, dir).dump()))
}

// TestOldBackupsAreDeleted: as many complete ones as are to be kept stay, and incomplete ones that may be under way.
func TestOldBackupsAreDeleted(t *testing.T) {
	p, st, first := taken(t)
	require.NoError(t, os.WriteFile(filepath.Join(st.String(), "notes"), nil, 0o600))
	ids := []string{first.ID}
	for i := range 3 {
		src := p.source()
		src.Now = func() time.Time { return time.Now().Add(time.Duration(i+1) * time.Second) }
		m, err := backup.Take(t.Context(), st, src, backup.Options{Keep: 2})
		require.NoError(t, err)
		ids = append(ids, m.ID)
	}
	for id, age := range map[string]time.Duration{"20260101T000000Z-0001": time.Hour, "20260101T000000Z-0002": 25 * time.Hour} {
		require.NoError(t, st.Put(t.Context(), id+"/state.zst.000000", []byte("x")))
		at := time.Now().Add(-age)
		require.NoError(t, os.Chtimes(filepath.Join(st.String(), id, "state.zst.000000"), at, at))
	}
	require.NoError(t, backup.Prune(t.Context(), st, 2, time.Now()))
	list, err := backup.List(t.Context(), st)
	require.NoError(t, err)
	var got []string
	for _, e := range list {
		got = append(got, fmt.Sprint(e.ID, e.Complete))
	}
	require.Equal(t, []string{ids[3] + "true", ids[2] + "true", "20260101T000000Z-0001false"}, got)
	entries, err := os.ReadDir(st.String())
	require.NoError(t, err)
	require.Len(t, entries, 4, "folders of deleted backups are gone, files of others stay")
	newest, err := backup.Newest(t.Context(), st)
	require.NoError(t, err)
	require.Equal(t, ids[3], newest)
}

// TestStores: backups go to S3 as they go to a folder, through failures that pass; one that fails leaves nothing that is complete, and shows no
// credentials.
func TestStores(t *testing.T) {
	backup.RetryPause(t, time.Millisecond)
	server := backuptest.NewS3(t)
	st, err := s3.Open(t.Context(), server.Location("a/b"), http.DefaultTransport.(*http.Transport))
	require.NoError(t, err)
	p := start(t, t.TempDir())
	p.apply(80)
	n := 0
	server.FailWith(func(method, key string) int {
		n++
		switch {
		case method == http.MethodGet && key != "" && n%6 == 0:
			return -1 // cut
		case n%6 == 0:
			return http.StatusServiceUnavailable
		}
		return 0
	})
	m, err := backup.Take(t.Context(), st, p.source(), backup.Options{Keep: 1})
	require.NoError(t, err)
	require.Equal(t, "s3://bucket/a/b/", st.String())
	for _, k := range server.Keys() {
		require.True(t, strings.HasPrefix(k, "a/b/"+m.ID+"/"), k)
	}
	again, _, err := restore(t, st, m.ID)
	require.NoError(t, err)
	require.Zero(t, different(p.dump(), again.dump()))

	server.FailWith(func(method, key string) int {
		if method == http.MethodPut && strings.Contains(key, "state") {
			return http.StatusForbidden
		}
		return 0
	})
	_, err = backup.Take(t.Context(), st, p.source(), backup.Options{Keep: 1})
	require.Error(t, err)
	require.NotContains(t, err.Error(), "verysecret")
	require.NotContains(t, err.Error(), "AKIDTEST")
	server.FailWith(nil)
	list, err := backup.List(t.Context(), st)
	require.NoError(t, err)
	require.Len(t, list, 1, "what the failed backup wrote is deleted")
	next, err := backup.Take(t.Context(), st, p.source(), backup.Options{Keep: 1})
	require.NoError(t, err)
	list, err = backup.List(t.Context(), st)
	require.NoError(t, err)
	require.Len(t, list, 1)
	require.Equal(t, next.ID, list[0].ID)

	server.Change("a/b/"+next.ID+"/"+next.Streams[0].Files[0].Name, func(b []byte) []byte { return b[:len(b)-3] })
	_, _, err = restore(t, st, next.ID)
	require.ErrorIs(t, err, backup.ErrDamaged)
}

// TestBackupIsCancelled: a backup ends with its context, whatever the store does.
func TestBackupIsCancelled(t *testing.T) {
	p := start(t, t.TempDir())
	p.apply(40)
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stopped")
	st := backup.Folder(t.TempDir())
	_, err := backup.Take(ctx, &afterPut{st, func() { cancel(stop) }}, p.source(), backup.Options{})
	require.ErrorIs(t, err, stop)
	list, err := backup.List(t.Context(), st)
	require.NoError(t, err)
	require.Empty(t, list)
	p.apply(45)
}

func TestSplit(t *testing.T) {
	for location, want := range map[string][2]string{
		"/b/20260101T000000Z-00ff/":                    {"/b/", "20260101T000000Z-00ff"},
		"20260101T000000Z-00ff":                        {".", "20260101T000000Z-00ff"},
		"s3://bucket/p/20260101T000000Z-00ff":          {"s3://bucket/p/", "20260101T000000Z-00ff"},
		"/backups/":                                    {"/backups/", ""},
		"s3://bucket":                                  {"s3://bucket", ""},
		"s3://bucket/p/20260101T000000Z-00ff?region=a": {"s3://bucket/p/?region=a", "20260101T000000Z-00ff"},
	} {
		root, id := backup.Split(location)
		require.Equal(t, want, [2]string{root, id}, location)
	}
}

// FuzzManifest: no manifest ends the process, and one that is read names only files of its own.
func FuzzManifest(f *testing.F) {
	f.Add([]byte(`{"format":1,"id":"x","streams":[{"name":"state","bytes":1,"files":[{"name":"state.zst.000000","bytes":1}]}]}`))
	f.Add([]byte(`{"format":2}`))
	f.Add([]byte(`{"format":1,"samples":[1]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := backup.ParseManifest(b)
		if err != nil {
			return
		}
		for _, s := range m.Streams {
			for _, file := range s.Files {
				if !strings.HasPrefix(file.Name, s.Name+".zst.") {
					t.Errorf("%q", file.Name)
				}
			}
		}
	})
}
