// Package grafana holds what Grafana is provisioned with, and the test that it fits what WatchingCat serves.
package grafana

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/evaluator/query"
)

type dashboard struct {
	UID    string `json:"uid"`
	Panels []struct {
		ID         int       `json:"id"`
		Datasource reference `json:"datasource"`
		Targets    []struct {
			Datasource reference `json:"datasource"`
			Expr       string    `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
	Templating struct {
		List []struct {
			Datasource reference `json:"datasource"`
			Query      struct {
				Query string `json:"query"`
			} `json:"query"`
		} `json:"list"`
	} `json:"templating"`
}

type reference struct {
	UID string `json:"uid"`
}

type source struct {
	UID, Type, URL string
	JSON           map[string]any `yaml:"jsonData"`
}

func sources(t *testing.T) map[string]source {
	t.Helper()
	b, err := os.ReadFile("provisioning/datasources/watchingcat.yaml")
	require.NoError(t, err)
	var file struct{ Datasources []source }
	require.NoError(t, yaml.Unmarshal(b, &file))
	out := map[string]source{}
	for _, s := range file.Datasources {
		require.NotContains(t, out, s.UID)
		out[s.UID] = s
	}
	return out
}

// TestDashboards: every query parses, names metrics that the views have, with labels that they have, and asks a provisioned data source.
func TestDashboards(t *testing.T) {
	known := sources(t)
	files, err := filepath.Glob("provisioning/dashboards/*.json")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		b, err := os.ReadFile(file)
		require.NoError(t, err)
		var d dashboard
		require.NoError(t, json.Unmarshal(b, &d), file)
		require.NotEmpty(t, d.UID, file)
		for _, v := range d.Templating.List {
			require.Contains(t, known, v.Datasource.UID)
			query := regexp.MustCompile(`^label_values\((.+), (\w+)\)$`).FindStringSubmatch(v.Query.Query)
			require.NotNil(t, query, v.Query.Query)
			checkExpr(t, query[1])
		}
		ids := map[int]bool{}
		for _, p := range d.Panels {
			require.False(t, ids[p.ID], "panel %d of %s", p.ID, file)
			ids[p.ID] = true
			require.Contains(t, known, p.Datasource.UID)
			for _, target := range p.Targets {
				require.Contains(t, known, target.Datasource.UID)
				checkExpr(t, target.Expr)
				checkOwn(t, target.Expr)
			}
		}
	}
}

var variables = strings.NewReplacer("$__rate_interval", "5m", "$__range", "1h", "$__interval", "1m", "$service", "cart", "$__tags",
	`service_name="cart"`)

func checkExpr(t *testing.T, text string) {
	t.Helper()
	expr, err := query.NewParser().ParseExpr(variables.Replace(text))
	require.NoError(t, err, text)
	found := false
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		if sel, ok := n.(*parser.VectorSelector); ok {
			found = true
			require.True(t, exists(sel), "%s: no such metric: %s", text, sel)
		}
		return nil
	})
	require.True(t, found, text)
}

// checkOwn: an application may export metrics of the same names, which have a job. They count where the views have nothing only: the time
// before the views, which a Prometheus behind them has.
func checkOwn(t *testing.T, text string) {
	t.Helper()
	expr, err := query.NewParser().ParseExpr(variables.Replace(text))
	require.NoError(t, err, text)
	parser.Inspect(expr, func(n parser.Node, path []parser.Node) error {
		sel, ok := n.(*parser.VectorSelector)
		if !ok || slices.ContainsFunc(sel.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == "job" && m.Value == "" }) {
			return nil
		}
		fallback := false
		for i, up := range path {
			if b, ok := up.(*parser.BinaryExpr); ok && b.Op == parser.LOR {
				var next parser.Node = sel
				if i+1 < len(path) {
					next = path[i+1]
				}
				fallback = fallback || next == parser.Node(b.RHS)
			}
		}
		require.True(t, fallback, "%s: %s counts an application's metrics too", text, sel)
		return nil
	})
}

// exists reports whether the views have a metric of the selector's name.
func exists(sel *parser.VectorSelector) bool {
	i := slices.IndexFunc(sel.LabelMatchers, func(m *labels.Matcher) bool { return m.Name == labels.MetricName })
	if i < 0 {
		return false
	}
	name := sel.LabelMatchers[i].Value
	return slices.ContainsFunc(query.MetricMetadata(), func(m query.Metadata) bool {
		if m.Type != model.MetricTypeHistogram {
			return m.Name == name
		}
		return slices.Contains([]string{m.Name, m.Name + "_bucket", m.Name + "_sum", m.Name + "_count"}, name)
	})
}

// TestDataSources: what data sources refer to is there, and their queries fit too.
func TestDataSources(t *testing.T) {
	known := sources(t)
	paths := map[string]string{"prometheus": "/prometheus", "jaeger": "/jaeger", "tempo": "/tempo", "alertmanager": "/alertmanager"}
	for uid, s := range known {
		require.Equal(t, "${WATCHINGCAT_URL}"+paths[s.Type], s.URL, uid)
		b, err := json.Marshal(s.JSON)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`"datasourceUid":"([^"]*)"`).FindAllStringSubmatch(string(b), -1) {
			require.Contains(t, known, m[1], "%s refers to it", uid)
		}
		if metrics, ok := s.JSON["tracesToMetrics"].(map[string]any); ok {
			for _, q := range metrics["queries"].([]any) {
				checkExpr(t, strings.ReplaceAll(q.(map[string]any)["query"].(string), "$$", "$"))
			}
		}
	}
}
