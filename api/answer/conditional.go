package answer

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/gaurav/watchingcat/evaluator/books"
)

// Answers about telemetry are another with each commit: no cache keeps them. What changes only when a user changes it has a tag: a
// client that gives it learns that nothing is new (304), or that another user was faster (412).

// settled are the paths whose answers change so.
var settled = map[string]bool{
	"/api/v1/config": true, "/prometheus/api/v1/metadata": true, "/prometheus/api/v1/status/buildinfo": true,
	"/prometheus/config/v1/rules": true, "/prometheus/config/v1/rules/{namespace}": true,
	"/prometheus/config/v1/rules/{namespace}/{group}": true,
}

// Conditional gives the answers of these paths a tag. It is weak: the same answer goes out compressed and not.
func Conditional(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead || !settled[chi.RouteContext(r.Context()).RoutePattern()] {
			next.ServeHTTP(w, r)
			return
		}
		held := &heldAnswer{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(held, r)
		if held.status != http.StatusOK {
			w.WriteHeader(held.status)
			_, _ = w.Write(held.body.Bytes()) // a client that is gone needs no answer
			return
		}
		w.Header().Set("Cache-Control", "private, no-cache") // asked for again each time, and sent when it has changed
		w.Header().Set("ETag", WeakTag(held.body.Bytes()))
		whole := r.Clone(r.Context())
		whole.Header.Del("Range") // an answer is whole, or it is an error of its API
		http.ServeContent(w, whole, "", time.Time{}, bytes.NewReader(held.body.Bytes()))
	})
}

// heldAnswer keeps an answer until it is whole.
type heldAnswer struct {
	http.ResponseWriter
	status int
	body   bytes.Buffer
}

func (h *heldAnswer) WriteHeader(status int) { h.status = status }

func (h *heldAnswer) Write(b []byte) (int, error) { return h.body.Write(b) }

// WeakTag is the ETag of an answer with these bytes.
func WeakTag(b []byte) string {
	sum := sha256.Sum256(b)
	return `W/"` + hex.EncodeToString(sum[:8]) + `"`
}

// IfMatch reads the header of that name. A tag that a proxy has made weak, as those that compress do, is as good.
func IfMatch(v *string) books.IfMatch {
	if v == nil {
		return nil
	}
	out := books.IfMatch{}
	for tag := range strings.SplitSeq(*v, ",") {
		out = append(out, strings.Trim(strings.TrimPrefix(strings.TrimSpace(tag), "W/"), `"`))
	}
	return out
}

// ETag is a tag as a header has it; nil without one.
func ETag(tag string, err error) (*string, error) {
	if err != nil {
		return nil, err
	}
	tag = `"` + tag + `"`
	return &tag, nil
}
