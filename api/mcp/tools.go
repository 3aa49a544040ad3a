package mcp

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// tool is one request to the API under a name. Its parameters are those of the request, in the query, in {places} of the path, or in the body.
type tool struct {
	name, title, description string
	method, path             string
	params                   []param
	shape                    func(v any) any // of the answer, before it is shortened; nil: as it is
}

// param is one parameter of a tool.
type param struct {
	name, kind, description string // kind is of JSON schema; list is an array of strings
	required                bool
}

var (
	start   = param{"start", "string", "Start of the range.", false}
	end     = param{"end", "string", "End of the range. Default: now.", false}
	last    = param{"last", "string", "Length of the range before its end, in place of start, as 15m or 2h.", false}
	service = param{"service", "string", "Name of a service.", false}
	limit   = param{"limit", "integer", "Maximum number of results.", false}
	attrs   = param{"attributes", "list", "Conditions on attributes: key=value, key!=value, key~expression, key>number, key>=number, key<number, key<=number, key.", false}
	id      = param{"id", "string", "ID, as a list returns it.", true}
)

var tools = []tool{
	{"incidents", "Incidents", "Incidents: the alerts that fire for one reason, with their cause. Open ones first. Ask this first.",
		http.MethodGet, "/api/v1/incidents", []param{{"state", "string", "open or resolved. Default: all.", false}, service, start, end, last, limit}, nil},
	{"incident", "One incident", "An incident with its evidence: cause, candidates, path, failed calls, deployments, log patterns, traces, notifications.",
		http.MethodGet, "/api/v1/incidents/{id}", []param{id}, nil},
	{"alerts", "Active alerts", "Alerts that are pending or firing, with labels and annotations.", http.MethodGet, "/prometheus/api/v1/alerts", nil, nil},
	{"explain", "Why is a service worse", "Why a service is worse than before: candidates ranked by all signals, with the arithmetic of each score. Works for any time, alert or not.",
		http.MethodGet, "/api/v1/explain", []param{service, start, end, last,
			{"compare_start", "string", "Start of the baseline. Default: an hour before its end.", false},
			{"compare_end", "string", "End of the baseline. Default: the start of the range.", false}}, nil},
	{"services", "Health of services", "How each service is doing (failing, slower, silent, ok), with rate, failed share and p95 of the last minute and of its baseline.",
		http.MethodGet, "/api/v1/servicehealth", []param{start, end, last, limit}, nil},
	{"service", "One service", "Operations of a service with rates, failed shares and latencies.", http.MethodGet, "/api/v1/services/{name}",
		[]param{{"name", "string", "Name of the service.", true}, start, end, last}, nil},
	{"service_map", "Service map and its difference", "Who calls whom, with calls, failures and latencies. With compare_start and compare_end: what changed between the two ranges.",
		http.MethodGet, "/api/v1/servicemap", []param{start, end, last, {"compare_start", "string", "Start of the range to compare with.", false},
			{"compare_end", "string", "End of the range to compare with.", false}}, nil},
	{"traces", "Search traces", "Traces with a span that fulfils all conditions, newest or slowest first.", http.MethodGet, "/api/v1/traces",
		[]param{service, {"operation", "string", "Name of a span.", false}, {"status", "string", "error or ok.", false},
			{"min_duration", "string", "Minimum duration of the trace, as 150ms.", false}, attrs, {"order", "string", "newest or slowest.", false},
			start, end, last, limit}, nil},
	{"trace", "One trace", "The spans of a trace: service, operation, start, duration, failure; attributes of those that failed.", http.MethodGet,
		"/api/v1/traces/{id}", []param{id}, traceShape},
	{"differences", "What failed or slow spans have in common", "Attributes that failed or slow spans have more often than the others: a pod, a version, a tenant.",
		http.MethodGet, "/api/v1/spans/analysis?part=differences", []param{{"select", "string", "failed or slow.", true}, service,
			{"operation", "string", "Name of a span.", false}, attrs, start, end, last, limit}, nil},
	{"logs", "Search log lines", "Log lines, newest first.", http.MethodGet, "/api/v1/logs", []param{service,
		{"severity", "string", "Minimum severity: TRACE, DEBUG, INFO, WARN, ERROR or FATAL.", false}, {"text", "string", "Text in the body.", false}, attrs,
		{"trace_id", "string", "Only lines of this trace.", false}, start, end, last, limit}, nil},
	{"log_patterns", "Patterns of log lines", "Log lines by their pattern, most frequent first, with when each was first seen.", http.MethodGet,
		"/api/v1/logs/patterns", []param{service, start, end, last, limit}, nil},
	{"errors", "Exceptions", "Exceptions by type and message, most frequent first, with when each was first seen.", http.MethodGet, "/api/v1/errors",
		[]param{service, {"new_since", "string", "Only those first seen at or after this time.", false}, start, end, last, limit}, nil},
	{"deployments", "Deployments", "New versions of services, with rates, failed shares and latencies before and after.", http.MethodGet,
		"/api/v1/deployments", []param{service, start, end, last, limit}, nil},
	{"promql", "PromQL at one time", "Evaluates a PromQL expression. The metrics of spans are traces_span_metrics_calls_total, traces_span_metrics_duration_milliseconds and traces_service_graph_request_total.",
		http.MethodGet, "/prometheus/api/v1/query", []param{{"query", "string", "The expression.", true}, {"time", "string", "Default: now.", false}}, nil},
	{"promql_range", "PromQL over a range", "Evaluates a PromQL expression at each step of a range.", http.MethodGet, "/prometheus/api/v1/query_range",
		[]param{{"query", "string", "The expression.", true}, {"start", "string", "Start of the range.", true}, {"end", "string", "End of the range.", true},
			{"step", "string", "Distance of points, as 1m.", true}}, nil},
	{"backtest", "Backtest alert rules", "When an alert rule would have fired in the past, and how often it would have notified.", http.MethodPost,
		"/api/v1/alerts/backtest", []param{{"yaml", "string", "A Prometheus rule file.", true}, start, end}, nil},
	{"acknowledge", "Acknowledge an incident", "Shows all users who takes care of an incident. Needs the role editor.", http.MethodPut,
		"/api/v1/incidents/{id}/acknowledgement", []param{id}, nil},
	{"comment", "Comment on an incident", "Adds a comment to an incident. Needs the role editor.", http.MethodPost, "/api/v1/incidents/{id}/comments",
		[]param{id, {"text", "string", "The comment.", true}}, nil},
}

// schema is the JSON schema of the parameters.
func (t *tool) schema() map[string]any {
	properties, required := map[string]any{}, []string{}
	for _, p := range t.params {
		s := map[string]any{"type": p.kind, "description": p.description}
		if p.kind == "list" {
			s["type"], s["items"] = "array", map[string]any{"type": "string"}
		}
		properties[p.name] = s
		if p.required {
			required = append(required, p.name)
		}
	}
	return map[string]any{"type": "object", "properties": properties, "required": required, "additionalProperties": false}
}

// reads reports whether the tool changes nothing.
func (t *tool) reads() bool { return t.method == http.MethodGet || t.name == "backtest" }

func (t *tool) add(server *mcp.Server, c *Config) {
	describe := &mcp.Tool{Name: t.name, Title: t.title, Description: t.description, InputSchema: t.schema(),
		Annotations: &mcp.ToolAnnotations{ReadOnlyHint: t.reads(), DestructiveHint: new(false), OpenWorldHint: new(false)}}
	mcp.AddTool(server, describe, func(ctx context.Context, r *mcp.CallToolRequest, in args) (*mcp.CallToolResult, any, error) {
		var header http.Header
		if r.Extra != nil {
			header = r.Extra.Header
		}
		w, err := c.call(ctx, header, t.method, t.path, in)
		if err != nil {
			return nil, nil, err
		}
		return t.result(w), nil, nil
	})
}

// result is an answer of the API as that of a tool.
func (t *tool) result(w *capture) *mcp.CallToolResult {
	var v any
	d := json.NewDecoder(&w.body)
	d.UseNumber()
	text := "Done."
	if err := d.Decode(&v); err == nil {
		if t.shape != nil && w.status < 300 {
			v = t.shape(v)
		}
		text = shorten(v, maxAnswer)
	} else if w.status >= 300 {
		text = fmt.Sprintf("the server answers %d %s", w.status, http.StatusText(w.status))
	}
	return &mcp.CallToolResult{Content: []mcp.Content{&mcp.TextContent{Text: text}}, IsError: w.status >= 300}
}
