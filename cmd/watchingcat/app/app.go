package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/gaurav/watchingcat/api"
	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/cmd/watchingcat/backups"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/evaluator/books"
	"github.com/gaurav/watchingcat/evaluator/incident"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/notify"
	"github.com/gaurav/watchingcat/pipeline/configtopic"
	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/receiver"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/pipeline/verify"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/storage/backup"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/storage/samples"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/live"
	"github.com/gaurav/watchingcat/views/model"
)

// App is the whole process but its command line: state, views, pipeline, rules, notifications and the API.
//
// Data goes one way: source -> ingest -> views -> evaluator -> notify, and from views to the API. Run starts the parts from the
// end to the beginning, so that nothing is sent before there is a receiver, and stops them from the beginning to the end, so that what was
// read is committed and what was decided is notified.
type App struct {
	cfg   config.Config
	log   zerolog.Logger
	slog  *slog.Logger // the same, for the packages of Prometheus and Alertmanager
	start time.Time

	reg     *prometheus.Registry
	own     telemetry
	clients *kafka.ClientMetrics
	db      *storage.DB
	folders *samples.Folders // of metric samples
	backups *backup.Runner
	gens    *replay.Generations
	live    *live.Live // what everybody reads
	dead    *ingest.DeadLetter
	group   *source.GroupCommitter
	stores  rawStores
	objects *configtopic.Topic // what users made
	// objectsRead: all of it, since the start
	objectsRead atomic.Bool
	objectsErr  atomic.Pointer[error] // of the last attempt to read it
	history     progress.History      // of the pipeline
	verifier    *verify.Verifier
	rules       *books.RuleBook
	slos        *books.SLOBook
	// ruleFiles are the rules of files as they were read last; loading lets one change at a time into force.
	ruleFiles atomic.Pointer[[]rules.Source]
	loading   sync.Mutex
	incidents *incident.Book
	eval      *rules.Evaluator
	notifier  *notify.Notifier
	exports   []func(context.Context) error // run what is sent to other stores
	auth      *auth.Auth                    // nil: authentication is off
	endAuth   context.CancelFunc            // ends the fetching of keys
	// noAdmin is called where authentication is on, users have been read and none is an admin.
	noAdmin func(context.Context) error
	// slosRead is called when what users made has been read; nil: nothing is.
	slosRead func(context.Context, *books.SLOBook) error
	external labels.Labels // of every alert
	server   *api.Server
	listener net.Listener
	otlp     *receiver.Receiver // nil: none
	otlpPort *receiver.Listeners
	cert     *certificate // nil: plain HTTP
	reloads  *reloads
	stopping atomic.Bool // is ending; readiness says so
}

// Open opens everything that can be opened without the brokers. Its errors are one line that says what to do.
func Open(ctx context.Context, cfg config.Config, log zerolog.Logger) (*App, error) {
	return OpenWith(ctx, cfg, log, func(ctx context.Context, a *App) error { return a.listen(ctx) })
}

// OpenWith is Open that listens by listen.
func OpenWith(ctx context.Context, cfg config.Config, log zerolog.Logger, listen func(context.Context, *App) error) (*App, error) {
	if err := cfg.NeedBrokers(); err != nil {
		return nil, err
	}
	a := &App{cfg: cfg, log: log, slog: slog.New(zerolog.NewSlogHandler(log)), start: time.Now(), reg: prometheus.NewRegistry(),
		clients: &kafka.ClientMetrics{}}
	a.noAdmin = a.sayHowToBegin
	a.reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		collectors.NewBuildInfoCollector(), a.clients, linesDropped)
	var err error
	if a.own, err = openTelemetry(ctx, a.reg, log); err != nil {
		return nil, err
	}
	for _, open := range []func(context.Context) error{func(ctx context.Context) error { return listen(ctx, a) }, a.openState,
		a.openPipeline, a.openRaw, a.openAlerts, a.openAuth, a.openReceiver, a.openAPI} {
		if err := open(ctx); err != nil {
			return nil, errors.Join(err, a.Close())
		}
	}
	return a, nil
}

func (a *App) listen(ctx context.Context) (err error) {
	var lc net.ListenConfig
	if a.listener, err = lc.Listen(ctx, "tcp", a.cfg.HTTPAddr); err != nil {
		return fmt.Errorf("listen for the API: %w (%sHTTP_ADDR chooses another address)", err, config.EnvPrefix)
	}
	l, cert, err := secured(&a.cfg, a.listener)
	if err != nil {
		return err
	}
	a.listener, a.cert = l, cert
	return nil
}

// openReceiver opens the ports for OTLP, where they are set.
func (a *App) openReceiver(context.Context) (err error) {
	c := &a.cfg
	if c.OTLPGRPCAddr == "" && c.OTLPHTTPAddr == "" {
		return nil
	}
	largest, requests := a.memory().otlp()
	a.otlp = &receiver.Receiver{Kafka: a.kafka(), GRPCAddr: c.OTLPGRPCAddr, HTTPAddr: c.OTLPHTTPAddr, TracesTopic: c.KafkaTracesTopic,
		MetricsTopic: c.KafkaMetricsTopic, LogsTopic: c.KafkaLogsTopic, Tokens: c.OTLPTokenList(), MaxBytes: largest, MaxRequests: requests,
		Registerer: a.reg, Logger: a.log}
	if a.otlp.TLS, _, err = serverTLS(c); err != nil {
		return err
	}
	if a.otlpPort, err = a.otlp.Listen(); err != nil {
		return fmt.Errorf("%w (%sOTLP_GRPC_ADDR and %sOTLP_HTTP_ADDR choose other addresses)", err, config.EnvPrefix, config.EnvPrefix)
	}
	a.log.Info().Str("grpc", a.otlpPort.GRPCAddr()).Str("http", a.otlpPort.HTTPAddr()).Msg("receiving OTLP")
	return nil
}

// otlpPorts is how senders reach the OTLP receivers; nil: there are none.
func (a *App) otlpPorts() *status.OTLP {
	if a.otlpPort == nil {
		return nil
	}
	return &status.OTLP{GRPC: a.otlpPort.GRPCAddr(), HTTP: a.otlpPort.HTTPAddr(), TLS: a.cfg.TLSCert != "", Token: len(a.cfg.OTLPTokenList()) > 0}
}

// ListenUnix listens at a socket of this machine.
func (a *App) ListenUnix(ctx context.Context, socket string) (err error) {
	var lc net.ListenConfig
	a.listener, err = lc.Listen(ctx, "unix", socket)
	return err
}

// Serve answers requests until ctx ends, and does nothing else of what Run does.
func (a *App) Serve(ctx context.Context) error { return a.server.Serve(ctx, a.listener) }

// Addr is where the API listens.
func (a *App) Addr() string { return a.listener.Addr().String() }

func (a *App) openState(context.Context) (err error) {
	a.memory().apply()
	a.db, err = storage.Open(a.cfg.DataDir,
		storage.Options{MemTableBytes: a.memory().memTable(), Uncompressed: a.memory() < roomy, BlockCacheBytes: a.memory().blockCache(),
			MinFreeBytes: a.cfg.MinFreeDiskBytes, Logger: a.log, Meter: a.own.meter("storage")})
	if err != nil {
		return fmt.Errorf("open state: %w", err)
	}
	return nil
}

func (a *App) memory() memory { return memoryLimit(&a.cfg) }

func (a *App) viewConfig() model.Config {
	c := a.cfg
	v := model.Config{
		Retention: c.Retention10s, Retention1m: c.Retention1m, Retention1h: time.Duration(c.Retention1h),
		TraceRetention: c.RetTraces.Kept(), TraceBytes: c.RetTraces.Bytes, TraceKeep: c.TraceKeep(), LogRetention: c.RetLogs.Kept(),
		LogBytes: c.RetLogs.Bytes, PairingWindow: c.PairingWindow, Compensation: c.PairingCompensation, DedupWindow: c.DedupWithin(),
		DedupSpans: c.DedupSpans, Dimensions: c.Dimensions,
		Limits: model.Limits{Services: c.LimitServices, OperationsPerService: c.LimitOperations, Edges: c.LimitEdges,
			Series: c.LimitSeries, ErrorGroups: c.LimitErrorGroups, Patterns: c.LimitPatterns,
			DimensionValues: c.LimitDimensions},
	}
	a.memory().views(&v)
	return v
}

func (a *App) openPipeline(context.Context) (err error) {
	kafka := a.kafka()
	if a.dead, err = ingest.NewDeadLetter(kafka, a.cfg.KafkaDeadLetterTopic, 0); err != nil {
		return config.Usage("%v", err)
	}
	if a.group, err = source.NewGroupCommitter(kafka, a.cfg.KafkaGroup, a.log); err != nil {
		return config.Usage("%v", err)
	}
	a.gens, err = replay.OpenGenerations(a.generations(ingest.NewMetrics(a.reg)))
	if err != nil {
		return openError(err)
	}
	a.live = a.gens.Live()
	of := verified{&a.cfg, a.gens, a.live}.config(a.kafka(), a.encodings(), a.memory().verified())
	of.Metrics, of.Logger = verify.NewMetrics(a.reg), a.log
	a.verifier = verify.New(of)
	a.reloads = newReloads(a.reg, a.start)
	a.backups = backups.Runner(&a.cfg, backups.Source(a.db, a.folders, Version()), a.reg, a.log)
	a.reg.MustRegister(a.db, &statusCollector{a}, ingest.MetricCollector{Counters: a.live.Metrics().Counters})
	return nil
}

// kafka is how the process reaches the brokers; its clients are counted.
func (a *App) kafka() kafka.Config {
	c := a.cfg.Kafka()
	c.Clients = a.clients
	return c
}

// generations is how the views are opened, for the process and for commands that work on the data folder.
func (a *App) generations(m *ingest.Metrics) replay.GenerationsConfig {
	mem := a.memory()
	traces, _, logs := a.cfg.Topics()
	return replay.GenerationsConfig{Store: a.db, Counters: m, GenerationConfig: replay.GenerationConfig{
		Kafka: a.kafka(), Views: a.viewConfig(), Spans: traces, Logs: logs, Encodings: a.encodings(), StartLatest: a.cfg.KafkaStart == "latest", DeadLetter: a.dead.Write,
		Lateness: a.cfg.Lateness, Interval: a.cfg.CommitInterval, Logger: a.log, Metrics: a.metricsTopic(), MaxPendingBytes: mem.pending(),
		MaxApplying: mem.applying(), BufferBytes: int(mem.buffered()), FetchBytes: int(mem.fetch()), SlowDown: mem.slowDown,
		DecompressBytes: mem.decompress(), OversizeBytes: mem.oversize(),
		Telemetry: ingest.Telemetry{Meter: a.own.meter("pipeline"), Tracer: a.own.tracer("pipeline")},
	}}
}

// stamp is the dimension that records get from their topics; nil: none.
func (a *App) stamp() *encoding.Stamp {
	attribute, values, err := a.cfg.TopicDimension()
	if err != nil || attribute == "" { // check has refused an error
		return nil
	}
	traces, metrics, logs := a.cfg.Topics()
	return &encoding.Stamp{Names: model.AttributeNames(attribute), Value: func(topic string) string {
		return cmp.Or(values[topic], traces.Group(topic), metrics.Group(topic), logs.Group(topic))
	}}
}

func (a *App) encodings() ingest.Encodings {
	return ingest.Encodings{Spans: a.cfg.KafkaTracesEncoding, Logs: a.cfg.KafkaLogsEncoding, Stamp: a.stamp()}
}

// openError says what to do about views that cannot be read.
func openError(err error) error {
	if errors.Is(err, views.ErrFormat) {
		return fmt.Errorf("the stored views have another format than this program writes: run `watchingcat migrate` with the same settings; it says what is needed and does it (%w)", err)
	}
	return fmt.Errorf("read views: %w", err)
}

func (a *App) openRaw(context.Context) (err error) {
	a.stores, err = openStores(&a.cfg, raw.NewMetrics(a.reg, a.own.meter("storage")), raw.NewRoom(a.memory().answers()))
	return err
}

func (a *App) openAlerts(ctx context.Context) error {
	external, err := url.Parse(a.cfg.ExternalURL)
	if err != nil {
		return config.Usage("%sEXTERNAL_URL: %v", config.EnvPrefix, err)
	}
	if external.Host == "" {
		external = &url.URL{Scheme: a.cfg.Scheme(), Host: a.Addr()}
	}
	a.objects, err = configtopic.Open(a.kafka(), a.cfg.KafkaConfigTopic, a.db, a.log, a.objectsChanged)
	if err != nil {
		return config.Usage("%v", err)
	}
	a.rules = &books.RuleBook{KV: a.db, Objects: a.objects}
	a.slos = &books.SLOBook{KV: a.db, Objects: a.objects}
	if a.external, err = a.cfg.AlertLabels(); err != nil {
		return config.Usage("%sEXTERNAL_LABELS: %v", config.EnvPrefix, err)
	}
	if a.incidents, err = incident.Open(a.db, incident.Limits{}); err != nil {
		return fmt.Errorf("read incidents: %w", err)
	}
	a.eval, err = rules.New(rules.Config{
		Evidence: time.Now, Reader: a.live, KV: a.db, Queryable: a.sources(), Metrics: a.live.Metrics(), ExternalURL: external,
		ExternalLabels: a.external, Ready: func() bool { return a.readiness(time.Now()).Ready() }, Logger: a.slog, Registerer: a.reg,
		Incidents: a.incidents, Deliveries: a.deliveries, Sent: func(l labels.Labels) labels.Labels { return a.notifier.Sent(l) },
	})
	if err != nil {
		return fmt.Errorf("read alerts: %w", err)
	}
	if err := a.loadRules(ctx); err != nil {
		return err
	}
	c := notify.Config{KV: a.db, Alerts: a.eval, ExternalURL: external, ExternalLabels: a.external, Logger: a.slog, Registerer: a.reg}
	if c.Forward, err = Forward(&a.cfg); err != nil {
		return err
	}
	if a.cfg.ClusterAddr != "" {
		c.Cluster = &notify.Cluster{Addr: a.cfg.ClusterAddr, Advertise: a.cfg.ClusterAdvertise, Peers: a.cfg.ClusterPeers}
	}
	if a.cfg.AlertmanagerConfig != "" {
		if c.Alertmanager, err = notify.LoadConfig(a.cfg.AlertmanagerConfig); err != nil {
			return config.Usage("%sALERTMANAGER_CONFIG: %s: %v", config.EnvPrefix, a.cfg.AlertmanagerConfig, err)
		}
	}
	if a.notifier, err = notify.New(ctx, c, time.Now()); err != nil {
		return fmt.Errorf("start notifications: %w", err)
	}
	return a.openExport()
}

// Reload reads rule files, alertmanager.yml and the certificate again. Each is on its own: of what has an error, what was loaded before
// stays.
func (a *App) Reload(ctx context.Context) (err error) {
	defer func() { a.reloads.note(err == nil, time.Now()) }()
	err = a.loadRules(ctx)
	if a.cfg.AlertmanagerConfig != "" {
		c, e := notify.LoadConfig(a.cfg.AlertmanagerConfig)
		if e == nil {
			e = a.notifier.Reload(c)
		}
		if e != nil {
			e = fmt.Errorf("%sALERTMANAGER_CONFIG: %s: %w", config.EnvPrefix, a.cfg.AlertmanagerConfig, e)
		}
		err = errors.Join(err, e)
	}
	if a.cfg.AlertmanagerSend != "" {
		f, e := Forward(&a.cfg)
		if e == nil {
			e = a.notifier.ReloadForward(f)
		}
		err = errors.Join(err, e)
	}
	if a.cert != nil {
		if e := a.cert.load(); e != nil {
			err = errors.Join(err, certificateError(e))
		}
	}
	return err
}

// Run runs until ctx ends or a part fails. It drains: readiness ends, for as long as is set requests come and data is read as before, then
// reading stops, what was read is committed, what was decided is notified, and requests under way end.
func (a *App) Run(ctx context.Context) error {
	ctx, stop := a.delayed(ctx)
	defer stop()
	run := newPhases(ctx)
	run.phase(a.Serve)
	run.phase(a.notifier.Run)
	pprof := func(ctx context.Context) error { return profiles(ctx, a.cfg.PprofAddr, a.log) }
	run.phase(a.eval.Run, a.eval.RunIncidents, a.objects.Run, a.readObjects, pprof)
	run.phase(a.exports...)
	pages := func(ctx context.Context) error { return pageOut(ctx, a.cfg.DataDir, a.memory().mapped()) }
	run.phase(a.gens.Run, a.verifier.Run, a.upkeep, a.record, pages, a.backups.Run, func(ctx context.Context) error {
		a.group.Run(ctx, 5*time.Second, a.committed)
		return nil
	})
	if a.otlp != nil {
		run.phase(func(ctx context.Context) error { return a.otlp.Serve(ctx, a.otlpPort) })
	}
	return run.wait()
}

// upkeep frees disk space now and then, and finds out that the data folder cannot be written where nothing is to be written.
func (a *App) upkeep(ctx context.Context) error {
	free, look := time.NewTicker(5*time.Minute), time.NewTicker(5*time.Second)
	defer free.Stop()
	defer look.Stop()
	reason := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-look.C:
			err := a.db.Check()
			if now := storage.UnwritableReason(err); err != nil && now != reason {
				a.log.Error().Err(err).Msg("the data folder is not writable: records and alerts are not stored until it is")
			} else if err == nil && reason != "" {
				a.log.Info().Msg("the data folder is writable again")
			}
			reason = storage.UnwritableReason(err)
		case <-free.C:
			if err := a.db.GC(); err != nil {
				a.log.Warn().Err(err).Msg("freeing disk space failed, will be retried")
			}
		}
	}
}

// Close frees what Open opened; after Run it is called too.
func (a *App) Close() error {
	var errs []error
	if a.gens != nil {
		errs = append(errs, a.gens.Close())
	}
	errs = append(errs, a.stores.cache.Close())
	if a.dead != nil {
		errs = append(errs, a.dead.Close())
	}
	if a.notifier != nil {
		a.notifier.Close()
	}
	if a.endAuth != nil {
		a.endAuth()
	}
	if a.objects != nil {
		errs = append(errs, a.objects.Close())
	}
	if a.otlpPort != nil {
		a.otlpPort.Close()
	}
	if a.listener != nil {
		_ = a.listener.Close() // the server closes it too
	}
	if a.db != nil {
		errs = append(errs, a.db.Close())
	}
	errs = append(errs, a.own.close())
	return errors.Join(errs...)
}

// phases runs groups of functions. When the outer context ends or one function fails, the groups are stopped one after the other,
// the last first, each after the one behind it has returned.
type phases struct {
	base    context.Context
	outer   context.Context
	fail    context.CancelCauseFunc
	cancels []context.CancelFunc
	groups  []*errgroup.Group
}

func newPhases(ctx context.Context) *phases {
	outer, fail := context.WithCancelCause(ctx)
	return &phases{base: context.WithoutCancel(ctx), outer: outer, fail: fail}
}

func (p *phases) phase(fns ...func(context.Context) error) {
	ctx, cancel := context.WithCancel(p.base)
	g := &errgroup.Group{}
	for _, fn := range fns {
		g.Go(func() error {
			err := fn(ctx)
			if err == nil && ctx.Err() == nil {
				err = errors.New("a part of the process ended by itself")
			}
			if err != nil {
				p.fail(err)
			}
			return err
		})
	}
	p.cancels, p.groups = append(p.cancels, cancel), append(p.groups, g)
}

func (p *phases) wait() error {
	<-p.outer.Done()
	var errs []error
	if cause := context.Cause(p.outer); !errors.Is(cause, context.Canceled) {
		errs = append(errs, cause)
	}
	for i := len(p.groups) - 1; i >= 0; i-- {
		p.cancels[i]()
		if err := p.groups[i].Wait(); err != nil && !errors.Is(err, context.Canceled) && len(errs) == 0 {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
