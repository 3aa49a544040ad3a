package mcp

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

// Config is what the tools need.
type Config struct {
	// API answers the requests that tools make.
	API     http.Handler
	Now     func() time.Time
	Version string
}

// maxBody bounds an answer of the API before it is shortened.
const maxBody = 32 << 20

const instructions = `WatchingCat shows the live state of a distributed system from its OpenTelemetry spans, metrics and logs.
Start with incidents (is something broken, since when, why), then explain a service, then traces, logs and differences of its failed spans.
Times are RFC 3339 or Unix seconds; "last" gives the length of a range that ends now, as 15m. Answers are shortened: "shortened" says what was left out.`

// New returns the handler of /mcp: streamable HTTP without sessions.
func New(c Config) http.Handler {
	server := mcp.NewServer(&mcp.Implementation{Name: "watchingcat", Title: "WatchingCat", Version: c.Version},
		&mcp.ServerOptions{Instructions: instructions})
	for _, t := range tools {
		t.add(server, &c)
	}
	// Requests by other names and other sites are refused before they come here.
	h := mcp.NewStreamableHTTPHandler(func(*http.Request) *mcp.Server { return server },
		&mcp.StreamableHTTPOptions{Stateless: true, JSONResponse: true, DisableLocalhostProtection: true})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set(remoteHeader, r.RemoteAddr)
		r.Header.Set(hostHeader, r.Host)
		h.ServeHTTP(w, r)
	})
}

// Headers in which the tools find what a request says beside its headers; what a client sends under these names is overwritten.
const (
	remoteHeader = "X-Watchingcat-Mcp-Remote"
	hostHeader   = "X-Watchingcat-Mcp-Host"
)

// credentials are the headers that say who asks.
var credentials = []string{"Authorization", "Cookie"}

// args are the parameters of a call by name.
type args map[string]any

// call makes the request of a tool and returns what the API answers.
func (c *Config) call(ctx context.Context, header http.Header, method, path string, in args) (*capture, error) {
	in = c.ranged(in)
	for name, v := range in {
		if place := "{" + name + "}"; strings.Contains(path, place) {
			path = strings.ReplaceAll(path, place, url.PathEscape(fmt.Sprint(v)))
			delete(in, name)
		}
	}
	var body io.Reader = http.NoBody
	target, query, _ := strings.Cut(path, "?")
	if method == http.MethodGet {
		q, err := url.ParseQuery(query)
		if err != nil {
			return nil, err
		}
		in.into(q)
		target += "?" + q.Encode()
	} else {
		b, err := json.Marshal(in)
		if err != nil {
			return nil, err
		}
		body = bytes.NewReader(b)
	}
	// The request is one of its own: it has nothing of the context of the one to /mcp but its end.
	own, cancel := context.WithCancel(context.Background())
	defer cancel()
	defer context.AfterFunc(ctx, cancel)()
	r, err := http.NewRequestWithContext(own, method, target, body)
	if err != nil {
		return nil, err
	}
	r.RequestURI = target
	r.RemoteAddr, r.Host = header.Get(remoteHeader), header.Get(hostHeader)
	for _, h := range credentials {
		if v := header.Values(h); len(v) > 0 {
			r.Header[h] = slices.Clone(v)
		}
	}
	if body != http.NoBody {
		r.Header.Set("Content-Type", "application/json")
	}
	w := &capture{header: http.Header{}, status: http.StatusOK}
	c.API.ServeHTTP(w, r)
	if w.over {
		return nil, fmt.Errorf("the answer has more than %d bytes: narrow the question", maxBody)
	}
	return w, nil
}

// ranged replaces the length of a range that ends now by its start.
func (c *Config) ranged(in args) args {
	last, ok := in["last"].(string)
	if !ok {
		return in
	}
	delete(in, "last")
	d, err := time.ParseDuration(last)
	if _, given := in["start"]; err != nil || given {
		return in
	}
	end := c.Now()
	if text, ok := in["end"].(string); ok {
		if t, err := time.Parse(time.RFC3339, text); err == nil {
			end = t
		}
	}
	in["start"] = end.Add(-d).UTC().Format(time.RFC3339Nano)
	return in
}

// into adds the parameters to a query.
func (in args) into(q url.Values) {
	for name, v := range in {
		switch v := v.(type) {
		case []any:
			for _, x := range v {
				q.Add(name, fmt.Sprint(x))
			}
		case float64:
			q.Set(name, fmt.Sprintf("%v", v))
		default:
			q.Set(name, fmt.Sprint(v))
		}
	}
}

// capture takes an answer.
type capture struct {
	header http.Header
	status int
	body   bytes.Buffer
	over   bool
}

// Header implements http.ResponseWriter.
func (w *capture) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter.
func (w *capture) WriteHeader(status int) { w.status = status }

// Write implements http.ResponseWriter.
func (w *capture) Write(b []byte) (int, error) {
	if w.over = w.over || w.body.Len()+len(b) > maxBody; w.over {
		return 0, io.ErrShortWrite
	}
	return w.body.Write(b)
}
