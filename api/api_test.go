package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/incident"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// bench is a server over real views in memory. Spans come as script lines; time is moved by hand.
type bench struct {
	t         testing.TB
	script    *viewstest.Script
	alerts    *rules.Evaluator
	incidents *incident.Book
	pipe      *fakePipeline
	reg       *prometheus.Registry
	now       time.Time
	s         *Server

	alertmanager bool   // a real one is mounted
	lastID       string // that it gave
	lastToken    string // of pages of rule groups

	offset  int64         // of records that are given as they are
	metrics *metricsBench // nil: none
	made    *fakeObjects
	files   []rules.Source // rules of files
}

// fakeObjects keeps what users make in the store and loads rules, as the topic of settings does.
type fakeObjects struct {
	b    *bench
	kv   storage.KV
	n    int
	fail error
}

func (f *fakeObjects) Sync(context.Context) error { return f.fail }

func (f *fakeObjects) Put(_ context.Context, list []storage.Object) error {
	c := storage.Commit{}
	for _, o := range list {
		c.Entries = append(c.Entries, o.Entry())
	}
	return errors.Join(f.fail, f.kv.Commit(c))
}

func (f *fakeObjects) Write(_ context.Context, e storage.Edit, now time.Time) error {
	for _, o := range e.Objects {
		f.n++
		entry := storage.AuditEntry{ID: fmt.Sprintf("%04d", f.n), Time: now, By: e.By, Action: e.Action, Kind: o.Kind, Object: o.ID}
		if !e.Secret {
			entry.After = o.Value
		}
		a, err := json.Marshal(entry)
		if err != nil {
			return err
		}
		if err := f.kv.Commit(storage.Commit{Entries: []storage.Entry{o.Entry(),
			storage.Object{Kind: storage.KindAudit, ID: fmt.Sprintf("%04d", f.n), Value: a}.Entry()}}); err != nil {
			return err
		}
	}
	if f.b.s.cfg.Auth != nil {
		f.b.s.cfg.Auth.Changed()
	}
	return f.b.load()
}

// load puts the rules of files, of users and of objectives into force.
func (b *bench) load() error {
	off, err := b.s.cfg.Rules.SwitchedOff()
	if err != nil {
		return err
	}
	made, err := b.s.cfg.Rules.Sources()
	if err != nil {
		return err
	}
	slos, err := b.s.cfg.SLOs.List()
	if err != nil {
		return err
	}
	made = append(made, books.SLOSource(slos))
	for _, s := range b.files {
		s.Disabled = off
		made = append(made, s)
	}
	return b.alerts.Load(context.Background(), made, b.now)
}

// fakePipeline has read everything by default.
type fakePipeline struct {
	set        *views.Set
	partitions []progress.Partition
	truncated  []progress.Gap
	began      progress.Beginning
	checkpoint progress.Checkpoint
	behind     bool
}

func (p *fakePipeline) Positions() ([]storage.Position, error) { return p.set.Positions() }

func (p *fakePipeline) Partitions() []progress.Partition {
	if p.partitions != nil {
		return p.partitions
	}
	one := progress.Partition{Topic: viewstest.Topic, Idle: true}
	if list, err := p.set.Positions(); err == nil && len(list) > 0 {
		one.Position, one.End = list[0].Offset, list[0].Offset
	}
	return []progress.Partition{one}
}

func (p *fakePipeline) Checkpoint() progress.Checkpoint { return p.checkpoint }

func (p *fakePipeline) Truncated() []progress.Gap { return p.truncated }

func (p *fakePipeline) Began() progress.Beginning { return p.began }

func (p *fakePipeline) Ready() (bool, []progress.Check) {
	if p.behind {
		return false, []progress.Check{{Name: "otlp_spans/0", Detail: "1200 records behind"}}
	}
	return true, []progress.Check{{Name: "otlp_spans/0", OK: true, Detail: "caught up"}}
}

func newBench(t testing.TB, change ...func(*Config)) *bench {
	t.Helper()
	b := &bench{t: t, reg: prometheus.NewRegistry(), now: at(60 * time.Second)}
	kv := storage.NewMem(storage.MemOptions{})
	var err error
	// where the views begin is known after a fold
	b.script, err = viewstest.New(kv, model.Config{FoldEvery: 1, TraceBytes: 8 << 20, LogBytes: 1 << 20})
	require.NoError(t, err)
	b.pipe = &fakePipeline{set: b.script.Set}
	engine := query.NewEngine(query.EngineConfig{}, nil, nil)
	b.incidents, err = incident.Open(kv, incident.Limits{})
	require.NoError(t, err)
	b.alerts, err = rules.New(rules.Config{Reader: b.script.Set, KV: kv, Engine: engine, Evidence: func() time.Time { return b.now },
		Incidents: b.incidents})
	require.NoError(t, err)
	b.made = &fakeObjects{b: b, kv: kv}
	c := Config{Views: b.script.Set, Pipeline: b.pipe, Replays: &fakeReplays{}, Backups: &fakeBackups{}, Alerts: b.alerts, Queryable: b.alerts.Queryable(),
		Engine: engine, Registry: b.reg, Rules: &books.RuleBook{KV: kv, Objects: b.made}, SLOs: &books.SLOBook{KV: kv, Objects: b.made}, Dashboards: &books.DashboardBook{KV: kv, Objects: b.made}, SavedViews: &books.ViewBook{KV: kv, Objects: b.made},
		Incidents: b.incidents, Notes: &incident.NoteBook{KV: kv, Objects: b.made}, Store: kv, Now: func() time.Time { return b.now }, Logger: zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.ErrorLevel),
		Version: "1.2.3",
		Links:   status.Links{Jaeger: "http://jaeger:16686"}, AllowedHosts: []string{"example.com"}} // the host of httptest's requests
	for _, f := range change {
		f(&c)
	}
	b.s, err = New(c)
	require.NoError(t, err)
	t.Cleanup(b.s.Close)
	return b
}

func at(d time.Duration) time.Time { return time.Unix(0, int64(d)).UTC() }

// record applies one record of span lines to partition 0.
func (b *bench) record(lines ...string) {
	b.t.Helper()
	var r viewstest.Record
	for _, l := range lines {
		if strings.Contains(l, " | ") {
			line, err := viewstest.ParseLog(l)
			require.NoError(b.t, err)
			r.Logs = append(r.Logs, line)
			continue
		}
		line, err := viewstest.ParseLine(l)
		require.NoError(b.t, err)
		r.Spans = append(r.Spans, line)
	}
	b.script.Topic[0] = append(b.script.Topic[0], r)
	b.script.Apply(0, int64(len(b.script.Topic[0])-1))
}

func (b *bench) commit(marks ...model.Mark) {
	b.t.Helper()
	_, err := b.script.Checkpoint(marks)
	require.NoError(b.t, err)
}

// rules loads rules and evaluates them at what is committed.
func (b *bench) rules(text string) {
	b.t.Helper()
	src, err := rules.ParseSource("rules.yml", []byte(text), nil)
	require.NoError(b.t, err)
	b.files = []rules.Source{src}
	require.NoError(b.t, b.load())
	b.evaluate()
}

// incident begins an incident of an alert that fires, and returns its id.
func (b *bench) incident(name string) string {
	b.t.Helper()
	tx := b.incidents.Begin()
	id := tx.Fired(&alert.Record{Group: "g", Rule: name, Alert: alert.Alert{RuleID: "r", Labels: labels.FromStrings(labels.AlertName, name),
		State: alert.StateFiring, ActiveAt: at(10 * time.Second), FiredAt: at(20 * time.Second)}})
	tx.Done(true)
	require.NotEmpty(b.t, id)
	return id
}

func (b *bench) evaluate() {
	b.t.Helper()
	require.NoError(b.t, b.alerts.Advance(context.Background(), model.Change{Frontier: b.script.Set.Frontier()}, b.now))
}

// do answers a request; headers are "Name: value".
func (b *bench) do(method, target, body string, headers ...string) *httptest.ResponseRecorder {
	b.t.Helper()
	r := httptest.NewRequest(method, target, strings.NewReader(body))
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, v, _ := strings.Cut(h, ": ")
		r.Header.Set(name, v)
	}
	w := httptest.NewRecorder()
	b.s.Handler().ServeHTTP(w, r)
	return w
}

func (b *bench) get(target string, headers ...string) *httptest.ResponseRecorder {
	return b.do(http.MethodGet, target, "", headers...)
}

func readFile(t testing.TB, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(b)
}
