package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/modelcontextprotocol/go-sdk/mcp"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/auth"
)

// assistant is a client of /mcp that sends a bearer token, if it has one.
func (b *bench) assistant(token string) *mcp.ClientSession {
	b.t.Helper()
	srv := httptest.NewServer(b.s.Handler())
	b.t.Cleanup(srv.Close)
	client := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil)
	session, err := client.Connect(b.t.Context(), &mcp.StreamableClientTransport{Endpoint: srv.URL + "/mcp", DisableStandaloneSSE: true,
		HTTPClient: &http.Client{Transport: bearer(token)}}, nil)
	require.NoError(b.t, err)
	b.t.Cleanup(func() { _ = session.Close() })
	return session
}

type bearer string

func (t bearer) RoundTrip(r *http.Request) (*http.Response, error) {
	if t != "" {
		r = r.Clone(r.Context())
		r.Header.Set("Authorization", "Bearer "+string(t))
	}
	return http.DefaultTransport.RoundTrip(r)
}

// asks calls a tool.
func asks(t *testing.T, s *mcp.ClientSession, tool string, args map[string]any) (text string, failed bool) {
	t.Helper()
	out, err := s.CallTool(t.Context(), &mcp.CallToolParams{Name: tool, Arguments: args})
	require.NoError(t, err, tool)
	require.Len(t, out.Content, 1)
	return out.Content[0].(*mcp.TextContent).Text, out.IsError
}

// TestAssistants: each tool answers what the API answers, shortened to what an assistant can read.
func TestAssistants(t *testing.T) {
	b := newBench(t)
	var lines []string
	for i := range 400 { // more than an answer holds
		lines = append(lines, fmt.Sprintf("%ds 40ms web server GET/cart id=t%d/a", 10+i/10, i), fmt.Sprintf("%ds 30ms web client get id=t%d/b<a server.address=cart", 10+i/10, i),
			fmt.Sprintf("%ds 20ms cart server get id=t%d/c<b error exception=Boom:broken", 10+i/10, i))
	}
	b.record(lines...)
	b.commit()
	s := b.assistant("")
	list, err := s.ListTools(t.Context(), nil)
	require.NoError(t, err)
	calls := map[string]map[string]any{
		"incidents": {}, "alerts": {}, "explain": {"service": "web", "start": "30", "end": "50"}, "services": {}, "service": {"name": "cart", "last": "50s"},
		"service_map": {"start": "30", "end": "50", "compare_start": "10", "compare_end": "30"}, "traces": {"service": "cart", "attributes": []any{"service.name=cart"}, "status": "error", "limit": 300, "start": "0"},
		"trace": {"id": "74310000000000000000000000000000"}, "differences": {"select": "failed", "start": "0"}, "logs": {"start": "0"}, "log_patterns": {"start": "0"},
		"errors": {"start": "0"}, "deployments": {"start": "0"}, "promql": {"query": "sum by (service_name) (traces_span_metrics_calls_total)", "time": "55"},
		"promql_range": {"query": "traces_span_metrics_calls_total", "start": "0", "end": "50", "step": "1s"},
		"backtest":     {"yaml": "groups: [{name: g, rules: [{alert: A, expr: 'traces_span_metrics_calls_total > 1'}]}]", "start": "0", "end": "60"},
	}
	refused := map[string]map[string]any{"incident": {"id": "none"}, "acknowledge": {"id": "none"}, "comment": {"id": "none", "text": "x"}}
	for _, tool := range list.Tools {
		args, ok := calls[tool.Name]
		if !ok {
			args, ok = refused[tool.Name]
			require.True(t, ok, "%s is new: call it here", tool.Name)
		}
		text, failed := asks(t, s, tool.Name, args)
		require.Equal(t, calls[tool.Name] == nil, failed, "%s: %s", tool.Name, text)
		require.LessOrEqual(t, len(text), 12_000, tool.Name)
		var v map[string]any
		require.NoError(t, json.Unmarshal([]byte(text), &v), "%s: %s", tool.Name, text)
		if calls[tool.Name] == nil {
			require.NotEmpty(t, v["advice"], "%s: %s", tool.Name, text)
		}
	}
	text, _ := asks(t, s, "traces", calls["traces"])
	require.Contains(t, text, `"shortened":{"traces":"`)
	require.Contains(t, text, `of 300"`)
	text, _ = asks(t, s, "trace", calls["trace"])
	require.Contains(t, text, `"service":"cart"`)
	require.Contains(t, text, `"failed":true`)
	text, _ = asks(t, s, "promql", calls["promql"])
	require.Contains(t, text, `"800"`) // of web
	text, _ = asks(t, s, "incidents", nil)
	require.Contains(t, text, `"incidents":[]`)
	require.True(t, slices.ContainsFunc(list.Tools, func(x *mcp.Tool) bool { return x.Name == "comment" && !x.Annotations.ReadOnlyHint }))

	text, failed := asks(t, s, "promql", map[string]any{"query": "sum("})
	require.True(t, failed)
	require.Contains(t, text, "parse error")
	_, err = s.CallTool(t.Context(), &mcp.CallToolParams{Name: "logs", Arguments: map[string]any{"nonsense": 1}})
	if err == nil {
		text, failed = asks(t, s, "logs", map[string]any{"nonsense": 1})
		require.True(t, failed, text)
	}
	w := b.get("/mcp")
	require.Equal(t, 405, w.Code)
}

// TestAssistantsHaveTheRoleOfTheirToken: without a token nothing is answered, with a viewer's nothing is changed.
func TestAssistantsHaveTheRoleOfTheirToken(t *testing.T) {
	b := newAuthBench(t)
	tokens := map[string]string{"viewer": b.token(auth.Viewer), "editor": b.token(auth.Editor)}
	w := b.do("POST", "/mcp", `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`, "Content-Type: application/json", "Accept: application/json, text/event-stream")
	require.Equal(t, 401, w.Code, "%s", w.Body)
	viewer := b.assistant(tokens["viewer"])
	text, failed := asks(t, viewer, "services", nil)
	require.False(t, failed, text)
	text, failed = asks(t, viewer, "comment", map[string]any{"id": "none", "text": "x"})
	require.True(t, failed)
	require.Contains(t, text, `"status":403`)
	text, failed = asks(t, b.assistant(tokens["editor"]), "comment", map[string]any{"id": "none", "text": "x"})
	require.True(t, failed)
	require.Contains(t, text, `"status":404`)
	require.False(t, strings.Contains(text, tokens["editor"]))
}
