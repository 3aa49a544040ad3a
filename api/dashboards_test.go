package api

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/evaluator/books"
)

const oneDashboard = `{"title":"Shop","variables":[{"name":"service","type":"label","label":"service_name","multi":true}],
	"panels":[{"type":"timeseries","title":"Rate","width":6,"height":4,"queries":[{"expr":"rate(x{service_name=~\"$service\"}[$__rate_interval])","legend":"{{service_name}}"}]}]}`

func TestDashboards(t *testing.T) {
	b := newBench(t)
	var made rest.Dashboard
	into(t, b.ask("POST", "/api/v1/dashboards", oneDashboard, 201), &made)
	require.Equal(t, "Shop", made.Title)
	require.Len(t, made.Panels, 1)
	require.Equal(t, "{{service_name}}", *(*made.Panels[0].Queries)[0].Legend)
	require.NotNil(t, made.UpdatedAt)

	path := "/api/v1/dashboards/" + made.Id
	w := b.get(path)
	require.Equal(t, 200, w.Code)
	tag := w.Header().Get("ETag")
	require.NotEmpty(t, tag)
	change := `{"title":"Shop 2"}`
	require.Equal(t, 412, b.do("PUT", path, change, "Content-Type: application/json", `If-Match: "x"`).Code)
	require.Equal(t, 200, b.do("PUT", path, change, "Content-Type: application/json", "If-Match: "+tag).Code)

	var list rest.DashboardList
	require.NoError(t, json.Unmarshal(b.get("/api/v1/dashboards").Body.Bytes(), &list))
	require.Len(t, list.Dashboards, 2)
	require.Equal(t, "Shop 2", list.Dashboards[0].Title)
	require.Equal(t, []bool{false, true}, []bool{list.Dashboards[0].Example, list.Dashboards[1].Example})
	require.Equal(t, books.MaxPanels, list.Limits.Panels)

	require.Equal(t, 204, b.do("DELETE", path, "").Code)
	require.Equal(t, 404, b.get(path).Code)
	require.Equal(t, 404, b.do("DELETE", path, "").Code)
}

func TestDashboardsAreRefusedWithTheirReason(t *testing.T) {
	b := newBench(t)
	bad := strings.Replace(oneDashboard, "rate(x", "rate((x", 1)
	require.Contains(t, b.ask("POST", "/api/v1/dashboards", bad, 400)["detail"], `panel 1 "Rate": query 1: `)
	require.Contains(t, b.ask("POST", "/api/v1/dashboards", `{"title":" "}`, 400)["detail"], "title: it is empty")
	example := "/api/v1/dashboards/" + books.ExampleID
	require.Equal(t, 200, b.get(example).Code)
	require.Contains(t, b.ask("PUT", example, `{"title":"x"}`, 409)["advice"], "Save a copy")
	require.Equal(t, 409, b.do("DELETE", example, "").Code)
	none := newBench(t, func(c *Config) { c.Dashboards = nil })
	require.Equal(t, 503, none.get("/api/v1/dashboards").Code)
}

func TestGrafanaIsConverted(t *testing.T) {
	b := newBench(t)
	var out rest.ConvertedDashboard
	into(t, b.ask("POST", "/api/v1/dashboards/convert",
		`{"title":"G","panels":[{"type":"gauge","title":"Up","gridPos":{"w":6,"h":4},"targets":[{"refId":"A","expr":"up"}]}]}`, 200), &out)
	require.Equal(t, "G", out.Dashboard.Title)
	require.Len(t, *out.Dashboard.Panels, 1)
	require.Equal(t, `type "gauge" is shown as stat`, out.Notes[0].Text)
	again, err := json.Marshal(out.Dashboard)
	require.NoError(t, err)
	b.ask("POST", "/api/v1/dashboards", string(again), 201)
	require.Contains(t, b.ask("POST", "/api/v1/dashboards/convert", `{"a":1}`, 400)["detail"], "has no panels")
}

// into gives the fields of a decoded answer to its type.
func into(t *testing.T, from map[string]any, to any) {
	t.Helper()
	b, err := json.Marshal(from)
	require.NoError(t, err)
	require.NoError(t, json.Unmarshal(b, to))
}
