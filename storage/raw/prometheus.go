package raw

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/exemplar"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/annotations"
)

// Prometheus reads samples by the remote read API, and names and values of labels and exemplars by the HTTP API, both of
// https://prometheus.io/docs/prometheus/latest/querying/.
type Prometheus struct {
	*Backend
	read promstorage.SampleAndChunkQueryable
}

var (
	_ promstorage.SampleAndChunkQueryable = (*Prometheus)(nil)
	_ promstorage.ExemplarQueryable       = (*Prometheus)(nil)
)

// OpenPrometheus returns what a Prometheus at an address holds. No request is sent before a query needs it.
func OpenPrometheus(base string, o Options) (*Prometheus, error) {
	b, err := open("prometheus", base, o)
	if err != nil {
		return nil, err
	}
	p := &Prometheus{Backend: b}
	u := *b.base
	u.User = nil // the Backend sends it
	c, err := remote.NewReadClient("prometheus", &remote.ClientConfig{
		URL: &promconfig.URL{URL: u.JoinPath("api/v1/read")}, Timeout: model.Duration(time.Minute), // the Backend's is shorter
		HTTPClientConfig: promconfig.DefaultHTTPClientConfig, ChunkedReadLimit: config.DefaultChunkedReadLimit,
	})
	if err != nil {
		return nil, fmt.Errorf("raw: prometheus: %w", err)
	}
	client, ok := c.(*remote.Client)
	if !ok {
		return nil, errors.New("raw: prometheus: the client of this release is of another type")
	}
	client.Client.Transport = b
	p.read = remote.NewSampleAndChunkQueryableClient(c, labels.EmptyLabels(), nil, true, func() (int64, error) { return 0, nil })
	return p, nil
}

// Querier implements promstorage.Queryable.
func (p *Prometheus) Querier(mint, maxt int64) (promstorage.Querier, error) {
	q, err := p.read.Querier(mint, maxt)
	return promQuerier{q, promLabels{p, mint, maxt}}, err
}

// ChunkQuerier implements promstorage.ChunkQueryable.
func (p *Prometheus) ChunkQuerier(mint, maxt int64) (promstorage.ChunkQuerier, error) {
	q, err := p.read.ChunkQuerier(mint, maxt)
	return promChunks{q, promLabels{p, mint, maxt}}, err
}

// Answered is who gave part of an answer. Readers that a query finds on its way add their names to the one in its context.
type Answered struct {
	mu       sync.Mutex
	names    []string
	warnings []string
}

type answeredKey struct{}

// WithAnswered returns a context whose readers say that they answered.
func WithAnswered(ctx context.Context) (context.Context, *Answered) {
	a := &Answered{}
	return context.WithValue(ctx, answeredKey{}, a), a
}

// Names lists who answered.
func (a *Answered) Names() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.names)
}

// Warnings lists what is missing, where the reader has no other way to report it.
func (a *Answered) Warnings() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.warnings)
}

// Warn notes what is missing of the answer to the query of a context.
func Warn(ctx context.Context, text string) {
	a, ok := ctx.Value(answeredKey{}).(*Answered)
	if !ok {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.warnings, text) {
		a.warnings = append(a.warnings, text)
	}
}

func (b *Backend) answered(ctx context.Context, err error) {
	a, ok := ctx.Value(answeredKey{}).(*Answered)
	if !ok || err != nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if !slices.Contains(a.names, b.name) {
		a.names = append(a.names, b.name)
	}
}

type promQuerier struct {
	promstorage.Querier
	labels promLabels
}

func (q promQuerier) Select(ctx context.Context, sorted bool, hints *promstorage.SelectHints, ms ...*labels.Matcher) promstorage.SeriesSet {
	return &answeringSet{q.Querier.Select(q.labels.ctx(ctx), sorted, hints, ms...), q.labels.p, ctx, false}
}

// answeringSet says that Prometheus answered once it has.
type answeringSet struct {
	promstorage.SeriesSet
	p    *Prometheus
	ctx  context.Context
	said bool
}

func (s *answeringSet) Next() bool {
	ok := s.SeriesSet.Next()
	if !s.said {
		s.said = true
		s.p.answered(s.ctx, s.Err())
	}
	return ok
}

type promChunks struct {
	promstorage.ChunkQuerier
	labels promLabels
}

func (q promChunks) Select(ctx context.Context, sorted bool, hints *promstorage.SelectHints,
	ms ...*labels.Matcher) promstorage.ChunkSeriesSet {
	return q.ChunkQuerier.Select(q.labels.ctx(ctx), sorted, hints, ms...)
}

func (q promQuerier) LabelValues(ctx context.Context, name string, h *promstorage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels.get(ctx, "api/v1/label/"+url.PathEscape(escapeName(name))+"/values", h, ms)
}

func (q promQuerier) LabelNames(ctx context.Context, h *promstorage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels.get(ctx, "api/v1/labels", h, ms)
}

func (q promChunks) LabelValues(ctx context.Context, name string, h *promstorage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels.get(ctx, "api/v1/label/"+url.PathEscape(escapeName(name))+"/values", h, ms)
}

func (q promChunks) LabelNames(ctx context.Context, h *promstorage.LabelHints,
	ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels.get(ctx, "api/v1/labels", h, ms)
}

// escapeName writes a label name as paths of the HTTP API take it.
func escapeName(name string) string {
	if model.LegacyValidation.IsValidLabelName(name) {
		return name
	}
	return model.EscapeName(name, model.ValueEncodingEscaping)
}

// promLabels asks for labels within a range.
type promLabels struct {
	p          *Prometheus
	mint, maxt int64
}

func (l promLabels) ctx(ctx context.Context) context.Context {
	return about(ctx, time.UnixMilli(l.maxt))
}

// Prometheus takes times as Unix seconds with a fraction, which hold milliseconds exactly for some thousands of years. What lies beyond is
// no limit: the parameter is left out.
const lastYear = 253402300799999 // the end of 9999, Unix milliseconds

// setRange sets start and end, where they limit anything.
func setRange(v url.Values, mint, maxt int64) {
	seconds := func(ms int64) string { return strconv.FormatFloat(float64(ms)/1e3, 'f', 3, 64) }
	if mint > 0 {
		v.Set("start", seconds(min(mint, lastYear)))
	}
	if maxt < lastYear {
		v.Set("end", seconds(max(maxt, 0)))
	}
}

// selector writes matchers as a series selector that Prometheus accepts: one of the matchers must refuse the empty string. Every series has
// a name, so one that asks for it changes nothing.
func selector(ms []*labels.Matcher) string {
	parts := make([]string, 0, len(ms)+1)
	if !slices.ContainsFunc(ms, func(m *labels.Matcher) bool { return !m.Matches("") }) {
		parts = append(parts, model.MetricNameLabel+`!=""`)
	}
	for _, m := range ms {
		parts = append(parts, m.String())
	}
	return "{" + strings.Join(parts, ",") + "}"
}

// get reads a list of names or values. Without matchers Prometheus wants no match[] at all.
func (l promLabels) get(ctx context.Context, path string, h *promstorage.LabelHints,
	ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
	v := url.Values{}
	setRange(v, l.mint, l.maxt)
	if len(ms) > 0 {
		v.Set("match[]", selector(ms))
	}
	if h != nil && h.Limit > 0 {
		v.Set("limit", strconv.Itoa(h.Limit))
	}
	var list []string
	warnings, err := l.p.ask(ctx, path, v, l.maxt, &list)
	if err == nil {
		l.p.answered(ctx, nil)
	}
	return list, warnings, err
}

// ask reads the data of an answer of the HTTP API about what happened until a time, Unix milliseconds.
func (p *Prometheus) ask(ctx context.Context, path string, v url.Values, until int64, into any) (annotations.Annotations, error) {
	a, err := p.Backend.get(ctx, path, v, time.UnixMilli(until))
	if err != nil {
		return nil, err
	}
	defer a.done()
	var body struct {
		Status, Error string
		Data          json.RawMessage
		Warnings      []string
	}
	if err := json.Unmarshal(a.Body, &body); err != nil || a.Status != http.StatusOK || body.Status != "success" {
		return nil, fmt.Errorf("prometheus %w: %d %s", ErrUnavailable, a.Status, excerpt([]byte(cmp.Or(body.Error, string(a.Body)))))
	}
	if len(body.Data) > 0 {
		if err := json.Unmarshal(body.Data, into); err != nil {
			return nil, fmt.Errorf("prometheus %w: its answer cannot be read: %w", ErrUnavailable, err)
		}
	}
	var warnings annotations.Annotations
	for _, w := range body.Warnings {
		warnings.Add(fmt.Errorf("prometheus: %s", w))
	}
	return warnings, nil
}

// ExemplarQuerier implements promstorage.ExemplarQueryable.
func (p *Prometheus) ExemplarQuerier(ctx context.Context) (promstorage.ExemplarQuerier, error) {
	return promExemplars{ctx, p}, nil
}

type promExemplars struct {
	ctx context.Context
	p   *Prometheus
}

// Select reads the exemplars of the series that one of the sets of matchers selects.
func (q promExemplars) Select(start, end int64, sets ...[]*labels.Matcher) ([]exemplar.QueryResult, error) {
	if len(sets) == 0 {
		return nil, nil
	}
	parts := make([]string, 0, len(sets))
	for _, ms := range sets {
		parts = append(parts, selector(ms))
	}
	v := url.Values{"query": {strings.Join(parts, " or ")}}
	setRange(v, start, end)
	var list []struct {
		SeriesLabels labels.Labels `json:"seriesLabels"`
		Exemplars    []struct {
			Labels    labels.Labels   `json:"labels"`
			Value     json.RawMessage `json:"value"` // a string; NaN and infinities are no JSON numbers
			Timestamp float64         `json:"timestamp"`
		} `json:"exemplars"`
	}
	if _, err := q.p.ask(q.ctx, "api/v1/query_exemplars", v, end, &list); err != nil {
		return nil, err
	}
	out := make([]exemplar.QueryResult, 0, len(list))
	for _, s := range list {
		one := exemplar.QueryResult{SeriesLabels: s.SeriesLabels}
		for _, e := range s.Exemplars {
			value, err := strconv.ParseFloat(strings.Trim(string(e.Value), `"`), 64)
			if err != nil {
				return nil, fmt.Errorf("prometheus %w: the value of an exemplar is no number: %w", ErrUnavailable, err)
			}
			one.Exemplars = append(one.Exemplars,
				exemplar.Exemplar{Labels: e.Labels, Value: value, Ts: int64(math.Round(e.Timestamp * 1e3)), HasTs: true})
		}
		out = append(out, one)
	}
	if len(out) > 0 {
		q.p.answered(q.ctx, nil)
	}
	return out, nil
}
