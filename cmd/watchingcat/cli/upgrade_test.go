package cli

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
)

var writeState = flag.String("write-state", "", "write the state of this program into testdata/upgrade, under the `name` of its release")

// stored is the data folder of a release, and what the release answered from it.
type stored struct {
	At      int64 // seconds since 1970
	Calls   float64
	Answers map[string]map[string]string // values by labels, by query
	History int
}

// upgradeQueries cover the tables: cells, pairs, log lines, samples of metrics.
var upgradeQueries = []string{
	`sum by (service_name, span_kind, status_code) (traces_span_metrics_calls_total{job=""})`,
	`sum by (le) (traces_span_metrics_duration_milliseconds_bucket{job=""})`,
	`sum by (client, server) (traces_service_graph_request_total)`,
	`sum by (service_name, severity) (logs_records_total)`,
	`sum(shop_orders_placed_total)`,
}

// openStored starts the server on a folder with a broker and topics in it. Nothing is too old to be kept.
func openStored(t *testing.T, dir string) (p *process, broker string) {
	t.Helper()
	port, err := freeport.Programs.Port()
	require.NoError(t, err)
	broker = fmt.Sprintf("127.0.0.1:%d", port)
	rules := writeFile(t, "rules.yml", "groups: [{name: g, rules: [{record: spans, expr: 'sum(calls_total)'}, {alert: Busy, expr: 'sum(calls_total) > 10'}]}]")
	settings := []string{"DATA_DIR=" + dir, "EMBEDDED=true", "EMBEDDED_ADDR=" + broker, "RULE_FILES=" + rules, "EMBEDDED_RETENTION=87600h"}
	for _, of := range []string{"10S", "1M", "1H", "TRACES", "LOGS", "METRICS"} {
		settings = append(settings, "RETENTION_"+of+"=87600h")
	}
	return startAlone(t, settings...), broker
}

// loadStored writes spans, logs and metrics of the shop, and returns how many spans the broker has.
func loadStored(t *testing.T, broker string, seed int) float64 {
	t.Helper()
	var out bytes.Buffer
	require.Equal(t, exitOK, run(t.Context(), []string{"load", "--kafka-brokers=" + broker, "--logs", "--metrics", "--rate=50", "--duration=6s", "--seed=" + strconv.Itoa(seed)}, &out, &out), out.String())
	n, err := strconv.ParseFloat(regexp.MustCompile(`acknowledged=(\d+)`).FindStringSubmatch(out.String())[1], 64)
	require.NoError(t, err)
	return n
}

// values are the answers to a query at a time, by labels.
func (p *process) values(query string, at int64) map[string]string {
	_, text := p.get("/prometheus/api/v1/query?time=" + strconv.FormatInt(at, 10) + "&query=" + url.QueryEscape(query))
	var got struct {
		Data struct {
			Result []struct {
				Metric map[string]string
				Value  [2]any
			}
		}
	}
	if json.Unmarshal([]byte(text), &got) != nil {
		return nil
	}
	list := map[string]string{}
	for _, r := range got.Data.Result {
		labels, err := json.Marshal(r.Metric) // by name
		require.NoError(p.t, err)
		list[string(labels)] = fmt.Sprint(r.Value[1])
	}
	return list
}

func (p *process) answered(at int64) map[string]map[string]string {
	all := map[string]map[string]string{}
	for _, q := range upgradeQueries {
		all[q] = p.values(q, at)
	}
	return all
}

// history is the number of changes of alerts that are known.
func (p *process) history() int {
	_, text := p.get("/api/v1/alerts/history")
	return strings.Count(text, `"Busy"`)
}

func (p *process) stop() {
	p.t.Helper()
	p.signal(syscall.SIGTERM)
	require.NoError(p.t, p.cmd.Wait())
}

// TestUpgrade opens the state of every release in testdata/upgrade: the answers are those that the release gave, new records are added to
// them, and a replay of its topics gives the same.
func TestUpgrade(t *testing.T) {
	if *writeState != "" {
		writeStored(t, filepath.Join("testdata", "upgrade", *writeState+".tar.gz"))
	}
	files, err := filepath.Glob("testdata/upgrade/*.tar.gz")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.Less(t, info.Size(), int64(300<<10), "the repository keeps the state of every release")
			dir := t.TempDir()
			unpack(t, file, dir)
			text, err := os.ReadFile(filepath.Join(dir, "stored.json"))
			require.NoError(t, err)
			var want stored
			require.NoError(t, json.Unmarshal(text, &want))
			for _, q := range upgradeQueries {
				require.Contains(t, want.Answers, q)
				require.NotEmpty(t, want.Answers[q], q)
			}
			p, broker := openStored(t, filepath.Join(dir, "data"))
			got := map[string]map[string]string{}
			p.until("the answers are there", func() bool {
				got = p.answered(want.At)
				return len(got[upgradeQueries[0]]) > 0 && p.calls() == want.Calls
			})
			require.Equal(t, want.Answers, got)
			require.GreaterOrEqual(t, p.history(), want.History)
			_, silences := p.get("/alertmanager/api/v2/silences")
			require.Contains(t, silences, "kept over upgrades")

			more := loadStored(t, broker, 2)
			p.until("new spans are added to the old ones", func() bool { return p.calls() >= want.Calls+more })
			require.InDelta(t, want.Calls+more, p.calls(), 0.5)
			require.Equal(t, want.Answers, p.answered(want.At))
			var out bytes.Buffer
			require.Equal(t, exitOK, run(t.Context(), []string{"replay", "--http-addr=" + p.addr}, &out, &out), out.String())
			require.InDelta(t, want.Calls+more, p.calls(), 0.5, "after a replay")
			require.Equal(t, want.Answers[upgradeQueries[0]], p.values(upgradeQueries[0], want.At), "after a replay")
			p.stop()
		})
	}
}

// writeStored writes the state of this program: what a shop sent, an alert, a silence.
func writeStored(t *testing.T, file string) {
	t.Helper()
	dir := t.TempDir()
	p, broker := openStored(t, filepath.Join(dir, "data"))
	spans := loadStored(t, broker, 1)
	p.until("it has read everything", func() bool { return p.calls() == spans && p.history() > 0 })
	silence, err := json.Marshal(map[string]any{"matchers": []any{map[string]any{"name": "alertname", "value": "Other", "isRegex": false, "isEqual": true}},
		"startsAt": time.Now().Format(time.RFC3339), "endsAt": time.Now().AddDate(50, 0, 0).Format(time.RFC3339), "createdBy": "t", "comment": "kept over upgrades"})
	require.NoError(t, err)
	res, err := p.client.Post(p.url("/alertmanager/api/v2/silences"), "application/json", bytes.NewReader(silence))
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Less(t, res.StatusCode, 300)
	// What is answered is final: its newest bucket has ended, calls that have no pair are given up, and later records have come.
	end := time.Now().Truncate(10 * time.Second).Add(10 * time.Second)
	time.Sleep(time.Until(end.Add(30 * time.Second)))
	spans += loadStored(t, broker, 3)
	p.until("it has read the later records", func() bool { return p.calls() == spans })
	s := stored{At: end.Unix(), Calls: spans}
	var before map[string]map[string]string
	for before == nil || !maps.EqualFunc(before, s.Answers, maps.Equal) { // logs and metrics come on their own ways
		before = s.Answers
		time.Sleep(time.Second)
		s.Answers = p.answered(s.At)
	}
	s.History = p.history()
	p.stop()
	text, err := json.MarshalIndent(s, "", " ")
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "stored.json"), text, 0o600))
	pack(t, dir, file)
}

// pack writes a folder into a compressed archive.
func pack(t *testing.T, dir, file string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o750))
	f, err := os.Create(file)
	require.NoError(t, err)
	z, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	require.NoError(t, err)
	archive := tar.NewWriter(z)
	require.NoError(t, archive.AddFS(os.DirFS(dir)))
	require.NoError(t, errors.Join(archive.Close(), z.Close(), f.Close()))
}

func unpack(t *testing.T, file, dir string) {
	t.Helper()
	f, err := os.Open(file)
	require.NoError(t, err)
	defer f.Close()
	z, err := gzip.NewReader(f)
	require.NoError(t, err)
	for archive := tar.NewReader(z); ; {
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		name := filepath.Join(dir, filepath.FromSlash(h.Name))
		if h.Typeflag == tar.TypeDir {
			require.NoError(t, os.MkdirAll(name, 0o750))
			continue
		}
		require.NoError(t, os.MkdirAll(filepath.Dir(name), 0o750))
		out, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, fs.FileMode(h.Mode).Perm())
		require.NoError(t, err)
		_, err = io.Copy(out, archive)
		require.NoError(t, errors.Join(err, out.Close()))
	}
}
