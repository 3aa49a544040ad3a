package mcp

import (
	"encoding/json"
	"strconv"
)

// traceShape is a trace in Jaeger's JSON as a list of spans, in order of their starts: what an assistant needs of it takes a tenth.
func traceShape(v any) any {
	top, _ := v.(map[string]any)
	trace, _ := top["trace"].(map[string]any)
	list, ok := trace["spans"].([]any)
	if !ok {
		return v
	}
	processes, _ := trace["processes"].(map[string]any)
	begin := int64(-1)
	for _, s := range list {
		if at := integer(field(s, "startTime")); begin < 0 || at < begin {
			begin = at
		}
	}
	spans := make([]any, 0, len(list))
	for _, s := range list {
		out := map[string]any{"id": field(s, "spanID"), "operation": field(s, "operationName"),
			"at_ms": millis(integer(field(s, "startTime")) - begin), "ms": millis(integer(field(s, "duration")))}
		if id, ok := field(s, "processID").(string); ok {
			out["service"] = field(processes[id], "serviceName")
		}
		if refs, ok := field(s, "references").([]any); ok && len(refs) > 0 {
			out["parent"] = field(refs[0], "spanID")
		}
		tags, _ := field(s, "tags").([]any)
		if attributes := tagsOf(tags); attributes["error"] == true {
			out["failed"], out["attributes"] = true, attributes
		}
		spans = append(spans, out)
	}
	return map[string]any{"trace_id": trace["traceID"], "start_unix_us": json.Number(strconv.FormatInt(begin, 10)), "spans": spans, "meta": top["meta"]}
}

func field(v any, name string) any {
	m, _ := v.(map[string]any)
	return m[name]
}

func integer(v any) int64 {
	n, _ := v.(json.Number)
	i, _ := n.Int64()
	return i
}

// millis is a number of microseconds in milliseconds.
func millis(us int64) json.Number {
	return json.Number(strconv.FormatFloat(float64(us)/1e3, 'f', -1, 64))
}

func tagsOf(list []any) map[string]any {
	out := map[string]any{}
	for _, t := range list {
		if k, ok := field(t, "key").(string); ok {
			out[k] = field(t, "value")
		}
	}
	return out
}
