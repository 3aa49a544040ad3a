package auth_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/auth/authtest"
	"github.com/gaurav/watchingcat/storage"
)

// atProvider is an Auth whose users come from a provider. Its clock is the wall's: the provider's tokens have it too.
func atProvider(t *testing.T, change ...func(*auth.OIDC)) (*auth.Auth, *authtest.Provider) {
	t.Helper()
	p := authtest.NewProvider(t)
	o := &auth.OIDC{Issuer: p.URL, ClientID: "watchingcat", ClientSecret: "s3cret",
		RedirectURL: "http://watchingcat" + auth.OIDCPath + "callback", RoleClaim: "groups",
		Roles: map[string]auth.Role{"sre": auth.Editor}, Default: auth.Viewer}
	for _, f := range change {
		f(o)
	}
	a, err := auth.New(t.Context(), auth.Config{Accounts: &auth.Accounts{KV: storage.NewMem(storage.MemOptions{})}, OIDC: o})
	require.NoError(t, err)
	require.True(t, a.HasOIDC())
	return a, p
}

// begin is where the provider sends a browser back to, and the cookie that the browser brings.
func begin(t *testing.T, a *auth.Auth, to string) (back *url.URL, cookie string) {
	t.Helper()
	location, cookie, err := a.BeginOIDC(t.Context(), to)
	require.NoError(t, err)
	// a strict one is not sent when the provider sends the browser back
	for _, part := range []string{"HttpOnly", "SameSite=Lax", "Path=" + auth.OIDCPath} {
		require.Contains(t, cookie, part)
	}
	stay := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := stay.Get(location)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	back, err = resp.Location()
	require.NoError(t, err)
	cookie, _, _ = strings.Cut(cookie, ";")
	return back, cookie
}

func end(a *auth.Auth, back *url.URL, cookie string) (s *auth.Session, to string, err error) {
	r := httptest.NewRequest(http.MethodGet, back.String(), nil)
	r.Header.Set("Cookie", cookie)
	s, to, _, err = a.EndOIDC(r)
	return s, to, err
}

func TestProviderLogin(t *testing.T) {
	a, p := atProvider(t)
	for to, want := range map[string]string{"/alerts?q=x": "/alerts?q=x", "https://evil.example.org": "/", "//evil.example.org": "/",
		`/\evil`: "/", "/" + strings.Repeat("x", 1000): "/"} {
		back, cookie := begin(t, a, to)
		s, got, err := end(a, back, cookie)
		require.NoError(t, err)
		require.Equal(t, want, got)
		who, err := a.Verify(t.Context(), s.Token)
		require.NoError(t, err)
		require.Equal(t, "oidc:ann@example.org viewer", who.Name+" "+who.Role.String())
		require.True(t, who.Login && who.User == "")
		_, err = a.Refresh(who)
		require.ErrorIs(t, err, auth.ErrCredentials, "its provider decides how long it lasts")
	}
	for name, c := range map[string]struct {
		groups any
		want   auth.Role
	}{"mapped": {[]string{"dev", "sre"}, auth.Editor}, "own name": {"admin", auth.Admin}, "other case": {"SRE", auth.Viewer},
		"a number": {7, auth.Viewer}} {
		p.Set(func() { p.Claim = func(claims jwt.MapClaims) { claims["groups"] = c.groups } })
		back, cookie := begin(t, a, "/")
		s, _, err := end(a, back, cookie)
		require.NoError(t, err)
		require.Equal(t, c.want, s.Role, name)
	}
}

// TestProviderLoginIsRefused: each reason has its code, and no session begins.
func TestProviderLoginIsRefused(t *testing.T) {
	a, p := atProvider(t, func(o *auth.OIDC) { o.Default = auth.Public })
	set := func(name string, v any) func() {
		return func() {
			p.Claim = func(c jwt.MapClaims) { c["groups"], c[name] = "sre", v }
		}
	}
	for name, c := range map[string]struct {
		change func()
		code   string
	}{
		"fine":     {set("odd", 1), ""},
		"no role":  {func() {}, "no_role"},
		"denied":   {func() { p.Deny = "access_denied" }, "refused"},
		"nonce":    {set("nonce", "another"), "failed"},
		"audience": {set("aud", "another"), "failed"},
		"expired":  {set("exp", time.Now().Add(-time.Minute).Unix()), "failed"},
		"none": {func() {
			p.Sign = func(c jwt.MapClaims) string {
				return p.Signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c)
			}
		}, "failed"},
		"shared secret": {func() {
			p.Sign = func(c jwt.MapClaims) string { return p.Signed(jwt.SigningMethodHS256, []byte("s3cret"), c) }
		}, "failed"},
		"no token": {func() { p.Sign = func(jwt.MapClaims) string { return "" } }, "failed"},
	} {
		p.Set(func() {
			p.Claim, p.Sign, p.Deny = nil, nil, ""
			c.change()
		})
		back, cookie := begin(t, a, "/traces")
		s, to, err := end(a, back, cookie)
		require.Equal(t, "/traces", to, name)
		require.Equal(t, c.code, code(err), "%s: %v", name, err)
		require.Equal(t, c.code == "", s != nil, name)
	}
	p.Set(func() { p.Deny, p.Sign, p.Claim = "", nil, func(c jwt.MapClaims) { c["groups"] = "sre" } })
	mine, cookie := begin(t, a, "/")
	theirs, another := begin(t, a, "/")
	for name, c := range map[string]struct {
		back   *url.URL
		cookie string
	}{"no cookie": {mine, ""}, "a cookie of another user": {mine, another}, "a link of another user": {theirs, cookie},
		"changed cookie": {mine, cookie + "x"},
		"large cookie":   {mine, cookie + strings.Repeat("x", 9000)}} {
		_, _, err := end(a, c.back, c.cookie)
		require.Equal(t, "expired", code(err), "%s: %v", name, err)
	}
	login, _, err := end(a, mine, cookie)
	require.NoError(t, err)
	_, _, err = end(a, mine, "watchingcat_oidc="+login.Token)
	require.Equal(t, "expired", code(err), "a login is no flow: %v", err)
	_, err = a.Verify(t.Context(), strings.TrimPrefix(cookie, "watchingcat_oidc="))
	require.ErrorIs(t, err, auth.ErrCredentials, "a flow is no login")
	_, _, err = end(a, mine, cookie)
	require.Equal(t, "failed", code(err), "a code counts once: %v", err)
}

func code(err error) string {
	var failed *auth.LoginError
	if errors.As(err, &failed) {
		return failed.Code
	}
	return ""
}

func TestProviderIsNotThere(t *testing.T) {
	a, p := atProvider(t)
	p.Set(func() { p.Down = true })
	_, _, err := a.BeginOIDC(t.Context(), "/")
	require.Equal(t, "unreachable", code(err))
	require.ErrorContains(t, err, "unreachable")
	p.Set(func() { p.Down = false })
	back, cookie := begin(t, a, "/")
	p.Set(func() { p.Down = true })
	_, _, err = end(a, back, cookie)
	require.Equal(t, "failed", code(err))
}

// TestProviderLogout: the provider's logout gets the ID token that it gave, of logins that it gave alone.
func TestProviderLogout(t *testing.T) {
	a, p := atProvider(t)
	back, cookie := begin(t, a, "/")
	s, _, err := end(a, back, cookie)
	require.NoError(t, err)
	who, err := a.Verify(t.Context(), s.Token)
	require.NoError(t, err)
	hint := a.HintCookie(s)
	require.Contains(t, hint, "HttpOnly")
	require.Contains(t, hint, "SameSite=Strict")
	require.Contains(t, a.HintCookie(nil), "Max-Age=0")
	r := httptest.NewRequest(http.MethodPost, "/api/v1/auth/logout", nil)
	require.Empty(t, auth.Hint(r))
	hint, _, _ = strings.Cut(hint, ";")
	r.Header.Set("Cookie", hint)
	to, err := a.LogoutOIDC(t.Context(), who, auth.Hint(r))
	require.NoError(t, err)
	require.Empty(t, to, "this provider has no logout")

	for bye, want := range map[string]bool{"/bye?keep=1": true, "javascript:alert(1)": false, "/relative": false} {
		a, p = atProvider(t)
		p.Set(func() {
			if p.Bye = bye; want {
				p.Bye = p.URL + bye
			}
		})
		to, err = a.LogoutOIDC(t.Context(), who, auth.Hint(r))
		require.Equal(t, want, err == nil, "%s: %v", bye, err)
		if !want {
			continue
		}
		u, err := url.Parse(to)
		require.NoError(t, err)
		q := u.Query()
		require.Equal(t, "1 watchingcat http://watchingcat/", q.Get("keep")+" "+q.Get("client_id")+" "+q.Get("post_logout_redirect_uri"))
		require.Len(t, strings.Split(q.Get("id_token_hint"), "."), 3)
		to, err = a.LogoutOIDC(t.Context(), auth.Principal{Name: "ann", User: "ann", Login: true}, "")
		require.NoError(t, err)
		require.Empty(t, to, "a local user did not log in there")
	}
}
