package api

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSavedViews(t *testing.T) {
	b := newBench(t)
	v := b.ask("POST", "/api/v1/saved-views", `{"name":" Failed payments ","page":"traces","query":"?service=payment&status=error"}`, 201)
	id := v["id"].(string)
	require.Equal(t, "Failed payments", v["name"])
	require.Equal(t, "service=payment&status=error", v["query"])
	require.NotEmpty(t, v["saved_at"])

	// A name is free on another page, and taken on its own.
	b.ask("POST", "/api/v1/saved-views", `{"name":"Failed payments","page":"logs","query":"service=payment"}`, 201)
	require.Contains(t, b.ask("POST", "/api/v1/saved-views", `{"name":"Failed payments","page":"traces","query":""}`, 409)["advice"], "another name")
	v = b.ask("PUT", "/api/v1/saved-views/"+id, `{"name":"Broken payments","page":"traces","query":"a=b"}`, 200)
	require.Equal(t, "a=b", v["query"])

	list := b.ask("GET", "/api/v1/saved-views", "", 200)["views"].([]any)
	require.Len(t, list, 2)
	require.Equal(t, "Broken payments", list[0].(map[string]any)["name"])
	b.ask("DELETE", "/api/v1/saved-views/"+id, "", 204)
	b.ask("DELETE", "/api/v1/saved-views/"+id, "", 404)
	b.ask("PUT", "/api/v1/saved-views/"+id, `{"name":"x","page":"traces","query":""}`, 404)

	// A view leads to pages of this installation only.
	b.ask("POST", "/api/v1/saved-views", `{"name":"x","page":"//evil.example","query":""}`, 400)
	require.Contains(t, b.ask("POST", "/api/v1/saved-views", `{"name":"  ","page":"logs","query":""}`, 400)["detail"], "blank")
	for i := range 499 {
		b.ask("POST", "/api/v1/saved-views", fmt.Sprintf(`{"name":"n%d","page":"metrics","query":""}`, i), 201)
	}
	require.Contains(t, b.ask("POST", "/api/v1/saved-views", `{"name":"one more","page":"metrics","query":""}`, 409)["detail"], "limit")
}

func TestSavedViewsWithoutATopic(t *testing.T) {
	b := newBench(t, func(c *Config) { c.SavedViews = nil })
	require.Empty(t, b.ask("GET", "/api/v1/saved-views", "", 200)["views"])
	b.ask("POST", "/api/v1/saved-views", `{"name":"x","page":"traces","query":""}`, 503)
}

func TestFacetsCountFailures(t *testing.T) {
	b := newBench(t)
	b.record("10s 40ms web server GET/cart id=t1/a", "10.005s 30ms cart server get id=t1/b<a error", "12s 40ms web server GET/cart id=t2/a")
	b.commit()
	var services string
	for _, f := range b.ask("GET", "/api/v1/spans/analysis?part=facets&start=0&end=60", "", 200)["facets"].([]any) {
		if f := f.(map[string]any); f["key"] == "service.name" {
			one, err := json.Marshal(f["values"])
			require.NoError(t, err)
			services = string(one)
		}
	}
	require.JSONEq(t, `[{"value":"web","condition":"resource.service.name=web","spans":2,"failed":0},
		{"value":"cart","condition":"resource.service.name=cart","spans":1,"failed":1}]`, services)
	n := b.ask("GET", "/api/v1/spans/analysis?part=facets&start=0&end=60&attributes=span.name!%3Dget", "", 200)["spans"]
	require.EqualValues(t, 2, n)
}
