package raw

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/model/labels"
	promstorage "github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/storage/remote"
	"github.com/prometheus/prometheus/util/annotations"
)

// Prometheus reads samples by the remote read API, and names and values of labels by the HTTP API, both of
// https://prometheus.io/docs/prometheus/latest/querying/.
type Prometheus struct {
	*Backend
	read  promstorage.SampleAndChunkQueryable
	start func() (time.Time, bool)
}

var _ promstorage.SampleAndChunkQueryable = (*Prometheus)(nil)

// OpenPrometheus returns what a Prometheus at an address holds from before the time that start gives; all of it while start gives
// none. Nothing is asked before a query needs it.
func OpenPrometheus(base string, start func() (time.Time, bool), o Options) (*Prometheus, error) {
	b, err := open("prometheus", base, o)
	if err != nil {
		return nil, err
	}
	p := &Prometheus{Backend: b, start: start}
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
	p.read = remote.NewSampleAndChunkQueryableClient(c, labels.EmptyLabels(), nil, false, func() (int64, error) { return p.end(math.MaxInt64), nil })
	return p, nil
}

// end is the last instant that Prometheus is asked for, at most maxt; Unix milliseconds.
func (p *Prometheus) end(maxt int64) int64 {
	if t, ok := p.start(); ok {
		maxt = min(maxt, t.UnixMilli()-1)
	}
	return maxt
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
	mu    sync.Mutex
	names []string
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
	if !q.labels.any() {
		return promstorage.EmptySeriesSet()
	}
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

func (q promChunks) Select(ctx context.Context, sorted bool, hints *promstorage.SelectHints, ms ...*labels.Matcher) promstorage.ChunkSeriesSet {
	if !q.labels.any() {
		return promstorage.EmptyChunkSeriesSet()
	}
	return q.ChunkQuerier.Select(q.labels.ctx(ctx), sorted, hints, ms...)
}

func (q promQuerier) LabelValues(ctx context.Context, name string, h *promstorage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels.get(ctx, "api/v1/label/"+url.PathEscape(escapeName(name))+"/values", h, ms)
}

func (q promQuerier) LabelNames(ctx context.Context, h *promstorage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels.get(ctx, "api/v1/labels", h, ms)
}

func (q promChunks) LabelValues(ctx context.Context, name string, h *promstorage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
	return q.labels.get(ctx, "api/v1/label/"+url.PathEscape(escapeName(name))+"/values", h, ms)
}

func (q promChunks) LabelNames(ctx context.Context, h *promstorage.LabelHints, ms ...*labels.Matcher) ([]string, annotations.Annotations, error) {
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

// any reports whether part of the range is older than what is held elsewhere.
func (l promLabels) any() bool { return l.mint <= l.p.end(l.maxt) }

func (l promLabels) ctx(ctx context.Context) context.Context {
	return about(ctx, time.UnixMilli(l.p.end(l.maxt)))
}

func (l promLabels) get(ctx context.Context, path string, h *promstorage.LabelHints, ms []*labels.Matcher) ([]string, annotations.Annotations, error) {
	if !l.any() {
		return nil, nil, nil
	}
	end := l.p.end(l.maxt)
	v := url.Values{"start": {strconv.FormatFloat(float64(l.mint)/1e3, 'f', 3, 64)}, "end": {strconv.FormatFloat(float64(end)/1e3, 'f', 3, 64)}}
	if l.mint <= 0 {
		v.Del("start")
	}
	if len(ms) > 0 {
		text := "{"
		for i, m := range ms {
			if i > 0 {
				text += ","
			}
			text += m.String()
		}
		v.Set("match[]", text+"}")
	}
	if h != nil && h.Limit > 0 {
		v.Set("limit", strconv.Itoa(h.Limit))
	}
	a, err := l.p.Backend.get(ctx, path, v, time.UnixMilli(end))
	if err != nil {
		return nil, nil, err
	}
	var body struct {
		Status, Error string
		Data          []string
		Warnings      []string
	}
	if err := json.Unmarshal(a.Body, &body); err != nil || a.Status != http.StatusOK || body.Status != "success" {
		return nil, nil, fmt.Errorf("prometheus %w: %d %s", ErrUnavailable, a.Status, excerpt([]byte(body.Error)))
	}
	var warnings annotations.Annotations
	for _, w := range body.Warnings {
		warnings.Add(fmt.Errorf("prometheus: %s", w))
	}
	l.p.answered(ctx, nil)
	return body.Data, warnings, nil
}
