package rules

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/url"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/prometheus/prometheus/rules"
	promstorage "github.com/prometheus/prometheus/storage"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/evaluator/evidence"
	"github.com/gaurav/watchingcat/evaluator/incident"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// Config is what New needs; Reader and KV are required.
type Config struct {
	Reader views.Reader
	KV     storage.KV
	// Queryable is what rules query beside the series they write; nil means a Queryable over Reader.
	Queryable promstorage.SampleAndChunkQueryable
	Engine    promql.QueryEngine // nil: NewEngine with defaults
	// Query wraps how rules query, nil: as they are. A backtest reads ahead by it.
	Query func(rules.QueryFunc) rules.QueryFunc
	// Metrics says how far the samples of OTLP metrics reach, if Queryable shows any; nil: it does not.
	Metrics MetricsReader
	// Interval is that of groups without one (15 s). Floor is the least time between two evaluations of a group, however often
	// its inputs change (200 ms); one that is expensive to evaluate waits longer.
	Interval, Floor time.Duration
	ExternalURL     *url.URL
	ExternalLabels  labels.Labels
	// Ready reports whether the pipeline has caught up; while it has not, rules are evaluated and nothing is notified. nil: always.
	Ready func() bool
	// Evidence is the clock that bounds how long an evaluation looks for why alerts fire; nil: it does not look.
	Evidence func() time.Time
	// Incidents keeps which alerts belong together; nil: none are kept. Deliveries are the newest attempts to notify, for which Sent says
	// with which labels an alert is sent; nil: there are none.
	Incidents  *incident.Book
	Deliveries func() []incident.Delivery
	Sent       func(labels.Labels) labels.Labels
	// Unpaced lets evaluations cost what they cost: nothing waits for its turn.
	Unpaced        bool
	RuleRetention  time.Duration // of series that rules write (6 h)
	MaxRuleSeries  int           // that rules write (100,000)
	MaxRuleSamples int           // of one series that rules write (10,000)
	MaxHistory     int           // transitions that are kept (10,000)
	Logger         *slog.Logger
	Registerer     prometheus.Registerer
}

// ruleTimeout bounds one query of a rule: the other rules wait for it.
const ruleTimeout = 30 * time.Second

// MetricsReader reports commits of OTLP metrics. *samples.Metrics is one.
type MetricsReader interface {
	Frontier() model.Frontier
	Feed() *model.Feed
}

// Evaluator evaluates rules. Its methods may be called concurrently.
type Evaluator struct {
	cfg     Config
	parser  parser.Parser
	options rules.ManagerOptions
	// ruleLogger limits the lines of what fails at each evaluation.
	ruleLogger *slog.Logger
	store      *SeriesStore
	queryable  joined
	outbox     *alert.Outbox
	changed    alert.Signal
	metrics    evalMetrics
	groups     atomic.Pointer[[]*group]
	waiting    atomic.Int64 // since when the pass that waits longest is due, Unix nanoseconds; 0: none waits

	mu       sync.Mutex // one evaluation at a time; guards what follows
	red      map[uint32]model.REDKey
	edges    map[uint32]model.EdgeKey
	unnamed  map[uint32]time.Time // edges that the reader does not name, and when to ask again
	version  uint32
	named    bool // names of all series have been read
	ready    bool
	unsaved  bool // the last write of alerts failed
	complete time.Time
	sampled  time.Time // newest sample of OTLP metrics that passes know of
	early    bool      // a resolved alert waits for complete before it is notified
	wake     time.Time
	recent   *query.Recent
	audience *audience
	pending  model.Change             // what changed since recent was refreshed
	captured map[string]promql.Vector // results of this evaluation's conditions
	guard    guard
	offset   time.Duration // of the group that is evaluated
	query    rules.QueryFunc
	// inquiry and explained are of the evidence of this evaluation.
	inquiry   *evidence.Inquiry
	explained time.Duration

	// records and history are written with both mutexes held and read with either.
	stateMu sync.RWMutex
	records map[string]*alert.Record
	byRule  map[string]map[string]struct{}
	history *alert.History
}

// New opens the alerts and the outbox that KV holds. Rules come with Load.
func New(c Config) (*Evaluator, error) {
	c.Interval, c.Floor = cmp.Or(c.Interval, 15*time.Second), cmp.Or(c.Floor, 200*time.Millisecond)
	c.RuleRetention, c.MaxRuleSeries = cmp.Or(c.RuleRetention, 6*time.Hour), cmp.Or(c.MaxRuleSeries, 100_000)
	c.MaxRuleSamples, c.MaxHistory = cmp.Or(c.MaxRuleSamples, 10_000), cmp.Or(c.MaxHistory, alert.MaxHistory)
	c.ExternalURL = cmp.Or(c.ExternalURL, &url.URL{})
	c.Logger = cmp.Or(c.Logger, slog.New(slog.DiscardHandler))
	if c.Engine == nil {
		c.Engine = query.NewEngine(query.EngineConfig{Timeout: ruleTimeout}, c.Logger, nil)
	}
	if c.Queryable == nil {
		c.Queryable = &query.Queryable{Reader: c.Reader}
	}
	if c.Ready == nil {
		c.Ready = func() bool { return true }
	}
	e := &Evaluator{cfg: c, parser: query.NewParser(), store: NewSeriesStore(c.RuleRetention, c.MaxRuleSeries, c.MaxRuleSamples),
		byRule: map[string]map[string]struct{}{}}
	e.ruleLogger = slog.New(quietHandler(c.Logger.Handler()))
	e.queryable = joined{c.Queryable, e.store}
	e.groups.Store(&[]*group{})
	e.recent, e.audience = recentOfRules(nil), newAudience(nil)
	e.metrics = newMetrics(c.Registerer)
	f := promauto.With(c.Registerer)
	f.NewGaugeFunc(prometheus.GaugeOpts{Name: "watchingcat_rule_evaluation_lag_seconds",
		Help: "How long the rule group that waits longest has been due: its inputs are committed, its evaluation has not ended."},
		func() float64 { return e.behind(time.Now()).Seconds() })
	if c.Incidents != nil {
		f.NewGaugeFunc(prometheus.GaugeOpts{Name: "watchingcat_incidents_open", Help: "Open incidents."},
			func() float64 { return float64(c.Incidents.OpenOnes()) })
	}
	query := rules.EngineQueryFunc(c.Engine, e.queryable)
	if c.Query != nil {
		query = c.Query(query)
	}
	e.query = query
	e.options = rules.ManagerOptions{
		ExternalURL: c.ExternalURL, Context: context.Background(), AppendableV2: e.store, Queryable: e.queryable, Logger: e.ruleLogger,
		QueryFunc:   e.guarded(query),
		NotifyFunc:  func(context.Context, string, ...*rules.Alert) {}, // notifications go through the outbox
		ResendDelay: time.Minute, Metrics: rules.NewGroupMetrics(c.Registerer), Parser: e.parser,
	}
	records, err := alert.LoadRecords(c.KV)
	if err != nil {
		return nil, err
	}
	e.records = map[string]*alert.Record{}
	for _, r := range records {
		e.keep(r)
	}
	if e.history, err = alert.OpenHistory(c.KV, c.MaxHistory); err != nil {
		return nil, err
	}
	if e.outbox, err = alert.OpenOutbox(c.KV); err == nil && c.Registerer != nil {
		err = c.Registerer.Register(e.outbox)
	}
	if err == nil {
		err = e.reconcile()
	}
	return e, err
}

// Load replaces the rules. Alerts of rules that stay keep their state; those of rules that are gone are notified as resolved. On an
// error the rules stay as they were. now is the wall clock.
func (e *Evaluator) Load(ctx context.Context, sources []Source, now time.Time) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	var next []*group
	seen := map[string]bool{}
	recorded := RecordedNames(e.parser, sources)
	for _, src := range sources {
		for i := range src.Groups {
			g, err := e.newGroup(src, i, recorded)
			if err != nil {
				return err
			}
			if seen[g.key] {
				return errors.New("evaluator: group " + g.key + " is defined twice")
			}
			seen[g.key] = true
			next = append(next, g)
		}
	}
	slices.SortFunc(next, func(a, b *group) int { return cmp.Compare(a.key, b.key) })
	old := *e.groups.Load()
	for _, g := range next {
		if err := e.takeOver(ctx, g, old); err != nil {
			return err
		}
	}
	findReaders(next)
	e.groups.Store(&next)
	e.recent, e.audience = recentOfRules(next), newAudience(next)
	e.dropMetrics(old, seen)
	return e.settleAll(now)
}

// takeOver gives a new group the state of its predecessor: alerts from the records, staleness from the old group.
func (e *Evaluator) takeOver(ctx context.Context, g *group, old []*group) error {
	last := time.Time{}
	if i := slices.IndexFunc(old, func(o *group) bool { return o.key == g.key }); i >= 0 {
		g.CopyState(old[i].Group)
		for _, p := range old[i].passes {
			if p.last.After(last) {
				last = p.last
			}
		}
	}
	for _, r := range g.alerting {
		if r.ActiveAlertsCount() == 0 {
			if err := e.restore(ctx, g, r); err != nil {
				return err
			}
		}
		for key := range e.byRule[g.key+"\xff"+r.ident] {
			if t := e.records[key].Latest(); t.After(last) {
				last = t
			}
		}
	}
	for _, p := range g.passes {
		p.last = last
	}
	return nil
}

func (e *Evaluator) dropMetrics(old []*group, keep map[string]bool) {
	m := e.options.Metrics
	for _, g := range old {
		if keep[g.key] {
			continue
		}
		for _, v := range []*prometheus.CounterVec{m.IterationsMissed, m.IterationsScheduled, m.EvalTotal, m.EvalFailures} {
			v.DeleteLabelValues(g.key)
		}
		for _, v := range []*prometheus.GaugeVec{m.GroupInterval, m.GroupLastEvalTime, m.GroupLastDuration, m.GroupLastRuleDurationSum,
			m.GroupLastRestoreDuration, m.GroupRules, m.GroupSamples} {
			v.DeleteLabelValues(g.key)
		}
	}
}

// settleAll writes and notifies what differs from the records in any group, and for alerts whose rule is gone.
func (e *Evaluator) settleAll(now time.Time) error {
	gs := *e.groups.Load()
	ready := e.cfg.Ready()
	e.early = false
	rulesNow := map[string]bool{}
	for _, g := range gs {
		for _, r := range g.alerting {
			rulesNow[g.key+"\xff"+r.ident] = true
		}
	}
	var changes []change
	for _, r := range e.records {
		if !rulesNow[r.Group+"\xff"+r.Rule] {
			changes = append(changes, e.gone(r, now, ready, now)...)
		}
	}
	return e.saved(errors.Join(e.apply(changes, now), e.settle(gs, ready, now)))
}

func (e *Evaluator) saved(err error) error {
	e.unsaved = err != nil
	if err != nil {
		e.metrics.saveFails.Inc()
	}
	return err
}
