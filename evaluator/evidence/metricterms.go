package evidence

import (
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

// A resource is one kind of metric of a service's own process, container or pod, by OpenTelemetry's semantic conventions. Names are as they
// are sent or as Prometheus writes them.
type resource struct {
	signal, unit, names string // a regular expression
	strength            func(before, now float64) float64
}

var resources = []resource{
	{alert.TermCPU, "ratio", `(k8s[._](pod|container)|container|process|jvm)[._]cpu[._a-z]*utilization(_ratio)?`, func(before, now float64) float64 {
		return sure(now, 0.5, 0.8) * sure(now-before, 0.05, 0.3)
	}},
	{alert.TermCPU, "cores", `(k8s[._](pod|container)|container)[._]cpu[._]usage`, func(before, now float64) float64 {
		const idle = 0.05 // cores, that a factor of them means nothing
		return sure(math.Log2((now+idle)/(before+idle)), 1, 4)
	}},
	{alert.TermMemory, "ratio", `k8s[._](pod|container)[._]memory_limit_utilization(_ratio)?`, func(before, now float64) float64 {
		return sure(now, 0.85, 1) * sure(now-before, 0.02, 0.2)
	}},
}

// Over which ranges metrics are read at least: they are sent once a minute or so.
const (
	leastMetricWindow   = 2 * time.Minute
	leastMetricBaseline = 5 * time.Minute
	maxMetricNames      = 8 // of one resource
)

// metrics adds the terms of the resources that services use.
func (s suspects) metrics(q *Inquiry, v *alert.Evidence, names map[string]bool) error {
	for _, r := range resources {
		found, err := q.g.Query(q.ctx, fmt.Sprintf(`count by (__name__) (last_over_time({__name__=~%q}[5m]))`, r.names), v.At)
		if err != nil {
			return fmt.Errorf("metrics of %s: %w", r.signal, err)
		}
		for _, x := range found[:min(len(found), maxMetricNames)] {
			metric := x.Metric.Get(labels.MetricName)
			now, err := q.highest(metric, max(v.At.Sub(v.From), leastMetricWindow), v.At, names)
			if err != nil {
				return err
			}
			before, err := q.highest(metric, max(v.BaselineEnd.Sub(v.Baseline), leastMetricBaseline), v.BaselineEnd, names)
			if err != nil {
				return err
			}
			s.grown(r, metric, before, now)
		}
	}
	return nil
}

// highest is the highest value of a metric in a range, of any process of each service.
func (q *Inquiry) highest(metric string, back time.Duration, at time.Time, services map[string]bool) (map[string]float64, error) {
	list, err := q.g.Query(q.ctx, fmt.Sprintf(`max by (service_name, k8s_deployment_name, k8s_pod_name) (max_over_time({__name__=%q}[%ds]))`, metric,
		int(back.Seconds())), at)
	out := map[string]float64{}
	for _, x := range list {
		if name := ownerOf(x.Metric, services); name != "" && x.H == nil {
			if was, ok := out[name]; !ok || x.F > was {
				out[name] = x.F
			}
		}
	}
	return out, err
}

// ownerOf is the service that a series of a metric is about: by its name, else by that of its deployment, else by that of its pod without the
// hashes, or the number, that Kubernetes appends. "" where that is no service.
func ownerOf(l labels.Labels, services map[string]bool) string {
	for _, label := range []string{"service_name", "k8s_deployment_name"} {
		if name := l.Get(label); services[name] {
			return name
		}
	}
	pod := l.Get("k8s_pod_name")
	for range 2 {
		i := strings.LastIndexByte(pod, '-')
		if i < 0 {
			return ""
		}
		if pod = pod[:i]; services[pod] {
			return pod
		}
	}
	return ""
}

// grown adds the services that use more of a resource than before.
func (s suspects) grown(r resource, metric string, before, now map[string]float64) {
	total, strength := 0.0, map[string]float64{}
	for name, n := range now {
		if b, ok := before[name]; ok {
			strength[name] = r.strength(b, n)
			total += strength[name]
		}
	}
	for name, x := range strength {
		if x > 0 {
			s.add(place{name, ""}, alert.Term{Signal: r.signal, Subject: metric, Before: before[name], Now: now[name],
				Unit: r.unit, Share: x / total, Score: x * x / total})
		}
	}
}
