package app

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/api"
	"github.com/gaurav/watchingcat/evaluator"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
)

// queriesAtOnce is how many PromQL queries of the API run at once, as in Prometheus; those of rules do not wait for them.
const queriesAtOnce = 20

// openAPI builds the server over what was opened before.
func (a *App) openAPI(context.Context) (err error) {
	a.server, err = api.New(api.Config{
		Views: a.live, Dimensions: a.cfg.Dimensions, Pipeline: pipelineAnswers{a}, Replays: replayAnswers{a.gens}, Topics: topicBacktests{a}, Alerts: a.eval, Queryable: a.eval.QueryableOver(a.allSources()),
		Exemplars: a.allSources(), Metrics: a.live.Metrics(), Stores: a.stores.answers(),
		Engine: query.NewEngine(query.EngineConfig{Concurrency: queriesAtOnce}, a.slog, a.reg),
		Rules:  a.rules, SLOs: &evaluator.SLOBook{KV: a.db, Objects: a.objects}, Store: a.db, Notifications: a.notifier,
		Alertmanager: a.notifier.API(), ExternalLabels: a.external, Registry: a.reg, Meter: a.tell.meter("api"), Tracer: a.tell.tracer("api"), Logger: a.log, Slog: a.slog, Version: Version(), Retention: time.Duration(a.cfg.Retention1h),
		Links:       api.Links{Jaeger: link(a.cfg.JaegerURL), Grafana: link(a.cfg.GrafanaURL), Prometheus: link(a.cfg.PrometheusURL), Kibana: link(a.cfg.KibanaURL)},
		ExternalURL: cmp.Or(a.cfg.ExternalURL, a.cfg.Scheme()+"://"+a.Addr()), CORSOrigins: a.cfg.CORSOrigins, AllowedHosts: a.cfg.AllowedHosts, Auth: a.auth, RateLimit: a.cfg.RateLimit, Connections: (&descriptors{}).connections,
		Limits: api.Limits{TraceBytes: a.memory().trace(), TracesBytes: 2 * a.memory().share(64, 32<<20)},
	})
	if err != nil {
		return fmt.Errorf("build the API: %w", err)
	}
	return nil
}

// pipelineAnswers tells the API how far the topic has been read.
type pipelineAnswers struct{ app *App }

var _ api.Pipeline = pipelineAnswers{}

func (p pipelineAnswers) Positions() ([]storage.Position, error) { return p.app.committed(), nil }

func (p pipelineAnswers) Partitions() []api.Partition {
	var out []api.Partition
	for _, s := range p.app.status(time.Now()).partitions {
		lag := s.lag
		if s.HighWatermark < 0 || s.LastFetch.IsZero() {
			lag = -1
		}
		out = append(out, api.Partition{Topic: s.Topic, Partition: s.Partition, Position: s.committed, End: s.HighWatermark, Lag: lag,
			Watermark: s.watermark, Idle: s.Idle, Err: s.Err})
	}
	return out
}

func (p pipelineAnswers) Checkpoint() api.Checkpoint {
	c := p.app.gens.Current().Ingest.Last()
	return api.Checkpoint{At: c.At, Entries: c.Entries, Bytes: int64(c.Bytes)}
}

func (p pipelineAnswers) Truncated() []api.Truncation {
	var out []api.Truncation
	for _, g := range p.app.gapList() {
		out = append(out, api.Truncation{Topic: g.Topic, Partition: g.Partition, From: g.From, To: g.To, At: g.Found})
	}
	return out
}

func (p pipelineAnswers) Began() api.Beginning { return api.Beginning(p.app.gens.Began()) }

func (p pipelineAnswers) Ready() (bool, []api.Check) {
	s := p.app.status(time.Now())
	checks := []api.Check{{Name: "state", OK: true, Detail: "open"}}
	if p.app.stopping.Load() {
		checks = append(checks, api.Check{Name: "process", Detail: "shutting down; use another replica"})
		s.ready = false
	}
	if !p.app.objectsRead.Load() {
		check := api.Check{Name: p.app.cfg.KafkaConfigTopic, Detail: "users, tokens, rules and objectives have not been read yet; those known from before are in force"}
		if err := p.app.objectsErr.Load(); err != nil {
			check.Detail += ": " + (*err).Error()
		}
		checks = append(checks, check)
		s.ready = false
	}
	for _, name := range slices.Sorted(maps.Keys(s.checks)) {
		checks = append(checks, api.Check{Name: name, Detail: s.checks[name]})
	}
	return s.ready, checks
}
