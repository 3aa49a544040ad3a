package evaltest

import (
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/views/model"
)

// start is the edge of a bucket.
var start = time.Unix(1_700_000_000, 0).UTC()

// At is s seconds after the start of the scene.
func At(s float64) time.Time { return start.Add(time.Duration(s * float64(time.Second))) }

// ErrorsRule holds when failing has more than three errors within a minute.
const ErrorsRule = `increase(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m]) > 3`

// Failing is a series of failed spans.
var Failing = model.REDKey{Service: "cart", Operation: "GET", Kind: model.KindServer, Status: model.StatusError}

// AlertRules is a file of rules with one group.
func AlertRules(lines string) string {
	return "groups:\n- name: g\n  interval: 10s\n  rules:\n" + lines
}

// Rule is an alert with a label and an annotation; more are lines that follow.
func Rule(name, expr, more string) string {
	return fmt.Sprintf("  - alert: %s\n    expr: '%s'\n    labels: {severity: page}\n    annotations: {summary: '{{ $labels.service_name }} has {{ $value | printf \"%%.0f\" }}'}\n%s", name, expr, more)
}
