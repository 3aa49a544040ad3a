package api

import (
	"html"
	"io/fs"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/deploy/docs"
)

var (
	docHref    = regexp.MustCompile(`(?:href|src)="([^"]*)"`)
	docMention = regexp.MustCompile("(?:^|[^a-z0-9])(/api/v1/[A-Za-z0-9_/{}.-]+)")
	readmeLink = regexp.MustCompile(`\]\(([^)]*)\)`)
)

// TestDocuments: every document is served to everybody and found from the index; every link in it leads somewhere, as does every path of
// the API that it names.
func TestDocuments(t *testing.T) {
	b := newBench(t)
	follow := func(from, to string) (body string) {
		t.Helper()
		target, fragment, _ := strings.Cut(to, "#")
		if target == "" {
			target = from
		}
		if file, ok := strings.CutPrefix(target, docs.Repository); ok {
			_, err := os.Stat(path.Join("..", file))
			require.NoError(t, err, "%s links to %s", from, to)
			return ""
		}
		w := b.get(target)
		require.Equal(t, http.StatusOK, w.Code, "%s links to %s", from, to)
		if fragment != "" {
			require.Contains(t, w.Body.String(), ` id="`+fragment+`"`, "%s links to %s", from, to)
		}
		return w.Body.String()
	}
	seen := map[string]bool{}
	var visit func(p string)
	visit = func(p string) {
		if seen[p] {
			return
		}
		seen[p] = true
		w := b.get(p, "Accept: text/html")
		require.Equal(t, http.StatusOK, w.Code, p)
		require.Equal(t, contentSecurity, w.Header().Get("Content-Security-Policy"), p)
		require.Equal(t, http.StatusNotModified, b.get(p, "If-None-Match: "+w.Header().Get("ETag")).Code, p)
		if !strings.HasPrefix(w.Header().Get("Content-Type"), "text/html") {
			return
		}
		require.NotContains(t, w.Body.String(), "style=", "%s: inline styles are not applied", p)
		for _, m := range docHref.FindAllStringSubmatch(w.Body.String(), -1) {
			to := html.UnescapeString(m[1])
			follow(p, to)
			if target, _, _ := strings.Cut(to, "#"); isDoc(target) {
				visit(target)
			}
		}
		for _, m := range docMention.FindAllStringSubmatch(html.UnescapeString(w.Body.String()), -1) {
			require.True(t, b.hasPath(strings.TrimRight(m[1], ".")), "%s names %s, which is no path of the API", p, m[1])
		}
	}
	visit(docsPath)
	require.NoError(t, fs.WalkDir(docs.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && strings.HasSuffix(name, ".md") && name != "index.md" {
			require.True(t, seen[docsPath+"/"+strings.TrimSuffix(name, ".md")], "%s is not linked from the index", name)
			require.Equal(t, http.StatusOK, b.get(docsPath+"/"+name).Code)
		}
		return err
	}))
	require.Equal(t, http.StatusOK, b.get(docsPath+"/").Code)
	require.Equal(t, http.StatusNotFound, b.get(docsPath+"/gone", "Accept: text/html").Code)
	require.Equal(t, http.StatusNotFound, b.get(docsPath+"/../routes.go", "Accept: text/html").Code)

	for _, name := range []string{"README.md", "ARCHITECTURE.md"} {
		for _, m := range readmeLink.FindAllStringSubmatch(readFile(t, "../"+name), -1) {
			if target, _, _ := strings.Cut(m[1], "#"); target != "" && !strings.Contains(target, "://") {
				_, err := os.Stat("../" + target)
				require.NoError(t, err, "%s links to %s", name, m[1])
				if file, ok := strings.CutPrefix(m[1], "deploy/docs/"); ok {
					follow(name, docLink(file))
				}
			}
		}
	}
}

// hasPath reports whether openapi.yaml has a path; words in capitals stand for parameters.
func (b *bench) hasPath(p string) bool {
	want := strings.Split(p, "/")
	for have := range b.s.doc.Paths.Map() {
		parts := strings.Split(have, "/")
		same := len(parts) == len(want)
		for i := 0; same && i < len(parts); i++ {
			same = parts[i] == want[i] || strings.HasPrefix(parts[i], "{") && strings.ToUpper(want[i]) == want[i]
		}
		if same {
			return true
		}
	}
	return false
}

// TestDocumentsArePublic: like the page they need no credential.
func TestDocumentsArePublic(t *testing.T) {
	b := newAuthBench(t)
	require.Equal(t, http.StatusOK, b.get(docsPath+"/security").Code)
	require.Equal(t, http.StatusUnauthorized, b.get("/api/v1/services").Code)
}
