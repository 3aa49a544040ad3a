package caller

import (
	"errors"
	"net/http"
	"net/url"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
)

// provider is the accounts where one can log in at an identity provider.
func (s *Accounts) provider() (*auth.Auth, error) {
	a, err := s.accounts()
	if err == nil && !a.HasOIDC() {
		err = answer.Advise(answer.Problemf(answer.ErrNotFound, "oidc_off", "no identity provider is configured"),
			"Set WATCHINGCAT_AUTH_OIDC_ISSUER, or log in with a password.")
	}
	return a, err
}

// OIDCLogin is GET /api/v1/auth/oidc/login.
func (s *Accounts) OIDCLogin(w http.ResponseWriter, r *http.Request) {
	a, err := s.provider()
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	location, cookie, err := a.BeginOIDC(r.Context(), r.URL.Query().Get("to"))
	if err != nil {
		s.oidcFailed(w, r, "/", err)
		return
	}
	w.Header().Set("Set-Cookie", cookie)
	seeOther(w, location)
}

// OIDCCallback is GET /api/v1/auth/oidc/callback.
func (s *Accounts) OIDCCallback(w http.ResponseWriter, r *http.Request) {
	a, err := s.provider()
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	x, to, cookie, err := a.EndOIDC(r)
	w.Header().Add("Set-Cookie", cookie)
	if err != nil {
		s.oidcFailed(w, r, to, err)
		return
	}
	Of(r.Context()).Name = x.Name
	s.Trail.logged(r.Context(), "login", x.Name)
	w.Header().Add("Set-Cookie", a.SessionCookie(x))
	w.Header().Add("Set-Cookie", a.HintCookie(x))
	seeOther(w, to)
}

// oidcFailed sends the browser to the page, which says why; what happened is in the log.
func (s *Accounts) oidcFailed(w http.ResponseWriter, r *http.Request, to string, err error) {
	failed, ok := errors.AsType[*auth.LoginError](err)
	if !ok {
		s.Fail(w, r, err)
		return
	}
	Of(r.Context()).Outcome = "unauthenticated"
	s.Trail.refused(r.Context(), "at the identity provider ("+failed.Code+")")
	s.Logger.Warn().Err(failed).Str("remote", r.RemoteAddr).Msg("login with OpenID Connect failed")
	u, err := url.Parse(to)
	if err != nil {
		u = &url.URL{Path: "/"}
	}
	q := u.Query()
	q.Set("login", failed.Code)
	u.RawQuery = q.Encode()
	seeOther(w, u.String())
}

func seeOther(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}
