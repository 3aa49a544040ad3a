package evidence

import (
	"cmp"
	"encoding/hex"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// findings is evidence while it is gathered.
type findings struct {
	*alert.Evidence
	since time.Time // from when on what is seen for the first time is new
}

// around are the services that evidence is looked for in: that of the alert and those on the path; nil means all.
func (v findings) around() map[string]bool {
	if v.Service == "" {
		return nil
	}
	out := map[string]bool{v.Service: true}
	for _, e := range v.Path {
		out[e.Server] = true
	}
	return out
}

func within(services map[string]bool, name string) bool { return services == nil || services[name] }

func (v findings) operations(r views.Reader) (err error) {
	if v.Service != "" {
		var list []alert.EvidenceOperation
		list, err = operationsOf(r, v.Evidence, v.Service)
		v.Operations = append(v.Operations, list[:min(len(list), evidenceRows)]...)
	}
	return err
}

// operationsOf are the operations of a service that are worse than in the baseline, those with the most excess first.
func operationsOf(r views.Reader, v *alert.Evidence, service string) (out []alert.EvidenceOperation, err error) {
	now, _, err := r.Operations(service, v.From, v.At.Add(1))
	if err != nil {
		return nil, err
	}
	before, _, err := r.Operations(service, v.Baseline, v.BaselineEnd)
	if err != nil {
		return nil, err
	}
	excess := map[alert.EvidenceOperation]float64{}
	for _, o := range now {
		x := alert.EvidenceOperation{Name: o.Name, Kind: o.Kind.String(), Calls: o.Calls, Errors: o.Errors, P95Ms: ms(o.Latency.P95)}
		if o.Calls > 0 {
			x.ErrorRate = rounded(float64(o.Errors) / float64(o.Calls))
		}
		if i := slices.IndexFunc(before, func(b model.Operation) bool { return b.Name == o.Name && b.Kind == o.Kind }); i >= 0 &&
			before[i].Calls > 0 {
			x.BaselineErrorRate, x.BaselineP95Ms = rounded(float64(before[i].Errors)/float64(before[i].Calls)), ms(before[i].Latency.P95)
		}
		excess[x] = max(0, x.ErrorRate-x.BaselineErrorRate)*float64(x.Calls) + max(0, x.P95Ms-x.BaselineP95Ms)*float64(x.Calls)/1e3
		out = append(out, x)
	}
	slices.SortStableFunc(out, func(a, b alert.EvidenceOperation) int { return cmp.Compare(excess[b], excess[a]) })
	return slices.DeleteFunc(out, func(o alert.EvidenceOperation) bool { return excess[o] <= 0 }), nil
}

func ms(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1e3 }

func (v findings) traces(r views.Reader) error {
	lines, err := r.SelectRED(v.From, v.At.Add(1), func(_ uint32, k model.REDKey) bool { return v.Service == "" || k.Service == v.Service })
	if err != nil {
		return err
	}
	seen := map[[16]byte]bool{}
	var list []alert.EvidenceTrace
	for _, t := range lines {
		for _, c := range t.Cells {
			for _, e := range []model.Exemplar{c.Slowest, c.Latest} {
				if e.TraceID != ([16]byte{}) {
					list = append(list, alert.EvidenceTrace{TraceID: hex.EncodeToString(e.TraceID[:]),
						SpanID: hex.EncodeToString(e.SpanID[:]), Service: t.Key.Service, Operation: t.Key.Operation,
						Status: t.Key.Status.String(), DurationMs: ms(time.Duration(e.Duration)),
						Time: time.Unix(0, int64(e.End)).UTC()})
				}
			}
		}
	}
	failed := func(t alert.EvidenceTrace) int {
		if t.Status == model.StatusError.String() {
			return 0
		}
		return 1
	}
	slices.SortFunc(list, func(a, b alert.EvidenceTrace) int {
		return cmp.Or(cmp.Compare(failed(a), failed(b)), cmp.Compare(b.DurationMs, a.DurationMs), b.Time.Compare(a.Time),
			cmp.Compare(a.TraceID, b.TraceID))
	})
	for _, t := range list {
		var id [16]byte
		_, _ = hex.Decode(id[:], []byte(t.TraceID)) // was encoded above
		if !seen[id] && len(v.Traces) < evidenceRows {
			seen[id] = true
			v.Traces = append(v.Traces, t)
		}
	}
	return nil
}

func (v findings) patterns(r views.Reader, around map[string]bool) error {
	list, err := r.LogPatterns(v.since, v.At.Add(1), "")
	if err != nil {
		return err
	}
	for _, p := range list {
		if !p.FirstSeen.Before(v.since) && slices.ContainsFunc(p.Services, func(s string) bool { return within(around, s) }) &&
			len(v.Patterns) < evidenceRows {
			v.Patterns = append(v.Patterns,
				alert.EvidencePattern{Pattern: p.Pattern, Services: p.Services, Count: p.Count, FirstSeen: p.FirstSeen.UTC(),
					Sample: cutSample(p.Sample)})
		}
	}
	return nil
}

func cutSample(s string) string {
	if len(s) > maxSampleLen {
		s = strings.ToValidUTF8(s[:maxSampleLen], "") + " …"
	}
	return s
}

func (v findings) exceptions(r views.Reader, around map[string]bool) error {
	rows, err := r.TableRows(model.TableErrors, v.since, v.At.Add(1), func(l []string) bool { return within(around, l[0]) })
	if err != nil {
		return err
	}
	rows = slices.DeleteFunc(rows, func(x cells.TallyRow) bool { return x.FirstSeen.Before(v.since) })
	slices.SortStableFunc(rows, func(a, b cells.TallyRow) int {
		return cmp.Or(cmp.Compare(b.Calls, a.Calls), cmp.Compare(b.Labels[1], a.Labels[1])) // with an operation first
	})
	// Many SDKs record an exception in its span and write a log record about it: it is listed once.
	type group struct{ service, typ, message string }
	listed := map[group]bool{}
	for _, x := range rows {
		g := group{x.Labels[0], x.Labels[2], x.Labels[3]}
		if listed[g] || len(v.Errors) >= evidenceRows {
			continue
		}
		listed[g] = true
		v.Errors = append(v.Errors, alert.EvidenceError{Service: x.Labels[0], Operation: x.Labels[1], Type: x.Labels[2],
			Message: cutSample(x.Labels[3]), Count: x.Calls, FirstSeen: x.FirstSeen.UTC()})
	}
	return nil
}

// deployments are versions of the services around that were first seen shortly before, where the service had another one before.
func (v findings) deployments(r views.Reader, around map[string]bool) error {
	lines, err := r.SelectTable(model.TableVersions, v.At.Add(1), v.At.Add(1), func(l []string) bool { return within(around, l[0]) })
	if err != nil {
		return err
	}
	oldest := map[string]uint64{}
	for i := range lines {
		service, first := lines[i].Labels[0], lines[i].Base.First
		if at, ok := oldest[service]; !ok || first < at {
			oldest[service] = first
		}
	}
	for i := range lines {
		service, first := lines[i].Labels[0], time.Unix(0, int64(lines[i].Base.First)).UTC()
		if lines[i].Base.First > oldest[service] && !first.Before(v.since.Add(-evidenceDeploys)) && !first.After(v.At) {
			v.Deployments = append(v.Deployments, alert.EvidenceDeployment{Service: service, Version: lines[i].Labels[1], FirstSeen: first})
			for k := range v.Path {
				if v.Path[k].Server == service {
					v.Path[k].NewVersions = append(v.Path[k].NewVersions, lines[i].Labels[1])
				}
			}
		}
	}
	slices.SortFunc(v.Deployments, func(a, b alert.EvidenceDeployment) int {
		return cmp.Or(b.FirstSeen.Compare(a.FirstSeen), cmp.Compare(a.Service, b.Service), cmp.Compare(a.Version, b.Version))
	})
	v.Deployments = v.Deployments[:min(len(v.Deployments), evidenceRows)]
	return nil
}
