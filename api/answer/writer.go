package answer

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/rs/zerolog"

	"github.com/gaurav/watchingcat/api/rest"
)

// Note is what the request log takes from an answer: the code of its error, empty without one.
type Note struct{ Code string }

type noteKey struct{}

// WithNote makes Fail write into n.
func WithNote(ctx context.Context, n *Note) context.Context {
	return context.WithValue(ctx, noteKey{}, n)
}

// Writer writes answers to clients. What it cannot send goes to the log.
type Writer struct{ Logger zerolog.Logger }

// Fail answers a request with an error as application/problem+json. Internal errors are logged.
func (o *Writer) Fail(w http.ResponseWriter, r *http.Request, err error) {
	p := ProblemOf(err)
	if n, ok := r.Context().Value(noteKey{}).(*Note); ok {
		n.Code = p.Code
	}
	if p.Status == http.StatusInternalServerError {
		o.Logger.Error().Ctx(r.Context()).Err(err).Str("path", r.URL.Path).Msg("request failed")
	}
	h := w.Header()
	h.Del("Content-Length")
	h.Set("Content-Type", "application/problem+json")
	h.Set("Cache-Control", "no-store")
	w.WriteHeader(p.Status)
	if err := json.NewEncoder(w).Encode(p); err != nil {
		o.Logger.Debug().Err(err).Msg("client went away before its error was written")
	}
}

// WarningHeader says what is missing of an answer whose format has no place for it.
const WarningHeader = "WatchingCat-Warning"

// WarnHeader adds one WarningHeader for each text.
func WarnHeader(w http.ResponseWriter, warnings []string) {
	for _, text := range warnings {
		w.Header().Add(WarningHeader, strings.Join(strings.Fields(text), " "))
	}
}

// Shown is an error as clients see it, for APIs with their own form of errors. Internal errors are logged.
func (o *Writer) Shown(r *http.Request, err error) rest.Problem {
	p := ProblemOf(err)
	if p.Status == http.StatusInternalServerError {
		o.Logger.Error().Err(err).Str("path", r.URL.Path).Msg("request failed")
	}
	return p
}

// JSON writes an answer as application/json. It is encoded before its status is written: after an error nothing has been written, and the caller answers
// with that.
func (o *Writer) JSON(w http.ResponseWriter, status int, body any) error {
	var b bytes.Buffer
	if err := json.NewEncoder(&b).Encode(body); err != nil {
		return fmt.Errorf("api: encode an answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if _, err := b.WriteTo(w); err != nil {
		o.Logger.Debug().Err(err).Msg("client went away")
	}
	return nil
}

// Text writes an answer of the given content type.
func (o *Writer) Text(w http.ResponseWriter, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	if _, err := w.Write(body); err != nil {
		o.Logger.Debug().Err(err).Msg("client went away")
	}
}
