package api

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
	"github.com/gaurav/watchingcat/api/rest"
)

// Who may do what: x-role of an operation in openapi.yaml is the one table. authorize holds every route against it.

const (
	loginAttempts   = 20  // of one address in a minute
	loginFailures   = 10  // of one name from one address in a minute: guessing locks out no other address
	loginFailuresOf = 100 // of one name from all addresses
)

// caller is what becomes known of who makes a request, for the request log outside.
type caller struct {
	auth.Principal
	address string
	hint    string // for the identity provider, of who logs out
	outcome string
	note    answer.Note
}

type callerKey struct{}

func callerOf(ctx context.Context) *caller {
	c, _ := ctx.Value(callerKey{}).(*caller)
	return c
}

// principal is who makes a request, for the audit trail.
func principal(ctx context.Context) string {
	if c := callerOf(ctx); c != nil && c.Name != "" {
		return c.Name
	}
	return "anonymous"
}

// watch reports when the credential of a request that stays open ends; never where authentication is off.
func (s *Server) watch(r *http.Request) (ended <-chan struct{}, stop func()) {
	if s.cfg.Auth == nil {
		return nil, func() {}
	}
	return s.cfg.Auth.Watch(callerOf(r.Context()).Principal)
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
		failures: httprate.NewRateLimiter(loginFailures, time.Minute), guessed: httprate.NewRateLimiter(loginFailuresOf, time.Minute)}
	if perSecond > 0 {
		l.requests = httprate.NewRateLimiter(perSecond, time.Second)
	}
	return l
}

// rolesOf reads the table of the document, by "METHOD path". An operation without a role is an admin's.
func rolesOf(doc *openapi3.T) map[string]auth.Role {
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

// documented is the path of the document for a pattern of the router.
func documented(pattern string) string { return strings.Replace(pattern, "/*", "/{path}", 1) }

// needed is the role that a matched route asks for.
func (s *Server) needed(r *http.Request) auth.Role {
	method := r.Method
	if method == http.MethodHead {
		method = http.MethodGet // served by the same handler
	}
	role, ok := s.roles[method+" "+documented(chi.RouteContext(r.Context()).RoutePattern())]
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

// authorize runs after chi has found the route, so that what is checked is what runs.
func (s *Server) authorize(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := s.admitCaller(w, r); err != nil {
			s.Fail(w, r, err)
			return
		}
		next.ServeHTTP(w, r)
	})
}

func (s *Server) admitCaller(w http.ResponseWriter, r *http.Request) error {
	c := callerOf(r.Context())
	key := "address:" + c.address
	if s.cfg.Auth != nil {
		c.hint = auth.Hint(r)
		need := s.needed(r)
		p, err := s.cfg.Auth.Authenticate(r)
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
			c.outcome = "unauthenticated"
			if r.Header.Get("Authorization") != "" { // not a browser whose login has ended
				s.refused(r.Context(), "a token")
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
			c.outcome = "forbidden"
			return err
		case err != nil:
			return err
		case p.Role < need:
			c.outcome = "forbidden"
			return answer.Problemf(answer.ErrForbidden, "", "this needs the role %s, and %s has %s", need, p.Name, p.Role)
		}
		if p.Name != "" {
			key = "principal:" + p.Name
		}
		if o, due := s.cfg.Auth.Used(p, s.cfg.Now()); due {
			s.trail.note(o)
		}
	}
	if s.limits.requests != nil && s.limits.requests.OnLimit(w, r, key) {
		c.outcome = "limited"
		return answer.ErrTooMany
	}
	if pattern := chi.RouteContext(r.Context()).RoutePattern(); (pattern == "/api/v1/auth/login" || pattern == auth.OIDCPath+"callback") &&
		s.limits.logins.OnLimit(w, r, c.address) {
		c.outcome = "limited"
		s.refused(r.Context(), "too many attempts")
		return answer.Advise(answer.Problemf(answer.ErrTooMany, "too_many_logins", "too many attempts to log in"), "Wait a minute.")
	}
	return nil
}

// accounts are the users and tokens; an error where authentication is off.
func (s *Server) accounts() (*auth.Auth, error) {
	if s.cfg.Auth == nil {
		return nil, answer.Advise(answer.Problemf(answer.ErrConflict, "auth_off", "authentication is off"),
			"Set WATCHINGCAT_AUTH_ENABLED to true.")
	}
	return s.cfg.Auth, nil
}

// accountError says what became of a change of users and tokens.
func accountError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, auth.ErrUnknown):
		return answer.Problemf(answer.ErrNotFound, "", "%v", auth.ErrUnknown)
	case errors.Is(err, auth.ErrInvalid):
		return answer.Problemf(answer.ErrBadRequest, "invalid_account", "%v", err)
	case errors.Is(err, auth.ErrExists):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "exists", "%v", auth.ErrExists),
			"Choose another name, or change that user.")
	case errors.Is(err, auth.ErrLastAdmin):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "last_admin", "%v", err), "Make another admin first.")
	}
	return answer.Edited(err)
}

// WhoAmI implements rest.StrictServerInterface.
func (s *Server) WhoAmI(ctx context.Context, _ rest.WhoAmIRequestObject) (rest.WhoAmIResponseObject, error) {
	if s.cfg.Auth == nil {
		return rest.WhoAmI200JSONResponse{Name: new(principal(ctx)), Role: new(rest.Admin)}, nil
	}
	out := rest.WhoAmI200JSONResponse{Authentication: true, Oidc: s.cfg.Auth.HasOIDC()}
	if p := callerOf(ctx).Principal; p.Role != auth.Public {
		out.Name, out.Role, out.Login, out.Local = &p.Name, new(rest.Role(p.Role.String())), p.Login, p.User != ""
		out.ExpiresAt = answer.TimeOrNil(p.Expires())
	}
	return out, nil
}

// mayTry reports whether one more password of a user may be tried; shown is what the audit trail shows of the name.
func (s *Server) mayTry(ctx context.Context, user, shown string) error {
	for key, l := range s.guesses(ctx, user) {
		if _, rate, err := l.limiter.Status(key); err != nil || rate >= l.most {
			callerOf(ctx).outcome = "limited"
			s.refused(ctx, shown)
			return answer.Advise(answer.Problemf(answer.ErrTooMany, "too_many_logins", "too many attempts to log in under this name"),
				"Wait a minute.")
		}
	}
	return nil
}

// failed counts a wrong password.
func (s *Server) failed(ctx context.Context, user, shown string) {
	callerOf(ctx).outcome = "unauthenticated"
	s.refused(ctx, shown)
	for key, l := range s.guesses(ctx, user) {
		l.limiter.OnLimit(nowhere{}, (&http.Request{}).WithContext(ctx), key)
	}
}

type guessLimit struct {
	limiter *httprate.RateLimiter
	most    float64 // wrong passwords in a minute
}

// guesses are the limits of wrong passwords, by their keys.
func (s *Server) guesses(ctx context.Context, user string) map[string]guessLimit {
	return map[string]guessLimit{
		"login:" + user: {s.limits.guessed, loginFailuresOf},
		"login:" + user + " from " + callerOf(ctx).address: {s.limits.failures, loginFailures},
	}
}

func loginOf(x *auth.Session) rest.Login {
	return rest.Login{Token: x.Token, ExpiresAt: x.Expires, Role: rest.Role(x.Role.String())}
}

// LoginUser implements rest.StrictServerInterface.
func (s *Server) LoginUser(ctx context.Context, q rest.LoginUserRequestObject) (rest.LoginUserResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	name := "a name that nobody has"
	if _, err := a.User(q.Body.Username); err == nil {
		name = q.Body.Username
	}
	if err := s.mayTry(ctx, q.Body.Username, name); err != nil {
		return nil, err
	}
	x, err := a.Login(q.Body.Username, q.Body.Password)
	if errors.Is(err, auth.ErrCredentials) {
		s.failed(ctx, q.Body.Username, name)
		return nil, answer.Advise(answer.Problemf(answer.ErrUnauthenticated, "login_failed", "name or password is wrong"),
			"Check both; an admin can set a new password.")
	}
	if err != nil {
		return nil, err
	}
	callerOf(ctx).Name = q.Body.Username
	s.logged(ctx, "login", q.Body.Username)
	return rest.LoginUser200JSONResponse{Body: loginOf(x), Headers: rest.LoginUser200ResponseHeaders{SetCookie: new(a.SessionCookie(x))}},
		nil
}

// RefreshLogin implements rest.StrictServerInterface.
func (s *Server) RefreshLogin(ctx context.Context, _ rest.RefreshLoginRequestObject) (rest.RefreshLoginResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	p := callerOf(ctx).Principal
	if p.User == "" {
		return nil, errNoLogin()
	}
	x, err := a.Refresh(p)
	if errors.Is(err, auth.ErrCredentials) {
		return nil, answer.ErrUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	return rest.RefreshLogin200JSONResponse{Body: loginOf(x),
		Headers: rest.RefreshLogin200ResponseHeaders{SetCookie: new(a.SessionCookie(x))}}, nil
}

func errNoLogin() error {
	return answer.Advise(answer.Problemf(answer.ErrConflict, "no_login", "this endpoint requires a password login"), "Log in again.")
}

// ChangePassword implements rest.StrictServerInterface. Other logins of the user end; this one goes on.
func (s *Server) ChangePassword(ctx context.Context, q rest.ChangePasswordRequestObject) (rest.ChangePasswordResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	name := callerOf(ctx).User
	if name == "" {
		return nil, errNoLogin()
	}
	if err := s.mayTry(ctx, name, name); err != nil {
		return nil, err
	}
	u, err := a.ChangePassword(ctx, name, q.Body.Password, q.Body.NewPassword, s.cfg.Now())
	if errors.Is(err, auth.ErrCredentials) {
		s.failed(ctx, name, name)
		return nil, answer.Advise(answer.Problemf(answer.ErrForbidden, "wrong_password", "the password is not the one that you have"),
			"Give the password that you logged in with; an admin can set a new one.")
	}
	if err != nil {
		return nil, accountError(err)
	}
	x, err := a.NewLogin(u)
	if err != nil {
		return nil, err
	}
	return rest.ChangePassword200JSONResponse{Body: loginOf(x),
		Headers: rest.ChangePassword200ResponseHeaders{SetCookie: new(a.SessionCookie(x))}}, nil
}

// LogoutUser implements rest.StrictServerInterface.
func (s *Server) LogoutUser(ctx context.Context, _ rest.LogoutUserRequestObject) (rest.LogoutUserResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	if c := callerOf(ctx); c.Login {
		s.logged(ctx, "logout", c.Name)
		notes, err := a.EndLogin(c.Principal)
		if err != nil {
			return nil, err
		}
		for _, o := range notes {
			s.trail.note(o)
		}
		a.Changed()
	}
	out := loggedOut{cookies: []string{a.SessionCookie(nil), a.HintCookie(nil)}}
	if out.location, err = a.LogoutOIDC(ctx, callerOf(ctx).Principal, callerOf(ctx).hint); err != nil {
		s.cfg.Logger.Warn().Err(err).Msg("a user logged out here but not at the identity provider")
	}
	return out, nil
}

// loggedOut is the answer to LogoutUser: of two cookies, which the generated ones cannot say.
type loggedOut struct {
	cookies  []string
	location string // where to log out too; "": nowhere
}

// VisitLogoutUserResponse implements rest.LogoutUserResponseObject.
func (l loggedOut) VisitLogoutUserResponse(w http.ResponseWriter) error {
	for _, c := range l.cookies {
		w.Header().Add("Set-Cookie", c)
	}
	if l.location == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return rest.LogoutUser200JSONResponse{Location: l.location}.VisitLogoutUserResponse(w)
}

// accountsFor are the accounts, and a role that is to be given.
func (s *Server) accountsFor(role rest.Role) (*auth.Auth, auth.Role, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, auth.Public, err
	}
	r, err := auth.ParseRole(string(role))
	return a, r, accountError(err)
}
