package api

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/go-chi/chi/v5"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/views/model"
)

const (
	defaultWait = 5 * time.Second
	maxWait     = time.Minute
)

// restRoutes mounts what openapi.yaml describes, each request validated from it.
func (s *Server) restRoutes(r chi.Router) {
	strict := rest.NewStrictHandlerWithOptions(s.rest, nil, rest.StrictHTTPServerOptions{
		RequestErrorHandlerFunc:  s.badRequest,
		ResponseErrorHandlerFunc: s.Fail,
	})
	rest.HandlerWithOptions(strict, rest.ChiServerOptions{BaseRouter: r.With(s.validate, s.HoldViews), ErrorHandlerFunc: s.badRequest})
}

func (s *Server) badRequest(w http.ResponseWriter, r *http.Request, err error) {
	s.Fail(w, r, answer.Problemf(answer.ErrBadRequest, "invalid_parameter", "%v", err))
}

// validate checks a request against its operation in the document, then waits for the position it asks for. It runs after chi
// has found the route, so the document's own router is not needed.
func (s *Server) validate(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.check(r); err != nil {
			s.Fail(w, r, err)
			return
		}
		w.Header().Set("Cache-Control", "no-store")
		next.ServeHTTP(w, r)
	})
}

func (s *Server) check(r *http.Request) error {
	ctx := chi.RouteContext(r.Context())
	pattern := ctx.RoutePattern()
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet
	}
	item := s.doc.Paths.Value(pattern)
	if item == nil || item.GetOperation(method) == nil {
		return fmt.Errorf("api: %s %s is not in openapi.yaml", method, pattern)
	}
	op := item.GetOperation(method)
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return answer.Problemf(answer.ErrBadRequest, "invalid_query", "the query string is malformed: %v", err)
	}
	if err := knownOnly(op, query); err != nil {
		return err
	}
	if err := s.checkFilter(answer.DimFilter(query)); err != nil {
		return err
	}
	params := map[string]string{}
	for _, name := range ctx.URLParams.Keys {
		params[name] = answer.PathParam(r, name)
	}
	err = openapi3filter.ValidateRequest(r.Context(), &openapi3filter.RequestValidationInput{
		Request: r, PathParams: params, QueryParams: query,
		Route:   &routers.Route{Spec: s.validator(op), Path: pattern, PathItem: item, Method: method, Operation: op},
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, SkipSettingDefaults: true},
	})
	if err != nil {
		return validationError(err)
	}
	return s.await(r, query)
}

// validator is the document that a request is checked by. Under OpenAPI 3.1 the library compiles a schema anew for each parameter of each
// request, under 3.0 it reads it as it is; parameters here need nothing that 3.0 has not.
func (s *Server) validator(op *openapi3.Operation) *openapi3.T {
	if op.RequestBody != nil {
		return s.doc
	}
	return s.params
}

// knownOnly refuses what a typing error would otherwise silently ignore.
func knownOnly(op *openapi3.Operation, query url.Values) error {
	known, lists := map[string]bool{}, map[string]bool{}
	for _, p := range op.Parameters {
		if p.Value.In == openapi3.ParameterInQuery {
			known[p.Value.Name] = true
			lists[p.Value.Name] = p.Value.Schema != nil && p.Value.Schema.Value.Type.Is(openapi3.TypeArray)
		}
	}
	names := slices.Sorted(maps.Keys(known))
	for _, name := range slices.Sorted(maps.Keys(query)) {
		if _, ok := answer.FilterParam(name); ok && known["filter"] {
			continue
		}
		if !known[name] {
			advice := "This path takes no parameters."
			if len(names) > 0 {
				advice = "This path takes " + strings.Join(names, ", ") + "."
			}
			return answer.Advise(answer.Problemf(answer.ErrBadRequest, "unknown_parameter", "unknown query parameter %q", name), advice)
		}
		if len(query[name]) > 1 && !lists[name] {
			return answer.Problemf(answer.ErrBadRequest, "invalid_parameter", "%s is given more than once", name)
		}
	}
	return nil
}

// validationError keeps of the validator's message what a client can use.
func validationError(err error) error {
	if large, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return large
	}
	name, reason := "request", err.Error()
	if re, ok := errors.AsType[*openapi3filter.RequestError](err); ok {
		if re.Parameter != nil {
			name = re.Parameter.Name
		}
		reason = re.Reason
		if re.Err != nil {
			reason = re.Err.Error()
		}
	}
	if se, ok := errors.AsType[*openapi3.SchemaError](err); ok {
		reason = se.Reason
	}
	// The schema validator's own words begin with a made-up address of the schema.
	if _, after, ok := strings.Cut(reason, "- at '': "); ok {
		reason = after
	}
	return answer.Problemf(answer.ErrBadRequest, "invalid_parameter", "%s: %s", name, reason)
}

// await reads min_position and timeout and waits.
func (s *Server) await(r *http.Request, query url.Values) error {
	timeout := defaultWait
	if query.Has("timeout") {
		var err error
		if timeout, err = answer.ParseDuration("timeout", query.Get("timeout")); err != nil {
			return err
		}
		if timeout > maxWait {
			return answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_duration", "timeout: %v is longer than %v", timeout,
				maxWait),
				"Give a timeout of at most "+maxWait.String()+".")
		}
	}
	if !query.Has("min_position") {
		return nil
	}
	want, err := answer.ParsePositions(query.Get("min_position"))
	if err != nil {
		return err
	}
	return status.Positions{Views: s.Views, Pipeline: s.cfg.Pipeline}.Wait(r.Context(), want, timeout)
}

// checkFilter refuses a filter by what is no dimension.
func (s *Server) checkFilter(f model.DimFilter) error {
	if len(f) == 0 {
		return nil
	}
	var names []string
	for _, d := range answer.DimensionsOf(s.cfg.Views) {
		names = append(names, d.Name)
	}
	for name := range f {
		if !slices.Contains(names, name) {
			advice := "No dimensions are configured: set WATCHINGCAT_DIMENSIONS, and run a replay if there are views already."
			if len(names) > 0 {
				advice = "The dimensions are " + strings.Join(names, ", ") + "."
			}
			return answer.Advise(answer.Problemf(answer.ErrBadRequest, "unknown_dimension", "filter: %q is not a dimension", name), advice)
		}
	}
	return nil
}
