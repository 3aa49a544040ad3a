package status

import (
	"context"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/storage/raw"
	"github.com/gaurav/watchingcat/views/samples"
)

// Links are addresses of other programs that the page links to; empty means none.
type Links struct{ Jaeger, Grafana, Prometheus, Kibana string }

// Status answers how the process is doing, and with which settings.
type Status struct {
	*answer.Moments
	Reading Pipeline
	History *progress.History // nil: none is kept
	Replays Replayer
	Samples interface { // nil: no OTLP metrics are kept
		Counters() samples.MetricCounters
	}
	States               func() []raw.Status // of the raw stores; nil: there are none
	Links                Links
	Kafka                Kafka
	Installation         Installation
	ExternalURL, Version string
}

// Read reads how far the topic has been read.
func (s *Status) Read(m answer.Moment) rest.PipelineAnswer {
	p, c := s.Reading, m.Views.Counters()
	last := p.Checkpoint()
	out := rest.PipelineAnswer{
		Partitions: []rest.Partition{}, Truncated: []rest.Truncation{}, Replays: replaysOf(s.Replays), Backends: s.backends(),
		Checkpoint: rest.Checkpoint{Entries: int64(last.Entries), Bytes: int64(last.Bytes)},
		Records:    int64(c.Records), Spans: int64(c.Spans), DeadLetters: int64(c.DeadLetters), UnattributedSpans: int64(c.Unattributed),
		Late: int64(c.TooLate), Future: int64(c.Future), Duplicates: int64(c.Duplicates), Overflowed: int64(c.Overflowed),
		Waiting: int64(c.Waiting),
		Meta:    s.Meta(m, answer.Range{}),
	}
	if s.Samples != nil {
		out.DeadLetters += int64(s.Samples.Counters().DeadLetters)
	}
	if !last.At.IsZero() {
		out.Checkpoint.AgeMs = max(0, m.Now.Sub(last.At).Milliseconds())
	}
	for _, v := range p.Partitions() {
		part := rest.Partition{Topic: v.Topic, Partition: v.Partition, Position: v.Position, End: v.End, Lag: max(v.Lag, 0),
			Watermark: answer.TimeOrNil(v.Watermark), Idle: v.Idle}
		if v.Err != nil {
			part.Error = answer.TextOrNil(v.Err.Error())
		}
		out.Partitions = append(out.Partitions, part)
	}
	for _, t := range p.Truncated() {
		out.Truncated = append(out.Truncated,
			rest.Truncation{Topic: t.Topic, Partition: t.Partition, From: t.From, To: t.To, Time: t.Found.UTC()})
	}
	return out
}

// GetPipeline implements rest.StrictServerInterface.
func (s *Status) GetPipeline(ctx context.Context, _ rest.GetPipelineRequestObject) (rest.GetPipelineResponseObject, error) {
	return rest.GetPipeline200JSONResponse(s.Read(s.Moment(ctx))), nil
}

// GetConfig implements rest.StrictServerInterface.
func (s *Status) GetConfig(context.Context, rest.GetConfigRequestObject) (rest.GetConfigResponseObject, error) {
	l := s.Links
	return rest.GetConfig200JSONResponse{Version: s.Version, ExternalUrl: answer.TextOrNil(s.ExternalURL), Links: rest.Links{
		Jaeger: answer.TextOrNil(l.Jaeger), Grafana: answer.TextOrNil(l.Grafana), Prometheus: answer.TextOrNil(l.Prometheus),
		Kibana: answer.TextOrNil(l.Kibana)}}, nil
}

func (s *Status) ready() (rest.Health, bool) {
	ok, checks := s.Reading.Ready()
	out := rest.Health{Status: rest.HealthStatusOk, Checks: []rest.Check{}}
	if !ok {
		out.Status = rest.HealthStatusUnavailable
	}
	for _, c := range checks {
		check := rest.Check{Name: c.Name, Status: rest.CheckStatusOk, Detail: c.Detail}
		if !c.OK {
			check.Status = rest.CheckStatusFail
		}
		out.Checks = append(out.Checks, check)
	}
	return out, ok
}

// alive says that requests are answered, which this one shows; nothing else is asked, so that a slow disk makes no orchestrator restart the
// process.
func alive() rest.HealthyJSONResponse {
	return rest.HealthyJSONResponse{Status: rest.HealthStatusOk, Checks: []rest.Check{}}
}

// GetHealth implements rest.StrictServerInterface.
func (s *Status) GetHealth(context.Context, rest.GetHealthRequestObject) (rest.GetHealthResponseObject, error) {
	h, ok := s.ready()
	if !ok {
		return rest.GetHealth503JSONResponse{UnhealthyJSONResponse: rest.UnhealthyJSONResponse(h)}, nil
	}
	return rest.GetHealth200JSONResponse{HealthyJSONResponse: rest.HealthyJSONResponse(h)}, nil
}

// GetHealthReady implements rest.StrictServerInterface.
func (s *Status) GetHealthReady(context.Context, rest.GetHealthReadyRequestObject) (rest.GetHealthReadyResponseObject, error) {
	h, ok := s.ready()
	if !ok {
		return rest.GetHealthReady503JSONResponse{UnhealthyJSONResponse: rest.UnhealthyJSONResponse(h)}, nil
	}
	return rest.GetHealthReady200JSONResponse{HealthyJSONResponse: rest.HealthyJSONResponse(h)}, nil
}

// GetReadyz implements rest.StrictServerInterface.
func (s *Status) GetReadyz(context.Context, rest.GetReadyzRequestObject) (rest.GetReadyzResponseObject, error) {
	h, ok := s.ready()
	if !ok {
		return rest.GetReadyz503JSONResponse{UnhealthyJSONResponse: rest.UnhealthyJSONResponse(h)}, nil
	}
	return rest.GetReadyz200JSONResponse{HealthyJSONResponse: rest.HealthyJSONResponse(h)}, nil
}

// GetHealthLive implements rest.StrictServerInterface.
func (s *Status) GetHealthLive(context.Context, rest.GetHealthLiveRequestObject) (rest.GetHealthLiveResponseObject, error) {
	return rest.GetHealthLive200JSONResponse{HealthyJSONResponse: alive()}, nil
}

// GetLivez implements rest.StrictServerInterface.
func (s *Status) GetLivez(context.Context, rest.GetLivezRequestObject) (rest.GetLivezResponseObject, error) {
	return rest.GetLivez200JSONResponse{HealthyJSONResponse: alive()}, nil
}

// GetPrometheusHealthy implements rest.StrictServerInterface.
func (s *Status) GetPrometheusHealthy(context.Context,
	rest.GetPrometheusHealthyRequestObject) (rest.GetPrometheusHealthyResponseObject, error) {
	return rest.GetPrometheusHealthy200JSONResponse{HealthyJSONResponse: alive()}, nil
}

// GetPrometheusReady implements rest.StrictServerInterface.
func (s *Status) GetPrometheusReady(context.Context, rest.GetPrometheusReadyRequestObject) (rest.GetPrometheusReadyResponseObject, error) {
	h, ok := s.ready()
	if !ok {
		return rest.GetPrometheusReady503JSONResponse{UnhealthyJSONResponse: rest.UnhealthyJSONResponse(h)}, nil
	}
	return rest.GetPrometheusReady200JSONResponse{HealthyJSONResponse: rest.HealthyJSONResponse(h)}, nil
}

// backends is how the stores are doing.
func (s *Status) backends() []rest.Backend {
	out := []rest.Backend{}
	if s.States == nil {
		return out
	}
	for _, b := range s.States() {
		out = append(out, rest.Backend{Name: rest.BackendName(b.Name), State: rest.BackendState(b.State),
			Error: answer.TextOrNil(answer.ValidText(b.Error))})
	}
	return out
}
