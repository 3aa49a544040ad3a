package prom

import (
	"errors"
	"io"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"
	"github.com/prometheus/prometheus/model/rulefmt"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/evaluator/books"
)

// Mimir's ruler API over the rules that users make, so that Grafana's rule editor, mimirtool and what loads PrometheusRule resources
// work: https://grafana.com/docs/mimir/latest/references/http-api/#ruler. Bodies are YAML; 202 says that a change is stored.

// RulerRoutes mounts it.
func (s *API) RulerRoutes(r chi.Router) {
	const all = "/prometheus/config/v1/rules"
	r.Get(all, s.ruler(func(b *books.RuleBook, _ *http.Request, _, _ string) (any, error) {
		return b.Namespaces()
	}))
	r.Get(all+"/{namespace}", s.ruler(func(b *books.RuleBook, _ *http.Request, namespace, _ string) (any, error) {
		byName, err := b.Namespaces()
		if err == nil && byName[namespace] == nil {
			err = errNoGroups
		}
		return map[string][]rulefmt.RuleGroup{namespace: byName[namespace]}, err
	}))
	r.Get(all+"/{namespace}/{group}", s.ruler(func(b *books.RuleBook, _ *http.Request, namespace, group string) (any, error) {
		byName, err := b.Namespaces()
		for _, g := range byName[namespace] {
			if g.Name == group {
				return g, err
			}
		}
		if err == nil {
			err = errNoGroup
		}
		return nil, err
	}))
	r.Post(all+"/{namespace}", s.ruler(func(b *books.RuleBook, r *http.Request, namespace, _ string) (any, error) {
		g, err := ParseGroup(r.Body)
		if err != nil {
			return nil, err
		}
		return nil, b.SetGroup(r.Context(), caller.Name(r.Context()), namespace, g, s.Now())
	}))
	r.Delete(all+"/{namespace}", s.ruler(func(b *books.RuleBook, r *http.Request, namespace, _ string) (any, error) {
		return nil, b.DeleteGroups(r.Context(), caller.Name(r.Context()), namespace, "", s.Now())
	}))
	r.Delete(all+"/{namespace}/{group}", s.ruler(func(b *books.RuleBook, r *http.Request, namespace, group string) (any, error) {
		return nil, b.DeleteGroups(r.Context(), caller.Name(r.Context()), namespace, group, s.Now())
	}))
}

// ParseGroup reads the body of a change: one group. Misspelled fields are refused, as in rule files, and so are those of Mimir that would
// change what a rule means, as source_tenants.
func ParseGroup(body io.Reader) (g rulefmt.RuleGroup, err error) {
	dec := yaml.NewDecoder(body)
	dec.KnownFields(true)
	err = dec.Decode(&g)
	if err == nil && !errors.Is(dec.Decode(&yaml.Node{}), io.EOF) {
		err = errors.New("more than one document")
	}
	if large := (*http.MaxBytesError)(nil); err == nil || errors.As(err, &large) {
		return g, err
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the body is empty")
	}
	text := strings.NewReplacer(" in type rulefmt.RuleGroup", "", " in type rulefmt.Rule", "").Replace(err.Error())
	return g, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_rule", "%s", text),
		"Send one rule group in YAML: name, interval, query_offset, limit, labels, rules; see "+
			"https://prometheus.io/docs/prometheus/latest/configuration/recording_rules/.")
}

// What Mimir's clients look for in a 404.
var (
	errNoGroups = answer.Problemf(answer.ErrNotFound, "", "no rule groups found")
	errNoGroup  = answer.Problemf(answer.ErrNotFound, "", "group does not exist")
)

type rulerFunc func(b *books.RuleBook, r *http.Request, namespace, group string) (any, error)

// ruler answers with YAML what fn returns, or 202 for nothing.
func (s *API) ruler(fn rulerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		b, err := answer.RuleBook(s.Rules)
		if err != nil {
			s.Fail(w, r, err)
			return
		}
		out, err := fn(b, r, answer.PathParam(r, "namespace"), answer.PathParam(r, "group"))
		switch {
		case errors.Is(err, books.ErrRuleUnknown):
			err = errNoGroup
		case err != nil && !errors.Is(err, answer.ErrNotFound) && !errors.Is(err, answer.ErrBadRequest):
			err = answer.Edited(err)
		}
		if err != nil {
			s.Fail(w, r, err)
			return
		}
		if out == nil {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusAccepted)
			_, _ = io.WriteString(w, `{"status":"success","data":null,"errorType":"","error":""}`) // a client that is gone needs no answer
			return
		}
		text, err := yaml.Marshal(out)
		if err != nil {
			s.Fail(w, r, err)
			return
		}
		s.Text(w, "application/yaml", text)
	}
}
