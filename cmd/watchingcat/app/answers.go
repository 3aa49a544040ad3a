package app

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/api"
	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/incident"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
)

// queriesAtOnce is how many PromQL queries of the API run at once, as in Prometheus; those of rules do not wait for them.
const queriesAtOnce = 20

// openAPI builds the server over what was opened before.
func (a *App) openAPI(context.Context) (err error) {
	a.server, err = api.New(api.Config{
		Views: a.live, Dimensions: a.cfg.Dimensions, Pipeline: pipelineAnswers{a}, History: &a.history, Replays: replayAnswers{a.gens},
		Backups: a.backups, Verifier: a.verifier,
		Topics: topicBacktests{a}, Alerts: a.eval, Queryable: a.eval.QueryableOver(a.allSources()), Exemplars: a.allSources(),
		Metrics: a.live.Metrics(), Stores: a.stores.answers(),
		Engine: query.NewEngine(query.EngineConfig{Concurrency: queriesAtOnce}, a.slog, a.reg),
		Rules:  a.rules, SLOs: a.slos, Incidents: a.incidents,
		SavedViews: &books.ViewBook{KV: a.db, Objects: a.objects},
		Dashboards: &books.DashboardBook{KV: a.db, Objects: a.objects},
		Notes:      &incident.NoteBook{KV: a.db, Objects: a.objects}, OlderMetrics: a.cfg.PrometheusURL != "", Store: a.db,
		Notifications: a.notifier,
		Alertmanager:  a.notifier.API(), ExternalLabels: a.external, Registry: a.reg, Meter: a.own.meter("api"), Tracer: a.own.tracer("api"),
		Logger: a.log, Slog: a.slog, Version: Version(), Retention: time.Duration(a.cfg.Retention1h),
		Links: status.Links{Jaeger: link(a.cfg.JaegerURL), Grafana: link(a.cfg.GrafanaURL), Prometheus: link(a.cfg.PrometheusURL),
			Kibana: link(a.cfg.KibanaURL)},
		Kafka: status.Kafka{Brokers: a.cfg.KafkaBrokers, TLS: a.cfg.KafkaTLS, SASLMechanism: a.cfg.KafkaSASLMechanism,
			Traces: a.cfg.KafkaTracesTopic, Metrics: a.cfg.KafkaMetricsTopic, Logs: a.cfg.KafkaLogsTopic,
			Is:       func(set, topic string) bool { t, err := kafka.ParseTopics(set); return err == nil && t.Match(topic) },
			Embedded: a.cfg.Embedded, OTLP: a.otlpPorts()},
		Installation: a.installation(),
		ExternalURL:  cmp.Or(a.cfg.ExternalURL, a.cfg.Scheme()+"://"+a.Addr()), CORSOrigins: a.cfg.CORSOrigins,
		AllowedHosts: a.cfg.AllowedHosts, Auth: a.auth, RateLimit: a.cfg.RateLimit, Connections: (&descriptors{}).connections,
		Limits: api.Limits{TraceBytes: a.memory().trace(), TracesBytes: 2 * a.memory().share(64, 32<<20)},
	})
	if err != nil {
		return fmt.Errorf("build the API: %w", err)
	}
	return nil
}

// pipelineAnswers answers for the API how far the topics have been read.
type pipelineAnswers struct{ app *App }

var _ status.Pipeline = pipelineAnswers{}

func (p pipelineAnswers) Positions() ([]storage.Position, error) { return p.app.committed(), nil }

func (p pipelineAnswers) Partitions() []progress.Partition {
	return p.app.readiness(time.Now()).Partitions
}

func (p pipelineAnswers) Checkpoint() progress.Checkpoint { return p.app.gens.Current().Ingest.Last() }

func (p pipelineAnswers) Truncated() []progress.Gap { return p.app.gens.Gaps() }

func (p pipelineAnswers) Began() progress.Beginning { return p.app.gens.Began() }

func (p pipelineAnswers) Ready() (bool, []progress.Check) {
	r := p.app.readiness(time.Now())
	if p.app.stopping.Load() {
		r.Fails("process", "shutting down; use another replica")
	}
	if !p.app.objectsRead.Load() {
		why := "users, tokens, rules and objectives have not been read yet; those known from before are in force"
		if err := p.app.objectsErr.Load(); err != nil {
			why += ": " + (*err).Error()
		}
		r.Fails(p.app.cfg.KafkaConfigTopic, why)
	}
	return r.Ready(), append([]progress.Check{{Name: "state", OK: true, Detail: "open"}}, r.Checks()...)
}
