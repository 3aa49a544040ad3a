package alerting

import (
	"context"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage"
)

// TopicBacktester evaluates rules over what the topics hold of a past.
type TopicBacktester interface {
	// Backtest runs all backtests in one reading; their Reader and Queryable are set by it. since is from when on the topics hold every
	// record, zero where they never lost any.
	Backtest(ctx context.Context, list []backtest.Spec, progress func(progress.Reading)) (results []*backtest.Result, since time.Time,
		err error)
}

// sourceKafka names the topics as the source of an answer.
const sourceKafka = "kafka"

// rememberedTrials is how many backtests over topics are remembered once they have ended.
const rememberedTrials = 10

// topicTrials are the backtests over topics, oldest first; at most one runs.
type topicTrials struct {
	mu   sync.Mutex
	list []*topicTrial
	next int
	wg   sync.WaitGroup
	over bool
}

type topicTrial struct {
	id       string
	created  time.Time
	cancel   context.CancelFunc
	state    rest.TopicBacktestState
	progress progress.Reading
	err      string
	result   *rest.BacktestAnswer
}

// Close cancels the backtest over topics that runs, and waits for it.
func (s *Backtests) Close() { s.trials.close() }

// ListTopicBacktests implements rest.StrictServerInterface.
func (s *Backtests) ListTopicBacktests(context.Context, rest.ListTopicBacktestsRequestObject) (rest.ListTopicBacktestsResponseObject,
	error) {
	s.trials.mu.Lock()
	defer s.trials.mu.Unlock()
	out := rest.ListTopicBacktests200JSONResponse{Backtests: []rest.TopicBacktest{}}
	for _, t := range slices.Backward(s.trials.list) {
		out.Backtests = append(out.Backtests, t.answer())
	}
	return out, nil
}

// GetTopicBacktest implements rest.StrictServerInterface.
func (s *Backtests) GetTopicBacktest(_ context.Context, q rest.GetTopicBacktestRequestObject) (rest.GetTopicBacktestResponseObject, error) {
	s.trials.mu.Lock()
	defer s.trials.mu.Unlock()
	i, err := s.trials.find(q.Id)
	if err != nil {
		return nil, err
	}
	return rest.GetTopicBacktest200JSONResponse(s.trials.list[i].answer()), nil
}

// CancelTopicBacktest implements rest.StrictServerInterface.
func (s *Backtests) CancelTopicBacktest(ctx context.Context,
	q rest.CancelTopicBacktestRequestObject) (rest.CancelTopicBacktestResponseObject, error) {
	if err := s.trials.remove(q.Id); err != nil {
		return nil, err
	}
	s.Audit(ctx, "cancel", storage.KindBacktest, q.Id)
	return rest.CancelTopicBacktest204Response{}, nil
}

// StartTopicBacktest implements rest.StrictServerInterface.
func (s *Backtests) StartTopicBacktest(ctx context.Context,
	q rest.StartTopicBacktestRequestObject) (rest.StartTopicBacktestResponseObject, error) {
	if s.Topics == nil {
		return nil, answer.Problemf(answer.ErrUnavailable, "no_topics", "there are no topics to read")
	}
	sources, err := sourcesOf(q.Body)
	if err != nil {
		return nil, err
	}
	m := s.Moment(ctx)
	r, err := m.RangeOf(q.Body.Start, q.Body.End, defaultBacktest)
	if err != nil {
		return nil, err
	}
	if q.Body.Step != nil {
		return nil, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_backtest",
			"step cannot be combined with a backtest over topics"),
			"Leave step out: rules are evaluated as records come.")
	}
	first := backtest.Spec{Sources: sources, Start: r.Start, End: r.End, Engine: s.Engine, ExternalLabels: s.ExternalLabels}
	list, variants := []backtest.Spec{first}, answer.Value(q.Body.Variants)
	for _, v := range variants {
		b, err := varied(first, v)
		if err != nil {
			return nil, err
		}
		list = append(list, b)
	}
	begun, err := s.try(context.WithoutCancel(ctx), list, variants, m.Now)
	if err != nil {
		return nil, err
	}
	s.Audit(ctx, "start", storage.KindBacktest, begun.Id)
	return rest.StartTopicBacktest202JSONResponse(begun), nil
}

// try begins a trial: of the first of list, and of its variants.
func (s *Backtests) try(ctx context.Context, list []backtest.Spec, variants []rest.BacktestVariant,
	now time.Time) (rest.TopicBacktest, error) {
	s.trials.mu.Lock()
	defer s.trials.mu.Unlock()
	run, cancel := context.WithCancel(ctx)
	t, err := s.trials.begin(now, cancel)
	if err != nil {
		cancel()
		return rest.TopicBacktest{}, err
	}
	s.trials.wg.Go(func() {
		defer cancel()
		defer func() {
			v := recover()
			if v == nil {
				return
			}
			s.Panics.WithLabelValues("backtest").Inc()
			s.Logger.Error().Interface("panic", v).Bytes("stack", debug.Stack()).Msg("backtest over topics panicked")
			s.trials.mu.Lock()
			defer s.trials.mu.Unlock()
			t.state, t.err = rest.TopicBacktestStateFailed, "the backtest panicked: report this as a bug with the log of the server"
		}()
		results, since, err := s.Topics.Backtest(run, list, func(p progress.Reading) {
			s.trials.mu.Lock()
			defer s.trials.mu.Unlock()
			t.progress = p
		})
		var answer rest.BacktestAnswer
		if err == nil {
			answer, err = s.topicAnswer(results, variants, since)
		}
		s.trials.mu.Lock()
		defer s.trials.mu.Unlock()
		if err != nil {
			t.state, t.err = rest.TopicBacktestStateFailed, err.Error()
			return
		}
		t.state, t.result = rest.TopicBacktestStateDone, &answer
	})
	return t.answer(), nil
}

func (s *Backtests) topicAnswer(results []*backtest.Result, variants []rest.BacktestVariant, since time.Time) (rest.BacktestAnswer, error) {
	res := results[0]
	meta := rest.Meta{Source: rest.Source{sourceKafka}, Since: answer.TimeOrNil(res.Start), UpTo: answer.TimeOrNil(res.End),
		ViewVersion: int64(s.Views.Frontier().Version), Warnings: []string{}}
	if since.After(res.Start) {
		meta.Since = answer.TimeOrNil(since)
		answer.Warn(&meta, "the topics hold no records of before %s; nothing is known of the time before", since.UTC().Format(time.RFC3339))
	}
	out, err := s.backtested(res, meta)
	for i, v := range variants {
		if err != nil {
			break
		}
		var a rest.BacktestVariantAnswer
		a, err = s.variant(v, results[i+1])
		out.Variants = append(out.Variants, a)
	}
	return out, err
}

// begin adds a trial, unless one runs. It is called with the lock held until the trial runs: close must find it or refuse it.
func (l *topicTrials) begin(now time.Time, cancel context.CancelFunc) (*topicTrial, error) {
	if l.over {
		return nil, answer.Problemf(answer.ErrUnavailable, "stopping", "WatchingCat is stopping")
	}
	for _, t := range l.list {
		if t.state == rest.TopicBacktestStateRunning {
			return nil, answer.Advise(answer.Problemf(answer.ErrConflict, "backtest_active", "backtest %s over the topics runs", t.id),
				"Wait for it, or cancel it with DELETE /api/v1/alerts/backtests/"+t.id+".")
		}
	}
	l.list = l.list[max(0, len(l.list)-rememberedTrials+1):]
	l.next++
	t := &topicTrial{id: strconv.Itoa(l.next), created: now, cancel: cancel, state: rest.TopicBacktestStateRunning}
	l.list = append(l.list, t)
	return t, nil
}

func (l *topicTrials) find(id string) (int, error) {
	i := slices.IndexFunc(l.list, func(t *topicTrial) bool { return t.id == id })
	if i < 0 {
		return i, answer.Advise(answer.Problemf(answer.ErrNotFound, "backtest_not_found", "no backtest %q over the topics is remembered",
			id),
			"GET /api/v1/alerts/backtests lists them.")
	}
	return i, nil
}

// remove forgets a trial, and cancels it where it runs.
func (l *topicTrials) remove(id string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	i, err := l.find(id)
	if err == nil {
		l.list[i].cancel()
		l.list = slices.Delete(l.list, i, i+1)
	}
	return err
}

// close cancels what runs and waits for it.
func (l *topicTrials) close() {
	l.mu.Lock()
	l.over = true
	for _, t := range l.list {
		t.cancel()
	}
	l.mu.Unlock()
	l.wg.Wait()
}

func (t *topicTrial) answer() rest.TopicBacktest {
	p := t.progress
	out := rest.TopicBacktest{Id: t.id, State: t.state, Records: p.Records, Total: p.Total, Rate: p.Rate, At: answer.TimeOrNil(p.At),
		Error: answer.TextOrNil(t.err), Created: t.created.UTC()}
	if p.Total > 0 {
		out.Progress = min(1, float64(p.Records)/float64(p.Total))
	}
	if t.state == rest.TopicBacktestStateDone {
		out.Progress, out.Result = 1, t.result
	}
	if p.Rate > 0 && t.state == rest.TopicBacktestStateRunning {
		eta := float64(p.Total-p.Records) / p.Rate
		out.EtaS = &eta
	}
	return out
}
