package api

import (
	"bytes"
	"fmt"
	"html/template"
	"io/fs"
	"mime"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/parser"
	"github.com/yuin/goldmark/text"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/deploy/docs"
)

// docsPath is where the documents are. Like the page they are public: they hold no telemetry.
const docsPath = "/docs"

// docFile is one file of the documents as it is served.
type docFile struct {
	body        []byte
	contentType string
	etag        string
}

// docFiles are the files by their path: /docs/NAME for NAME.md, /docs for index.md. They are rendered at the first request.
var docFiles = sync.OnceValues(renderDocs)

var docPage = template.Must(template.New("").Parse(`<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{.Title}} · WatchingCat</title>
<link rel="icon" href="/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/docs/style.css">
</head>
<body>
<header><a href="/">WatchingCat</a> <a href="/docs">Documents</a> <a href="/api/openapi.yaml">API</a></header>
<main>
{{.Body}}</main>
</body>
</html>
`))

func renderDocs() (map[string]docFile, error) {
	entries, err := fs.ReadDir(docs.FS, ".")
	if err != nil {
		return nil, err
	}
	md := goldmark.New(goldmark.WithExtensions(extension.Table), goldmark.WithParserOptions(parser.WithAutoHeadingID()))
	files := map[string]docFile{}
	for _, e := range entries {
		b, err := fs.ReadFile(docs.FS, e.Name())
		if err != nil {
			return nil, err
		}
		name, contentType := e.Name(), mime.TypeByExtension(path.Ext(e.Name()))
		if base, ok := strings.CutSuffix(name, ".md"); ok {
			name, contentType = base, "text/html; charset=utf-8"
			if b, err = renderDoc(md, b); err != nil {
				return nil, fmt.Errorf("api: %s: %w", e.Name(), err)
			}
		}
		p := docsPath + "/" + name
		if name == "index" {
			p = docsPath
		}
		files[p] = docFile{b, contentType, answer.WeakTag(b)}
	}
	return files, nil
}

func renderDoc(md goldmark.Markdown, source []byte) ([]byte, error) {
	root := md.Parser().Parse(text.NewReader(source))
	title := "Documents"
	err := ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) {
		if !entering {
			return ast.WalkContinue, nil
		}
		switch n := n.(type) {
		case *ast.Heading:
			if n.Level == 1 {
				title = string(n.Lines().Value(source))
			}
		case *ast.Link:
			n.Destination = []byte(docLink(string(n.Destination)))
		case *ast.Image:
			n.Destination = []byte(docLink(string(n.Destination)))
		}
		return ast.WalkContinue, nil
	})
	if err != nil {
		return nil, err
	}
	var body, out bytes.Buffer
	if err := md.Renderer().Render(&body, source, root); err != nil {
		return nil, err
	}
	err = docPage.Execute(&out, struct {
		Title string
		Body  template.HTML
	}{title, template.HTML(body.String())}) //nolint:gosec // the documents are part of the program
	return out.Bytes(), err
}

// docLink is a link of a document as the server has it: other documents lie under /docs, other files of the repository only there.
func docLink(to string) string {
	if strings.HasPrefix(to, "#") || strings.HasPrefix(to, "/") || strings.Contains(to, "://") {
		return to
	}
	file, fragment, hasFragment := strings.Cut(to, "#")
	if strings.HasPrefix(file, "../") {
		to = docs.Repository + path.Join("deploy/docs", file)
	} else {
		to = docsPath + "/" + strings.TrimSuffix(file, ".md")
		if to == docsPath+"/index" {
			to = docsPath
		}
	}
	if hasFragment {
		to += "#" + fragment
	}
	return to
}

func isDoc(p string) bool { return p == docsPath || strings.HasPrefix(p, docsPath+"/") }

// serveDoc answers a path under /docs; false if there is no such document.
func (s *Server) serveDoc(w http.ResponseWriter, r *http.Request) bool {
	files, err := docFiles()
	if err != nil {
		s.Fail(w, r, err)
		return true
	}
	p := r.URL.Path
	if p != docsPath {
		p = strings.TrimSuffix(strings.TrimSuffix(p, "/"), ".md")
	}
	f, ok := files[p]
	if !ok {
		return false
	}
	w.Header().Set("Content-Type", f.contentType)
	w.Header().Set("Cache-Control", "no-cache") // they change with each release
	w.Header().Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(f.body))
	return true
}
