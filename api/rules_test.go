package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// ask sends JSON and reads JSON; the document must allow the answer.
func (b *bench) ask(method, target, body string, status int) map[string]any {
	b.t.Helper()
	w := b.do(method, target, body, "Content-Type: application/json")
	require.Equal(b.t, status, w.Code, "%s %s: %s", method, target, w.Body)
	if !strings.HasPrefix(target, "/prometheus") {
		b.conforms(method, target, w)
	}
	out := map[string]any{}
	if w.Body.Len() > 0 {
		require.NoError(b.t, json.Unmarshal(w.Body.Bytes(), &out), "%s", w.Body)
	}
	return out
}

const fileRules = "groups:\n- name: shop\n  rules:\n  - {alert: OfFile, expr: 'calls_total > 0', for: 1m, labels: {severity: page}}\n"

func TestRulesAreMadeChangedAndDeleted(t *testing.T) {
	b := newBench(t)
	b.rules(fileRules)
	made := b.ask("POST", "/api/v1/alerts", `{"name":"Many","expr":"sum(calls_total) > 5","for":"5m","labels":{"severity":"page"}}`, 201)
	id := made["id"].(string)
	require.Equal(t, "5m0s", made["for"])
	require.Equal(t, "page", made["source"])
	require.Equal(t, true, made["editable"])
	changed := b.ask("PUT", "/api/v1/alerts/"+id, `{"name":"Few","expr":"sum(calls_total) < 5","enabled":false,"group":"other"}`, 200)
	require.Equal(t, id, changed["id"], "a rule keeps its id")
	require.Equal(t, false, changed["enabled"])
	require.Equal(t, "other", changed["group"])
	require.Equal(t, "Few", b.ask("GET", "/api/v1/alerts/"+id, "", 200)["name"])
	require.Len(t, b.ask("GET", "/api/v1/alerts", "", 200)["rules"], 2)

	// A rule of a file can be switched off and on, and nothing else.
	ofFile := b.ask("GET", "/api/v1/alerts", "", 200)["rules"].([]any)[0].(map[string]any)
	if ofFile["name"] != "OfFile" {
		ofFile = b.ask("GET", "/api/v1/alerts", "", 200)["rules"].([]any)[1].(map[string]any)
	}
	fileID := ofFile["id"].(string)
	off := b.ask("PUT", "/api/v1/alerts/"+fileID,
		`{"name":"OfFile","expr":"calls_total > 0","for":"1m","labels":{"severity":"page"},"enabled":false}`, 200)
	require.Equal(t, false, off["enabled"])
	require.Equal(t, "rule_of_file", b.ask("PUT", "/api/v1/alerts/"+fileID, `{"name":"OfFile","expr":"calls_total > 1"}`, 409)["code"])
	require.Equal(t, "rule_of_file", b.ask("DELETE", "/api/v1/alerts/"+fileID, "", 409)["code"])
	b.ask("PUT", "/api/v1/alerts/"+fileID, `{"name":"OfFile","expr":"calls_total > 0","for":"1m","labels":{"severity":"page"}}`, 200)

	b.ask("DELETE", "/api/v1/alerts/"+id, "", 204)
	b.ask("GET", "/api/v1/alerts/"+id, "", 404)
	audit := b.ask("GET", "/api/v1/audit?limit=2", "", 200)
	require.Equal(t, "delete", audit["audit"].([]any)[0].(map[string]any)["action"])
	next := b.ask("GET", "/api/v1/audit?kind=rule_switch&limit=1&next="+audit["next"].(string), "", 200)
	require.Equal(t, "disable", next["audit"].([]any)[0].(map[string]any)["action"])

	for body, want := range map[string]string{
		`{"name":"A","expr":"sum("}`:                                 "parse error",
		`{"name":"A","expr":"up","for":"soon"}`:                      "is no duration",
		`{"name":"A b","type":"recording","expr":"up","for":"1m"}`:   "invalid field 'for'",
		`{"name":"A","expr":"up","labels":{"9{":"x"},"color":"red"}`: "color",
		`{"name":"A","expr":"up","annotations":{"x":"{{ nope }}"}}`:  "nope",
	} {
		p := b.ask("POST", "/api/v1/alerts", body, 400)
		require.Contains(t, p["detail"], want)
		require.NotEmpty(t, p["advice"])
	}
	b.made.fail = errors.New("no brokers")
	require.Equal(t, "unavailable", b.ask("POST", "/api/v1/alerts", `{"name":"A","expr":"up > 0"}`, 503)["code"])
}

func TestRulerAPI(t *testing.T) {
	b := newBench(t)
	yaml := func(method, target, body string, status int) string {
		w := b.do(method, target, body, "Content-Type: application/yaml")
		require.Equal(t, status, w.Code, "%s %s: %s", method, target, w.Body)
		return w.Body.String()
	}
	const rules = "/prometheus/config/v1/rules"
	require.Contains(t, yaml("GET", rules+"/test/test", "", 404), "group does not exist")
	require.Equal(t, "{}\n", yaml("GET", rules, "", 200))
	group := "name: a/b\ninterval: 1m\nrules:\n    - alert: Up\n      expr: calls_total > 0\n      for: 5m\n      labels:\n        severity: page\n"
	require.Contains(t, yaml("POST", rules+"/team%20x", group, 202), "success")
	require.Equal(t, group, yaml("GET", rules+"/team%20x/a%2Fb", "", 200))
	require.Contains(t, yaml("GET", rules+"/team%20x", "", 200), "team x:\n    - name: a/b\n")
	id := b.ask("GET", "/api/v1/alerts", "", 200)["rules"].([]any)[0].(map[string]any)["id"]
	yaml("POST", rules+"/team%20x", strings.Replace(group, "5m", "6m", 1), 202)
	r := b.ask("GET", "/api/v1/alerts", "", 200)["rules"].([]any)[0].(map[string]any)
	require.Equal(t, id, r["id"], "the same rule")
	require.Equal(t, "6m0s", r["for"])
	require.Contains(t, yaml("POST", rules+"/ns", "name: x\nrules: [{alert: A, expr: 'sum('}]", 400), "parse error")
	require.Contains(t, yaml("POST", rules+"/slo", group, 400), "belongs to SLOs")
	yaml("DELETE", rules+"/team%20x/a%2Fb", "", 202)
	require.Contains(t, yaml("DELETE", rules+"/team%20x", "", 404), "does not exist")
	require.Contains(t, yaml("GET", rules+"/team%20x", "", 404), "no rule groups found")
}

func TestObjectives(t *testing.T) {
	b := newBench(t)
	for i := range 30 {
		id := string(rune('a'+i%26)) + string(rune('a'+i/26))
		status := ""
		if i%10 == 0 {
			status = " error"
		}
		b.record("1" + string(rune('0'+i/10)) + "." + string(rune('0'+i%10)) + "s 40ms cart server GET id=" + "t" + id + "/a" + status)
	}
	b.commit()
	o := b.ask("POST", "/api/v1/slos", `{"name":"Cart works","objective":90,"window":"30d","service":"cart","labels":{"team":"x"}}`, 201)
	require.Equal(t, "cart-works", o["id"])
	b.evaluate()
	b.now = at(90 * time.Second)
	b.evaluate()
	o = b.ask("GET", "/api/v1/slos/cart-works", "", 200)
	st := o["status"].(map[string]any)
	require.InDelta(t, 0.1, st["error_ratio"], 1e-9)
	covered := st["window_covered"].(float64) // seconds of 30 days
	require.Positive(t, covered)
	require.Less(t, covered, 1e-4)
	require.InDelta(t, 1-covered, st["budget_remaining"], 1e-9, "a tenth is bad of what was seen, which uses little of the whole budget")
	require.InDelta(t, 1, st["burn_rate"], 1e-9)
	require.Contains(t, b.ask("POST", "/api/v1/slos", `{"name":"Cart works","objective":90,"window":"30d","service":"cart"}`,
		400)["detail"], "already")
	require.Contains(t, b.ask("POST", "/api/v1/slos", `{"name":"x","objective":100,"window":"30d","service":"cart"}`, 400)["detail"],
		"no share")
	require.Equal(t, 95.0, b.ask("PUT", "/api/v1/slos/cart-works",
		`{"name":"Cart works","objective":95,"window":"7d","service":"cart","latency_ms":50}`, 200)["objective"])
	require.Len(t, b.ask("GET", "/api/v1/slos", "", 200)["slos"], 1)
	b.ask("DELETE", "/api/v1/slos/cart-works", "", 204)
	b.ask("GET", "/api/v1/slos/cart-works", "", 404)
	b.ask("PUT", "/api/v1/slos/cart-works", `{"name":"Cart works","objective":95,"window":"7d","service":"cart"}`, 404)
	require.Empty(t, b.ask("GET", "/api/v1/alerts", "", 200)["rules"])
}

// TestBudgetOverTheWindow: the budget stays whole while nothing fails, falls while everything does, and ends where the status has it.
func TestBudgetOverTheWindow(t *testing.T) {
	b := newBench(t)
	for i := 5; i < 1200; i += 5 {
		status := ""
		if i >= 600 {
			status = " error"
		}
		b.record(fmt.Sprintf("%ds 40ms cart server GET id=t%d/a%s", i, i, status))
	}
	b.commit()
	b.ask("POST", "/api/v1/slos", `{"name":"Cart works","objective":90,"window":"1h","service":"cart"}`, 201)
	b.now = at(1200 * time.Second)
	b.evaluate()
	got := b.ask("GET", "/api/v1/slos/cart-works/budget", "", 200)
	points := got["points"].([]any)
	require.Greater(t, len(points), 20)
	last := 1.0
	for _, p := range points {
		v := p.(map[string]any)
		left, when := v["budget_remaining"].(float64), v["time"].(string)
		if when < "1970-01-01T00:10" {
			require.InDelta(t, 1, left, 1e-9, when)
		}
		require.LessOrEqual(t, left, last+1e-9, when)
		last = left
	}
	status := b.ask("GET", "/api/v1/slos/cart-works", "", 200)["status"].(map[string]any)
	require.InDelta(t, status["budget_remaining"].(float64), last, 0.1)
	require.Greater(t, status["budget_remaining"], -1.0, "of the whole window, not of the time with data")
	rates := got["burn_rates"].([]any)
	require.Len(t, rates, 2, "no window is longer than that of the objective")
	require.InDelta(t, 10, rates[0].(map[string]any)["rate"], 0.1)
	b.ask("GET", "/api/v1/slos/none/budget", "", 404)
}

func TestRulesWithoutATopic(t *testing.T) {
	b := newBench(t, func(c *Config) { c.Rules, c.SLOs, c.Store = nil, nil, nil })
	w := b.do("POST", "/api/v1/alerts", `{"name":"A","expr":"up > 0"}`, "Content-Type: application/json")
	require.Equal(t, http.StatusServiceUnavailable, w.Code)
	require.Contains(t, w.Body.String(), "kafka_config_topic")
}
