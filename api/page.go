package api

import (
	"bytes"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/ui"
)

// apiPrefixes are the paths under which the page is never served: clients probe there for what may be absent and need a 404.
var apiPrefixes = []string{"/api", "/prometheus", "/alertmanager", "/jaeger", "/tempo", "/loki", "/ws", "/metrics", "/health", "/livez",
	"/readyz", "/-", "/debug"}

func isAPI(p string) bool {
	for _, prefix := range apiPrefixes {
		if p == prefix || strings.HasPrefix(p, prefix+"/") {
			return true
		}
	}
	return false
}

// pageFiles serves the built page.
type pageFiles struct {
	fsys  fs.FS
	index []byte
	etag  string
}

func newPageFiles() (*pageFiles, error) {
	p := &pageFiles{fsys: ui.FS()}
	var err error
	if p.index, err = fs.ReadFile(p.fsys, "index.html"); err != nil {
		return nil, fmt.Errorf("api: the built page: %w", err)
	}
	p.etag = answer.WeakTag(p.index)
	return p, nil
}

// servePage answers what no route took: a document, a file of the page, the page itself where a browser navigates, else a problem.
func (s *Server) servePage(p *pageFiles) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		reads := r.Method == http.MethodGet || r.Method == http.MethodHead
		switch {
		case isAPI(r.URL.Path) || !reads:
		case isDoc(r.URL.Path):
			if s.serveDoc(w, r) {
				return
			}
		case r.URL.Path == "/" || r.URL.Path == "/index.html":
			p.serveIndex(w, r)
			return
		case p.serveFile(w, r):
			return
		case !strings.HasPrefix(r.URL.Path, "/assets/") && strings.Contains(r.Header.Get("Accept"), "text/html"):
			p.serveIndex(w, r)
			return
		}
		s.Fail(w, r, answer.Problemf(answer.ErrNotFound, "", "nothing is at %s", r.URL.Path))
	}
}

func (p *pageFiles) serveIndex(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-cache") // its assets change with each release
	w.Header().Set("ETag", p.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(p.index))
}

// serveFile serves a file of the build, compressed at build time where there is such a twin. Names under assets hold a hash of
// their content, so they never change.
func (p *pageFiles) serveFile(w http.ResponseWriter, r *http.Request) bool {
	name := strings.TrimPrefix(path.Clean(r.URL.Path), "/")
	st, err := fs.Stat(p.fsys, name)
	if err != nil || st.IsDir() {
		return false
	}
	h, file := w.Header(), name
	for _, twin := range []struct{ suffix, encoding string }{{".br", "br"}, {".gz", "gzip"}} {
		if _, err := fs.Stat(p.fsys, name+twin.suffix); err == nil && accepts(r, twin.encoding) {
			file = name + twin.suffix
			h.Set("Content-Encoding", twin.encoding)
			h.Add("Vary", "Accept-Encoding")
			break
		}
	}
	content, err := fs.ReadFile(p.fsys, file)
	if err != nil {
		h.Del("Content-Encoding")
		return false
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		h.Set("Content-Type", t)
	}
	h.Set("Cache-Control", "public, max-age=3600")
	if strings.HasPrefix(name, "assets/") {
		h.Set("Cache-Control", "public, max-age=31536000, immutable")
	}
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	return true
}

func accepts(r *http.Request, encoding string) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, params, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.TrimSpace(name) == encoding && strings.ReplaceAll(params, " ", "") != "q=0" {
			return true
		}
	}
	return false
}
