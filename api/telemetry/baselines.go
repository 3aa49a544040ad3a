package telemetry

import (
	"context"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views/model"
)

// baselineTime is how long before the end of a trace the calls are that its spans are compared with.
const baselineTime = time.Hour

// GetTraceBaselines implements rest.StrictServerInterface.
func (s *Traces) GetTraceBaselines(ctx context.Context,
	q rest.GetTraceBaselinesRequestObject) (rest.GetTraceBaselinesResponseObject, error) {
	m := s.Older.Moment(ctx)
	id, found, err := s.find(ctx, m, q.Id)
	if err != nil {
		return nil, err
	}
	operations, end := operationsOf(found.Data, id)
	r := answer.Range{Start: end.Add(-baselineTime), End: end}
	list, err := m.Views.Latencies(r.Start, r.End, func(k model.REDKey) bool {
		return operations[model.REDKey{Service: k.Service, Operation: k.Operation, Kind: k.Kind}]
	})
	if err != nil {
		return nil, err
	}
	out := rest.GetTraceBaselines200JSONResponse{Operations: make([]rest.OperationBaseline, 0, len(list)),
		Meta: found.Meta(s.Older.Moments, m, r)}
	for i := range list {
		out.Operations = append(out.Operations, baseline(&list[i]))
	}
	return out, nil
}

// operationsOf are the operations of a trace, and when its last span ended.
func operationsOf(data []ptrace.Traces, id [16]byte) (operations map[model.REDKey]bool, end time.Time) {
	operations = map[model.REDKey]bool{}
	for _, td := range data {
		for _, rs := range td.ResourceSpans().All() {
			service := ""
			if v, ok := rs.Resource().Attributes().Get(older.ServiceName); ok {
				service = attr.Text(v)
			}
			for _, ss := range rs.ScopeSpans().All() {
				for _, sp := range ss.Spans().All() {
					if sp.TraceID() != id {
						continue
					}
					operations[model.REDKey{Service: service, Operation: attr.ValidUTF8(sp.Name()), Kind: model.Kind(sp.Kind())}] = true
					if at := sp.EndTimestamp().AsTime(); at.After(end) {
						end = at
					}
				}
			}
		}
	}
	return operations, end
}

func baseline(o *model.OperationLatency) rest.OperationBaseline {
	out := rest.OperationBaseline{Service: o.Service, Operation: o.Name, Kind: o.Kind.String(), Calls: int64(o.Calls), Errors: int64(o.Errors),
		Buckets: []rest.BaselineBucket{}}
	for _, b := range o.Hist.Buckets() {
		out.Buckets = append(out.Buckets, rest.BaselineBucket{FromMs: answer.Millis(b.From), ToMs: answer.Millis(b.To), Calls: int64(b.Count)})
	}
	return out
}
