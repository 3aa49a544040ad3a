package evidence

import (
	"go.opentelemetry.io/collector/pdata/pcommon"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/spans"
	"github.com/gaurav/watchingcat/views/traces"
)

// differenceBytes bounds the raw records that are read for one alert: some 20,000 spans, a few tens of milliseconds.
const differenceBytes = 8 << 20

// differences compares the spans that failed or were slow with the others of the same service and time: of the cause where that is a service,
// else of the service of the alert.
func (q *Inquiry) differences(r views.Reader, v *alert.Evidence) error {
	out := alert.EvidenceDifferences{Service: v.Service, Select: alert.SelectFailed}
	if c := v.Cause; c != nil && c.Connection == "" {
		out.Service = c.Name
	}
	if out.Service == "" {
		return nil
	}
	slow, err := usual(r, v, out.Service)
	if err != nil {
		return err
	}
	failed, late := spans.NewContrast(true), spans.NewContrast(true)
	read := 0
	res, err := r.ScanSpans(views.SpanScan{From: v.From, To: v.At.Add(1), Tokens: []traces.SpanToken{{Key: "service.name", Value: out.Service}},
		Proceed: func() bool { return read < differenceBytes && q.ctx.Err() == nil }},
		func(block []byte, _ model.DimFilter) error {
			read += len(block)
			return spans.EachOf(block, out.Service, func(res pcommon.Resource, sp ptrace.Span) {
				failed.Add(res, sp, spans.Failed(sp))
				late.Add(res, sp, slow.Exceeds(out.Service, sp))
			})
		})
	if err != nil {
		return err
	}
	out.Sampled, out.Differences = res.Read < res.Of, failed.Differences(evidenceRows)
	if c := v.Cause; c != nil && c.Signal == alert.CauseLatency || len(out.List) == 0 {
		if list := late.Differences(evidenceRows); len(list.List) > 0 {
			out.Select, out.Differences = alert.SelectSlow, list
		}
	}
	if len(out.List) > 0 {
		v.Differences = &out
	}
	return nil
}

// usual are the durations that 95 % of the calls to a service's operations did not exceed in the baseline.
func usual(r views.Reader, v *alert.Evidence, service string) (spans.Limits, error) {
	list, err := r.Latencies(v.Baseline, v.BaselineEnd, func(k model.REDKey) bool { return k.Service == service })
	l := spans.Limits{}
	l.Add(list, 0.95)
	return l, err
}
