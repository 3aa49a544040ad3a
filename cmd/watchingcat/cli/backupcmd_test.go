package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/backup"
)

// TestBackupAndRestoreCommands backs up a data folder that no server uses, and restores it; each mistake has its message and exit code.
func TestBackupAndRestoreCommands(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	data := at("data")
	t.Setenv("WATCHINGCAT_HTTP_ADDR", "127.0.0.1:1")
	t.Setenv("WATCHINGCAT_DATA_DIR", data)
	t.Setenv("WATCHINGCAT_MIN_FREE_DISK_BYTES", "1")
	do := func(code int, says string, args ...string) string {
		t.Helper()
		var out, errs bytes.Buffer
		require.Equal(t, code, run(t.Context(), args, &out, &errs), out.String()+errs.String())
		require.Contains(t, out.String()+errs.String(), says)
		return out.String()
	}
	do(exitFailure, "there is no data folder to back up", "backup", at("b"))
	db, err := storage.Open(data, storage.Options{MinFreeBytes: 1})
	require.NoError(t, err)
	require.NoError(t, db.Commit(storage.Commit{Positions: []storage.Position{{Topic: "otlp_spans", Partition: 3, Offset: 4711}}}))
	do(exitFailure, "by a process that does not answer", "backup", at("b"))
	require.NoError(t, db.Close())

	do(exitUsage, "WATCHINGCAT_BACKUP_URL", "backup")
	do(exitUsage, "lies in the data folder", "backup", filepath.Join(data, "x"))
	do(exitUsage, "neither a folder nor a URL", "backup", "ftp://x/y")
	do(exitUsage, "credentials", "backup", "s3://id:secret@bucket")
	do(exitUsage, `parameter "regoin"`, "backup", "s3://bucket?regoin=x")
	do(exitFailure, "there is no complete backup in "+at("b"), "restore", at("b"), "--data-dir", at("new"))
	do(exitOK, "continues at 1 positions", "backup", at("b"))
	do(exitOK, "complete", "backup", "--list", at("b"))

	do(exitFailure, "restore needs an empty data folder", "restore", at("b"))
	do(exitOK, "all checksums agree", "restore", at("b"), "--check", "--data-dir", at("new"))
	require.NoDirExists(t, at("new"))
	require.Contains(t, do(exitOK, "KAFKA_BROKERS to see", "restore", at("b"), "--data-dir", at("new")), "otlp_spans  3          4711")
	restored, err := storage.Open(at("new"), storage.Options{MinFreeBytes: 1})
	require.NoError(t, err)
	list, err := restored.Positions(0, 0)
	require.NoError(t, err)
	require.Equal(t, int64(4711), list[0].Offset)
	require.NoError(t, restored.Close())

	ids, err := os.ReadDir(at("b"))
	require.NoError(t, err)
	one := filepath.Join(at("b"), ids[0].Name())
	manifest, err := os.ReadFile(filepath.Join(one, "manifest.json"))
	require.NoError(t, err)
	var m backup.Manifest
	require.NoError(t, json.Unmarshal(manifest, &m))
	m.Views = []backup.View{{Format: 99}}
	changed, err := json.Marshal(m)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(one, "manifest.json"), changed, 0o600))
	do(exitFailure, "have format 99", "restore", one, "--data-dir", at("other"))
	require.NoError(t, os.WriteFile(filepath.Join(one, "manifest.json"), manifest, 0o600))
	require.NoError(t, os.Truncate(filepath.Join(one, "state.zst.000000"), 20))
	do(exitFailure, "the backup is damaged", "restore", one, "--data-dir", at("other"))
	t.Setenv("WATCHINGCAT_DATA_DIR", at("other"))
	do(exitFailure, "did not finish", "backup", at("c"))
	require.NoError(t, os.Remove(filepath.Join(one, "manifest.json")))
	do(exitFailure, "incomplete", "restore", one, "--data-dir", at("other"))
}
