package api

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/auth/authtest"
)

// browser follows redirects and keeps cookies, as a browser does.
type browser struct {
	t *testing.T
	*http.Client
	url string // of WatchingCat
}

func newBrowser(t *testing.T, url string) *browser {
	jar, err := cookiejar.New(nil)
	require.NoError(t, err)
	return &browser{t, &http.Client{Jar: jar}, url}
}

// visit is where the browser ends, and the name under which it is logged in.
func (b *browser) visit(target string) (end, me string) {
	b.t.Helper()
	req, err := http.NewRequest(http.MethodGet, target, nil)
	require.NoError(b.t, err)
	req.Header.Set("Accept", "text/html")
	resp, err := b.Do(req)
	require.NoError(b.t, err)
	require.NoError(b.t, resp.Body.Close())
	require.Equal(b.t, http.StatusOK, resp.StatusCode, "%s", resp.Request.URL)
	r, err := b.Get(b.url + "/api/v1/auth/me")
	require.NoError(b.t, err)
	defer r.Body.Close()
	var who struct{ Name, Role *string }
	require.NoError(b.t, json.NewDecoder(r.Body).Decode(&who))
	if who.Name == nil {
		return strings.TrimPrefix(resp.Request.URL.String(), b.url), "nobody"
	}
	return strings.TrimPrefix(resp.Request.URL.String(), b.url), *who.Name + " " + *who.Role
}

// oidcBench is a server whose users come from a provider. Its clock is the wall's: the provider's tokens have it too.
func oidcBench(t *testing.T, change ...func(*auth.OIDC)) (*bench, *authtest.Provider, *browser) {
	p := authtest.NewProvider(t)
	o := &auth.OIDC{Issuer: p.URL, ClientID: "watchingcat", ClientSecret: "s3cret", Scopes: []string{"profile"}, RoleClaim: "groups",
		Roles: map[string]auth.Role{"sre": auth.Editor, "it-admins": auth.Admin}, Default: auth.Viewer}
	for _, f := range change {
		f(o)
	}
	var b *bench
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.s.Handler().ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	o.RedirectURL = srv.URL + auth.OIDCPath + "callback"
	b = newBench(t, func(c *Config) {
		a, err := auth.New(t.Context(), auth.Config{Accounts: &auth.Accounts{KV: c.Store, Objects: c.Rules.Objects}, Secret: testSecret,
			OIDC: o})
		require.NoError(t, err)
		c.Auth = a
	})
	return b, p, newBrowser(t, srv.URL)
}

func TestLoginAtAProvider(t *testing.T) {
	_, p, me := oidcBench(t)
	end, who := me.visit(me.url + "/api/v1/auth/oidc/login?to=/alerts%3Fq%3Dx")
	require.Equal(t, "/alerts?q=x", end)
	require.Equal(t, "oidc:ann@example.org viewer", who)
	for _, to := range []string{"https://evil.example.org", "//evil.example.org", `/\evil.example.org`, "javascript:alert(1)",
		"/\t/evil.example.org"} {
		end, _ := me.visit(me.url + "/api/v1/auth/oidc/login?to=" + url.QueryEscape(to))
		require.Equal(t, "/", end, to)
	}
	for name, want := range map[string]struct {
		groups any
		role   string
	}{"mapped": {[]string{"dev", "sre"}, "editor"}, "largest": {[]string{"sre", "it-admins", "viewer"}, "admin"},
		"a role's own name": {"admin", "admin"},
		"unknown":           {[]string{"root"}, "viewer"}, "no text": {42, "viewer"}, "other case": {"SRE", "viewer"}} {
		p.Set(func() { p.Claim = func(c jwt.MapClaims) { c["groups"] = want.groups } })
		_, who := newBrowser(t, me.url).visit(me.url + "/api/v1/auth/oidc/login")
		require.Equal(t, "oidc:ann@example.org "+want.role, who, name)
	}
	for claim, want := range map[string]string{"preferred_username": "oidc:ann", "email": "oidc:4711", "odd": "oidc:ann@example.org"} {
		p.Set(func() {
			p.Claim = func(c jwt.MapClaims) {
				c[claim] = map[string]any{"preferred_username": "ann", "email": "ann\nadmin@example.org", "odd": "x"}[claim]
			}
		})
		_, who := newBrowser(t, me.url).visit(me.url + "/api/v1/auth/oidc/login")
		require.Equal(t, want+" viewer", who)
	}
}

// TestLoginAtAProviderIsNoLocalUser: whoever calls himself ann there is not ann here, and its login is not prolonged.
func TestLoginAtAProviderIsNoLocalUser(t *testing.T) {
	b, p, me := oidcBench(t)
	_, err := b.s.cfg.Auth.CreateUser(t.Context(), "test", "ann", "correct horse", auth.Admin, b.now)
	require.NoError(t, err)
	p.Set(func() { p.Claim = func(c jwt.MapClaims) { c["preferred_username"] = "ann" } })
	_, who := me.visit(me.url + "/api/v1/auth/oidc/login")
	require.Equal(t, "oidc:ann viewer", who)
	resp, err := me.Post(me.url+"/api/v1/auth/refresh", "", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	require.Equal(t, http.StatusConflict, resp.StatusCode)
	resp, err = me.Post(me.url+"/api/v1/auth/logout", "", nil)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	_, who = me.visit(me.url + "/")
	require.Equal(t, "nobody", who)
}

// TestLogoutAtAProvider: who logs out is sent to the provider's own logout where it has one, with the ID token that it gave.
func TestLogoutAtAProvider(t *testing.T) {
	_, p, me := oidcBench(t)
	logout := func(me *browser) (int, url.Values) {
		t.Helper()
		resp, err := me.Post(me.url+"/api/v1/auth/logout", "", nil)
		require.NoError(t, err)
		defer resp.Body.Close()
		var out struct{ Location string }
		if resp.StatusCode == http.StatusOK {
			require.NoError(t, json.NewDecoder(resp.Body).Decode(&out))
			require.True(t, strings.HasPrefix(out.Location, p.URL+"/bye?") && strings.Contains(out.Location, "keep=1"), out.Location)
		}
		u, err := url.Parse(out.Location)
		require.NoError(t, err)
		return resp.StatusCode, u.Query()
	}
	me.visit(me.url + "/api/v1/auth/oidc/login")
	status, _ := logout(me)
	require.Equal(t, http.StatusNoContent, status, "this provider has none")

	b, another, me := oidcBench(t)
	p = another
	p.Set(func() { p.Bye = p.URL + "/bye?keep=1" })
	_, who := me.visit(me.url + "/api/v1/auth/oidc/login")
	require.Equal(t, "oidc:ann@example.org viewer", who)
	status, q := logout(me)
	require.Equal(t, http.StatusOK, status)
	require.Equal(t, me.url+"/", q.Get("post_logout_redirect_uri"))
	require.Equal(t, "watchingcat", q.Get("client_id"))
	require.Equal(t, 3, len(strings.Split(q.Get("id_token_hint"), ".")))
	_, who = me.visit(me.url + "/")
	require.Equal(t, "nobody", who)
	status, _ = logout(me)
	require.Equal(t, http.StatusNoContent, status, "no user is logged in any more")

	for _, bad := range []string{"javascript:alert(1)", "/relative", "ftp://x/"} {
		_, p, me := oidcBench(t)
		p.Set(func() { p.Bye = bad })
		me.visit(me.url + "/api/v1/auth/oidc/login")
		resp, err := me.Post(me.url+"/api/v1/auth/logout", "", nil)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, http.StatusNoContent, resp.StatusCode, bad)
	}
	// a local user has nothing to do with the provider
	_, err := b.s.cfg.Auth.CreateUser(t.Context(), "test", "bob", "correct horse", auth.Viewer, b.now)
	require.NoError(t, err)
	x, err := b.s.cfg.Auth.Login("bob", "correct horse")
	require.NoError(t, err)
	require.Equal(t, http.StatusNoContent, b.do("POST", "/api/v1/auth/logout", "", "Authorization: Bearer "+x.Token).Code)
}

func TestLoginAtAProviderIsRefused(t *testing.T) {
	_, p, me := oidcBench(t, func(o *auth.OIDC) { o.Default = auth.Public })
	inGroup := func(c jwt.MapClaims) { c["groups"] = "sre" }
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	set := func(name string, v any) func() {
		return func() {
			p.Claim = func(c jwt.MapClaims) {
				inGroup(c)
				if c[name] = v; v == nil {
					delete(c, name)
				}
			}
		}
	}
	sign := func(f func(c jwt.MapClaims) string) func() { return func() { p.Claim, p.Sign = inGroup, f } }
	for name, c := range map[string]struct {
		change func()
		want   string
	}{
		"fine":        {func() { p.Claim = inGroup }, "/"},
		"no role":     {func() {}, "/?login=no_role"},
		"denied":      {func() { p.Deny = "access_denied" }, "/?login=refused"},
		"nonce":       {set("nonce", "another"), "/?login=failed"},
		"no nonce":    {set("nonce", nil), "/?login=failed"},
		"audience":    {set("aud", "another"), "/?login=failed"},
		"issuer":      {set("iss", "https://another"), "/?login=failed"},
		"expired":     {set("exp", time.Now().Add(-time.Second).Unix()), "/?login=failed"},
		"no subject":  {set("sub", 7), "/?login=failed"},
		"foreign key": {sign(func(c jwt.MapClaims) string { return p.Signed(jwt.SigningMethodRS256, other, c) }), "/?login=failed"},
		"none": {sign(func(c jwt.MapClaims) string {
			return p.Signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c)
		}), "/?login=failed"},
		"HS256":    {sign(func(c jwt.MapClaims) string { return p.Signed(jwt.SigningMethodHS256, []byte("s3cret"), c) }), "/?login=failed"},
		"no token": {sign(func(jwt.MapClaims) string { return "" }), "/?login=failed"},
	} {
		p.Set(func() {
			p.Claim, p.Sign, p.Deny = nil, nil, ""
			c.change()
		})
		end, who := newBrowser(t, me.url).visit(me.url + "/api/v1/auth/oidc/login")
		require.Equal(t, c.want, end, name)
		require.Equal(t, c.want == "/", who != "nobody", name)
	}
}

// TestLoginsOfOthersAreNotTaken: what a browser brings back counts in that browser alone, once and for ten minutes.
func TestLoginsOfOthersAreNotTaken(t *testing.T) {
	b, p, me := oidcBench(t)
	back := func(from *browser) *url.URL { // where the provider sends a browser that does not go there
		t.Helper()
		stop := *from.Client
		stop.CheckRedirect = func(r *http.Request, _ []*http.Request) error {
			if strings.Contains(r.URL.Path, "callback") {
				return http.ErrUseLastResponse
			}
			return nil
		}
		resp, err := stop.Get(from.url + "/api/v1/auth/oidc/login")
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		u, err := resp.Location()
		require.NoError(t, err)
		return u
	}
	eve := newBrowser(t, me.url)
	link := back(eve)
	end, who := me.visit(link.String())
	require.Equal(t, "/?login=expired nobody", end+" "+who, "eve's link, by which ann would work as eve")
	require.Zero(t, p.Used, "the provider got no request")
	back(me)
	end, who = me.visit(link.String())
	require.Equal(t, "/?login=expired nobody", end+" "+who, "ann has a cookie of her own")
	mine := back(me)
	q := mine.Query()
	q.Set("code", link.Query().Get("code"))
	stolen := *mine
	stolen.RawQuery = q.Encode()
	end, who = me.visit(stolen.String())
	require.Equal(t, "/?login=failed nobody", end+" "+who, "eve's code with ann's state: the verifier is another")
	mine = back(me)
	_, who = me.visit(mine.String())
	require.Equal(t, "oidc:ann@example.org viewer", who)
	other := newBrowser(t, me.url)
	end, _ = me.visit(mine.String())
	require.Equal(t, "/?login=expired", end, "a second time")
	end, who = other.visit(mine.String())
	require.Equal(t, "/?login=expired nobody", end+" "+who)

	// The cookie of a flow is no login, and a login no cookie of a flow.
	location, cookie, err := b.s.cfg.Auth.BeginOIDC(t.Context(), "/")
	require.NoError(t, err)
	u, err := url.Parse(location)
	require.NoError(t, err)
	text, _, _ := strings.Cut(cookie, ";")
	_, text, _ = strings.Cut(text, "=")
	require.Contains(t, cookie, "HttpOnly")
	require.Contains(t, cookie, "SameSite=Lax")
	require.Equal(t, 401, b.get("/api/v1/services", "Authorization: Bearer "+text).Code)
	_, err = b.s.cfg.Auth.CreateUser(t.Context(), "test", "bob", "correct horse", auth.Viewer, time.Now())
	require.NoError(t, err)
	x, err := b.s.cfg.Auth.Login("bob", "correct horse")
	require.NoError(t, err)
	require.Equal(t, "/?login=expired", b.get("/api/v1/auth/oidc/callback?code=x",
		"Cookie: watchingcat_oidc="+x.Token).Header().Get("Location"))
	w := b.get("/api/v1/auth/oidc/callback?code=x&state="+u.Query().Get("state"), "Cookie: watchingcat_oidc="+text+"x")
	require.Equal(t, "/?login=expired", w.Header().Get("Location"))
}

func TestProviderIsDown(t *testing.T) {
	_, p, me := oidcBench(t)
	p.Set(func() { p.Down = true })
	end, _ := me.visit(me.url + "/api/v1/auth/oidc/login")
	require.Equal(t, "/?login=unreachable", end)
	p.Set(func() { p.Down = false })
	_, who := me.visit(me.url + "/api/v1/auth/oidc/login")
	require.Equal(t, "oidc:ann@example.org viewer", who)
	p.Set(func() { p.Down = true })
	end, who = newBrowser(t, me.url).visit(me.url + "/")
	require.Equal(t, "/ nobody", end+" "+who)
	_, who = me.visit(me.url + "/")
	require.Equal(t, "oidc:ann@example.org viewer", who, "a login does not need the provider")
}

func TestWithoutAProvider(t *testing.T) {
	b := newAuthBench(t)
	for _, path := range []string{"login", "callback?code=x&state=y"} {
		w := b.get(auth.OIDCPath + path)
		require.Equal(t, http.StatusNotFound, w.Code)
		require.Contains(t, w.Body.String(), "oidc_off")
	}
	w := newBench(t).get(auth.OIDCPath + "login")
	require.Contains(t, w.Body.String(), "auth_off")
}
