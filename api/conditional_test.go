package api

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/prom"
)

// TestTwoEditors: a change of an object that was changed in the meantime is rejected and has no effect.
func TestTwoEditors(t *testing.T) {
	b := newBench(t)
	b.rules(fileRules)
	rule := b.ask("POST", "/api/v1/alerts", `{"name":"Many","expr":"sum(calls_total) > 5"}`, 201)["id"].(string)
	b.ask("POST", "/api/v1/slos", `{"name":"Cart works","objective":90,"window":"30d","service":"cart"}`, 201)
	view := b.ask("POST", "/api/v1/saved-views", `{"name":"Failed","page":"traces","query":"status=error"}`, 201)["id"].(string)
	var ofFile string
	for _, r := range b.ask("GET", "/api/v1/alerts", "", 200)["rules"].([]any) {
		if r := r.(map[string]any); r["name"] == "OfFile" {
			ofFile = r["id"].(string)
		}
	}
	for _, c := range []struct{ target, anna, ben string }{
		{"/api/v1/alerts/" + rule, `{"name":"Many","expr":"sum(calls_total) > 6"}`, `{"name":"Many","expr":"sum(calls_total) > 7"}`},
		{"/api/v1/alerts/" + ofFile, `{"name":"OfFile","expr":"calls_total > 0","for":"1m","labels":{"severity":"page"},"enabled":false}`,
			`{"name":"OfFile","expr":"calls_total > 0","for":"1m","labels":{"severity":"page"}}`},
		{"/api/v1/slos/cart-works", `{"name":"Cart works","objective":95,"window":"30d","service":"cart"}`,
			`{"name":"Cart works","objective":99,"window":"30d","service":"cart"}`},
		{"/api/v1/saved-views/" + view, `{"name":"Failed","page":"traces","query":"status=ok"}`, `{"name":"Failed","page":"traces","query":"a=b"}`},
	} {
		const typ = "Content-Type: application/json"
		put := func(body, match string) (int, string) {
			w := b.do("PUT", c.target, body, typ, "If-Match: "+match)
			b.conforms("PUT", c.target, w)
			return w.Code, w.Header().Get("ETag")
		}
		read := func() string {
			w := b.get(c.target)
			require.Equal(t, 200, w.Code)
			b.conforms("GET", c.target, w)
			return w.Header().Get("ETag")
		}
		before := read()
		require.Regexp(t, `^"[0-9a-f]{16}"$`, before)
		b.evaluate()
		require.Equal(t, before, read(), "the state of a rule is not what was written")
		status, annas := put(c.anna, before)
		require.Equal(t, 200, status)
		require.NotEqual(t, before, annas)
		require.Equal(t, annas, read())
		w := b.do("PUT", c.target, c.ben, typ, "If-Match: "+before)
		require.Equal(t, http.StatusPreconditionFailed, w.Code)
		require.Contains(t, w.Body.String(), `"code":"changed_meanwhile"`)
		w = b.do("DELETE", c.target, "", "If-Match: "+before)
		if !strings.Contains(c.target, ofFile) { // which cannot be deleted anyhow
			require.Equal(t, http.StatusPreconditionFailed, w.Code)
		}
		require.Equal(t, annas, read(), "nothing has changed")
		status, bens := put(c.ben, `"odd", W/`+annas)
		require.Equal(t, 200, status, "one of several, made weak by a proxy")
		status, _ = put(c.anna, "*")
		require.Equal(t, 200, status)
		require.NotEqual(t, annas, bens)
		status, _ = put(c.ben, annas)
		require.Equal(t, 200, status, "the same was written again")
		require.Equal(t, bens, read())
		w = b.do("PUT", c.target, c.anna, typ)
		require.Equal(t, 200, w.Code, "who says nothing of it is the last")
	}
	require.Equal(t, 404, b.do("PUT", "/api/v1/slos/odd", `{"name":"odd","objective":95,"window":"30d","service":"cart"}`,
		"Content-Type: application/json", "If-Match: *").Code)
	require.Equal(t, 204, b.do("DELETE", "/api/v1/alerts/"+rule, "", "If-Match: "+b.get("/api/v1/alerts/"+rule).Header().Get("ETag")).Code)
	require.Equal(t, 204, b.do("DELETE", "/api/v1/slos/cart-works", "", "If-Match: *").Code)
}

// TestUnchanged: what changes by hand alone is not sent twice.
func TestUnchanged(t *testing.T) {
	b := newBench(t)
	const rules = "/prometheus/config/v1/rules"
	set := func(limit int) {
		w := b.do("POST", rules+"/ns", fmt.Sprintf("name: g\nrules: [{alert: A, expr: 'up > %d'}]", limit),
			"Content-Type: application/yaml")
		require.Equal(t, http.StatusAccepted, w.Code)
	}
	set(1)
	for _, target := range []string{"/api/v1/config", "/api/openapi.yaml", "/", prom.Prefix + "/metadata",
		prom.Prefix + "/status/buildinfo",
		rules, rules + "/ns", rules + "/ns/g"} {
		for _, encoding := range []string{"identity", "gzip", "zstd"} {
			w := b.get(target, "Accept-Encoding: "+encoding)
			require.Equal(t, 200, w.Code, target)
			require.NotEmpty(t, w.Body.Bytes())
			tag := w.Header().Get("ETag")
			require.Regexp(t, `^W/"[0-9a-f]{16}"$`, tag, target)
			require.Contains(t, w.Header().Get("Cache-Control"), "no-cache", target)
			w = b.get(target, "Accept-Encoding: "+encoding, "If-None-Match: "+tag)
			require.Equal(t, http.StatusNotModified, w.Code, "%s %s", target, encoding)
			require.Empty(t, w.Body.Bytes())
			require.Equal(t, tag, w.Header().Get("ETag"))
			require.Equal(t, 200, b.get(target, `If-None-Match: "odd"`).Code)
		}
	}
	tag := b.get(rules + "/ns").Header().Get("ETag")
	set(2)
	w := b.get(rules+"/ns", "If-None-Match: "+tag)
	require.Equal(t, 200, w.Code)
	require.Contains(t, w.Body.String(), "up > 2")
	require.Equal(t, 404, b.get(rules+"/nothing", "If-None-Match: *").Code)
}

// TestNothingElseIsKept walks the document: what has no tag is kept by no cache, nor is an error.
func TestNothingElseIsKept(t *testing.T) {
	b := newBench(t, withAlertmanager)
	b.record("10s 40ms web server GET id=t1/a")
	b.commit()
	for _, op := range fuzzed(b, true) {
		w := b.get(filled(op, "x"))
		if w.Header().Get("ETag") == "" {
			require.Equal(t, "no-store", w.Header().Get("Cache-Control"), "%s: %d", op, w.Code)
		}
		require.Contains(t, strings.Join(w.Header().Values("Vary"), ","), "Accept-Encoding", op)
	}
}

// TestEncodings: what is sent compressed is what is sent plain; an answer that fits into a packet is never compressed.
func TestEncodings(t *testing.T) {
	b := newBench(t)
	for i := range 60 {
		b.record(fmt.Sprintf("10s 40ms service-%d server GET id=t%d/a", i, i))
	}
	b.commit()
	plain := func(w io.Reader, encoding string) []byte {
		switch encoding {
		case "gzip":
			z, err := gzip.NewReader(w)
			require.NoError(t, err)
			w = z
		case "zstd":
			z, err := zstd.NewReader(w)
			require.NoError(t, err)
			defer z.Close()
			w = z.IOReadCloser()
		}
		body, err := io.ReadAll(w)
		require.NoError(t, err)
		return body
	}
	for target, large := range map[string]bool{"/api/v1/services": true, "/jaeger/api/services": false, "/jaeger/api/v3/services": false,
		prom.Prefix + "/label/__name__/values?start=0&end=60": true, "/api/v1/config": false,
		"/api/openapi.yaml": true, "/jaeger/api/traces?limit=60": true} {
		want := b.get(target).Body.Bytes()
		for _, encoding := range []string{"gzip", "zstd"} {
			w := b.get(target, "Accept-Encoding: "+encoding)
			if large {
				require.Equal(t, encoding, w.Header().Get("Content-Encoding"), target)
				require.Less(t, w.Body.Len(), len(want), target)
			} else if !strings.HasPrefix(target, prom.Prefix) {
				require.Empty(t, w.Header().Get("Content-Encoding"), target)
			}
			require.Equal(t, string(want), string(plain(bytes.NewReader(w.Body.Bytes()), w.Header().Get("Content-Encoding"))), "%s %s",
				target, encoding)
		}
		require.Empty(t, b.get(target, "Accept-Encoding: gzip;q=0, zstd;q=0").Header().Get("Content-Encoding"), target)
	}
}

// An answer with a tag is whole whatever range a request asks for: a part of JSON is none, and 416 is no error of these APIs.
func TestAnswersAreWhole(t *testing.T) {
	b := newBench(t)
	for _, target := range []string{"/prometheus/api/v1/metadata", "/prometheus/api/v1/status/buildinfo", "/api/v1/config"} {
		want := b.get(target)
		require.Equal(t, 200, want.Code)
		for _, r := range []string{"bytes=2-3", "bytes=x", "^ull"} {
			w := b.get(target, "Range: "+r)
			require.Equal(t, 200, w.Code, "%s %s", target, r)
			require.Equal(t, want.Body.String(), w.Body.String())
		}
	}
}
