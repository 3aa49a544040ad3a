package caller

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/httprate"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
)

// Who may do what: x-role of an operation in openapi.yaml is the one table. Authorize holds every route against it.

const (
	loginAttempts = 20 // of one address in a minute
	// LoginFailures is how many wrong passwords of one name are taken from one address in a minute: guessing locks out no other address.
	LoginFailures = 10
	// LoginFailuresOf is how many are taken of one name from all addresses.
	LoginFailuresOf = 100
)

// Watch reports when the credential of a request that stays open ends; never where authentication is off.
func (s *Gate) Watch(r *http.Request) (ended <-chan struct{}, stop func()) {
	if s.Auth == nil {
		return nil, func() {}
	}
	return s.Auth.Watch(Of(r.Context()).Principal)
}

// Gate decides who may make a request.
type Gate struct {
	*answer.Writer
	Auth  *auth.Auth // nil: everybody may do everything
	Roles map[string]auth.Role
	Trail *Trail
	Now   func() time.Time
	// ExternalURL, CORSOrigins and AllowedHosts are the names under which the server is reached, and the origins that may change it.
	ExternalURL               string
	CORSOrigins, AllowedHosts []string

	limits limiters
}

// NewGate makes a gate that takes perSecond requests of each principal, or of each address without one; 0: no limit.
func NewGate(g Gate, perSecond int) *Gate {
	g.limits = newLimiters(perSecond)
	return &g
}

// limiters bound how often a caller may ask.
type limiters struct {
	requests *httprate.RateLimiter // by principal, else by address; nil: no limit
	logins   *httprate.RateLimiter // by address
	failures *httprate.RateLimiter // by name and address
	guessed  *httprate.RateLimiter // by name
}

// nowhere takes what a limiter would say of itself.
type nowhere struct{ http.ResponseWriter }

func (nowhere) Header() http.Header { return http.Header{} }

func newLimiters(perSecond int) limiters {
	l := limiters{logins: httprate.NewRateLimiter(loginAttempts, time.Minute),
		failures: httprate.NewRateLimiter(LoginFailures, time.Minute), guessed: httprate.NewRateLimiter(LoginFailuresOf, time.Minute)}
	if perSecond > 0 {
		l.requests = httprate.NewRateLimiter(perSecond, time.Second)
	}
	return l
}

// RolesOf reads the table of the document, by "METHOD path". An operation without a role is an admin's.
func RolesOf(doc *openapi3.T) map[string]auth.Role {
	out := map[string]auth.Role{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			role := auth.Admin
			switch name, _ := op.Extensions["x-role"].(string); name {
			case "public":
				role = auth.Public
			case "viewer":
				role = auth.Viewer
			case "editor":
				role = auth.Editor
			}
			out[method+" "+path] = role
		}
	}
	return out
}

// Documented is the path of the document for a pattern of the router.
func Documented(pattern string) string { return strings.Replace(pattern, "/*", "/{path}", 1) }

// needed is the role that a matched route asks for.
func (s *Gate) needed(r *http.Request) auth.Role {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // served by the same handler
	}
	role, ok := s.Roles[method+" "+Documented(chi.RouteContext(r.Context()).RoutePattern())]
	if !ok {
		return auth.Admin
	}
	return role
}

func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	return httprate.CanonicalizeIP(host)
}

// ofAPage reports whether a page made the request, whose own form asks for a name: a browser's must not come before it. Only trusted
// addresses get Sec-Fetch-Mode, so what pages send besides is looked at too.
func ofAPage(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return mode != "" && mode != "navigate" || r.Header.Get("X-Requested-With") != "" || r.Header.Get("Accept") == "text/event-stream" ||
		r.Header.Get("Upgrade") != "" && r.Header.Get("Origin") != ""
}

// Authorize runs after chi has found the route, so that what is checked is what runs.
func (s *Gate) Authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.admitCaller(w, r); err != nil {
			s.Fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Gate) admitCaller(w http.ResponseWriter, r *http.Request) error {
	c := Of(r.Context())
	key := "address:" + c.Address
	if s.Auth != nil {
		c.hint = auth.Hint(r)
		need := s.needed(r)
		p, err := s.Auth.Authenticate(r)
		if need == auth.Public {
			if err != nil {
				p = auth.Principal{} // an old cookie must not keep anybody from logging in
			}
			err = auth.SameSite(r) // no other site logs anybody in or out
		}
		c.Principal = p
		if err == nil && p.Role < need && p.Role == auth.Public {
			err = auth.ErrCredentials
		}
		switch {
		case errors.Is(err, auth.ErrCredentials):
			c.Outcome = "unauthenticated"
			if r.Header.Get("Authorization") != "" { // not a browser whose login has ended
				s.Trail.refused(r.Context(), "a token")
			}
			if s.limits.requests != nil && s.limits.requests.OnLimit(w, r, key) {
				return answer.ErrTooMany
			}
			if !ofAPage(r) { // Basic, so that a browser asks: an API token is the password
				w.Header().Add("WWW-Authenticate", `Basic realm="WatchingCat", charset="UTF-8"`)
			}
			w.Header().Add("WWW-Authenticate", `Bearer realm="WatchingCat"`)
			if errors.Is(err, auth.ErrUnknownKey) {
				return answer.Advise(answer.Problemf(answer.ErrUnauthenticated, "unknown_key", "%v", err),
					"Try again in some seconds; then get a new token of the identity provider.")
			}
			return answer.ErrUnauthenticated
		case errors.Is(err, auth.ErrCrossSite):
			c.Outcome = "forbidden"
			return err
		case err != nil:
			return err
		case p.Role < need:
			c.Outcome = "forbidden"
			return answer.Problemf(answer.ErrForbidden, "", "this needs the role %s, and %s has %s", need, p.Name, p.Role)
		}
		if p.Name != "" {
			key = "principal:" + p.Name
		}
		if o, due := s.Auth.Used(p, s.Now()); due {
			s.Trail.note(o)
		}
	}
	if s.limits.requests != nil && s.limits.requests.OnLimit(w, r, key) {
		c.Outcome = "limited"
		return answer.ErrTooMany
	}
	if pattern := chi.RouteContext(r.Context()).RoutePattern(); (pattern == "/api/v1/auth/login" || pattern == auth.OIDCPath+"callback") &&
		s.limits.logins.OnLimit(w, r, c.Address) {
		c.Outcome = "limited"
		s.Trail.refused(r.Context(), "too many attempts")
		return answer.Advise(answer.Problemf(answer.ErrTooMany, "too_many_logins", "too many attempts to log in"), "Wait a minute.")
	}
	return nil
}

// accounts are the users and tokens; an error where authentication is off.
func (s *Gate) accounts() (*auth.Auth, error) {
	if s.Auth == nil {
		return nil, answer.Advise(answer.Problemf(answer.ErrConflict, "auth_off", "authentication is off"),
			"Set WATCHINGCAT_AUTH_ENABLED to true.")
	}
	return s.Auth, nil
}

// mayTry reports whether one more password of a user may be tried; shown is what the audit trail shows of the name.
func (s *Gate) mayTry(ctx context.Context, user, shown string) error {
	for key, l := range s.guesses(ctx, user) {
		if _, rate, err := l.limiter.Status(key); err != nil || rate >= l.most {
			Of(ctx).Outcome = "limited"
			s.Trail.refused(ctx, shown)
			return answer.Advise(answer.Problemf(answer.ErrTooMany, "too_many_logins", "too many attempts to log in under this name"),
				"Wait a minute.")
		}
	}
	return nil
}

// Failed counts a wrong password.
func (s *Gate) Failed(ctx context.Context, user, shown string) {
	Of(ctx).Outcome = "unauthenticated"
	s.Trail.refused(ctx, shown)
	for key, l := range s.guesses(ctx, user) {
		l.limiter.OnLimit(nowhere{}, (&http.Request{}).WithContext(ctx), key)
	}
}

type guessLimit struct {
	limiter *httprate.RateLimiter
	most    float64 // wrong passwords in a minute
}

// guesses are the limits of wrong passwords, by their keys.
func (s *Gate) guesses(ctx context.Context, user string) map[string]guessLimit {
	return map[string]guessLimit{
		"login:" + user: {s.limits.guessed, LoginFailuresOf},
		"login:" + user + " from " + Of(ctx).Address: {s.limits.failures, LoginFailures},
	}
}
