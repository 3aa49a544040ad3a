package api

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/auth"
)

// identityProvider is OpenID Connect's other side: it knows one user, asks for nothing, signs, and holds the client to state, PKCE,
// redirect and secret.
type identityProvider struct {
	t   *testing.T
	url string
	key *rsa.PrivateKey

	mu    sync.Mutex
	codes map[string]url.Values // what the client asked for, by code
	used  int                   // codes exchanged
	// claim changes the claims of ID tokens; sign makes a text of them otherwise; deny is an error instead of a code; down answers nothing.
	claim func(jwt.MapClaims)
	sign  func(jwt.MapClaims) string
	deny  string
	down  bool
	bye   string // end_session_endpoint
}

var providerKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, _ := rsa.GenerateKey(rand.Reader, 2048) // never fails
	return k
})

func newIdentityProvider(t *testing.T) *identityProvider {
	p := &identityProvider{t: t, key: providerKey(), codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		about := map[string]any{"issuer": p.url, "authorization_endpoint": p.url + "/authorize", "token_endpoint": p.url + "/token", "jwks_uri": p.url + "/keys",
			"id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}}
		if p.bye != "" {
			about["end_session_endpoint"] = p.bye
		}
		answer(w, about)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256",
			"n": base64.RawURLEncoding.EncodeToString(p.key.N.Bytes()), "e": "AQAB"}}})
	})
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", func(w http.ResponseWriter, r *http.Request) {
		text, err := p.token(r)
		if err != nil {
			w.WriteHeader(http.StatusBadRequest)
			answer(w, map[string]any{"error": "invalid_grant", "error_description": err.Error()})
			return
		}
		answer(w, map[string]any{"access_token": "a", "token_type": "Bearer", "id_token": text})
	})
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	p.url = srv.URL
	return p
}

func (p *identityProvider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := url.Values{"state": {q.Get("state")}, "session_state": {"of the provider"}, "iss": {p.url}}
	switch {
	case q.Get("client_id") != "watchingcat" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" || !strings.Contains(q.Get("scope"), "openid"):
		p.t.Errorf("the client asks for %v", q)
	case p.deny != "":
		back.Set("error", p.deny)
	default:
		code := rand.Text()
		p.codes[code] = q
		back.Set("code", code)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// token is the ID token for a code, which counts once.
func (p *identityProvider) token(r *http.Request) (string, error) {
	id, secret, ok := r.BasicAuth()
	if !ok || id != "watchingcat" || secret != "s3cret" {
		return "", fmt.Errorf("the client is not known")
	}
	code := r.PostFormValue("code")
	asked, ok := p.codes[code]
	if !ok {
		return "", fmt.Errorf("no such code")
	}
	delete(p.codes, code)
	sum := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	if base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") || r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") {
		return "", fmt.Errorf("not who asked for the code")
	}
	p.used++
	c := jwt.MapClaims{"iss": p.url, "aud": "watchingcat", "sub": "4711", "email": "ann@example.org", "nonce": asked.Get("nonce"), "exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix()}
	if p.claim != nil {
		p.claim(c)
	}
	if p.sign != nil {
		return p.sign(c), nil
	}
	return p.signed(jwt.SigningMethodRS256, p.key, c), nil
}

func (p *identityProvider) signed(m jwt.SigningMethod, key any, c jwt.MapClaims) string {
	token := jwt.NewWithClaims(m, c)
	token.Header["kid"] = "k"
	text, err := token.SignedString(key)
	require.NoError(p.t, err)
	return text
}

// set changes the provider between two requests.
func (p *identityProvider) set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}

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

// visit is where the browser ends, and what it is told of who it is.
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
func oidcBench(t *testing.T, change ...func(*auth.OIDC)) (*bench, *identityProvider, *browser) {
	p := newIdentityProvider(t)
	o := &auth.OIDC{Issuer: p.url, ClientID: "watchingcat", ClientSecret: "s3cret", Scopes: []string{"profile"}, RoleClaim: "groups",
		Roles: map[string]auth.Role{"sre": auth.Editor, "it-admins": auth.Admin}, Default: auth.Viewer}
	for _, f := range change {
		f(o)
	}
	var b *bench
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { b.s.Handler().ServeHTTP(w, r) }))
	t.Cleanup(srv.Close)
	o.RedirectURL = srv.URL + auth.OIDCPath + "callback"
	b = newBench(t, func(c *Config) {
		a, err := auth.New(t.Context(), auth.Config{Accounts: &auth.Accounts{KV: c.Store, Objects: c.Rules.Objects}, Secret: testSecret, OIDC: o})
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
	for _, to := range []string{"https://evil.example.org", "//evil.example.org", `/\evil.example.org`, "javascript:alert(1)", "/\t/evil.example.org"} {
		end, _ := me.visit(me.url + "/api/v1/auth/oidc/login?to=" + url.QueryEscape(to))
		require.Equal(t, "/", end, to)
	}
	for name, want := range map[string]struct {
		groups any
		role   string
	}{"mapped": {[]string{"dev", "sre"}, "editor"}, "largest": {[]string{"sre", "it-admins", "viewer"}, "admin"}, "a role's own name": {"admin", "admin"},
		"unknown": {[]string{"root"}, "viewer"}, "no text": {42, "viewer"}, "other case": {"SRE", "viewer"}} {
		p.set(func() { p.claim = func(c jwt.MapClaims) { c["groups"] = want.groups } })
		_, who := newBrowser(t, me.url).visit(me.url + "/api/v1/auth/oidc/login")
		require.Equal(t, "oidc:ann@example.org "+want.role, who, name)
	}
	for claim, want := range map[string]string{"preferred_username": "oidc:ann", "email": "oidc:4711", "odd": "oidc:ann@example.org"} {
		p.set(func() {
			p.claim = func(c jwt.MapClaims) {
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
	p.set(func() { p.claim = func(c jwt.MapClaims) { c["preferred_username"] = "ann" } })
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
			require.True(t, strings.HasPrefix(out.Location, p.url+"/bye?") && strings.Contains(out.Location, "keep=1"), out.Location)
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
	p.set(func() { p.bye = p.url + "/bye?keep=1" })
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
	require.Equal(t, http.StatusNoContent, status, "nobody is logged in any more")

	for _, bad := range []string{"javascript:alert(1)", "/relative", "ftp://x/"} {
		_, p, me := oidcBench(t)
		p.set(func() { p.bye = bad })
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
			p.claim = func(c jwt.MapClaims) {
				inGroup(c)
				if c[name] = v; v == nil {
					delete(c, name)
				}
			}
		}
	}
	sign := func(f func(c jwt.MapClaims) string) func() { return func() { p.claim, p.sign = inGroup, f } }
	for name, c := range map[string]struct {
		change func()
		want   string
	}{
		"fine":        {func() { p.claim = inGroup }, "/"},
		"no role":     {func() {}, "/?login=no_role"},
		"denied":      {func() { p.deny = "access_denied" }, "/?login=refused"},
		"nonce":       {set("nonce", "another"), "/?login=failed"},
		"no nonce":    {set("nonce", nil), "/?login=failed"},
		"audience":    {set("aud", "another"), "/?login=failed"},
		"issuer":      {set("iss", "https://another"), "/?login=failed"},
		"expired":     {set("exp", time.Now().Add(-time.Second).Unix()), "/?login=failed"},
		"no subject":  {set("sub", 7), "/?login=failed"},
		"foreign key": {sign(func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodRS256, other, c) }), "/?login=failed"},
		"none": {sign(func(c jwt.MapClaims) string {
			return p.signed(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, c)
		}), "/?login=failed"},
		"HS256":    {sign(func(c jwt.MapClaims) string { return p.signed(jwt.SigningMethodHS256, []byte("s3cret"), c) }), "/?login=failed"},
		"no token": {sign(func(jwt.MapClaims) string { return "" }), "/?login=failed"},
	} {
		p.set(func() {
			p.claim, p.sign, p.deny = nil, nil, ""
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
	require.Zero(t, p.used, "nobody asked the provider")
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
	require.Equal(t, "/?login=expired", b.get("/api/v1/auth/oidc/callback?code=x", "Cookie: watchingcat_oidc="+x.Token).Header().Get("Location"))
	w := b.get("/api/v1/auth/oidc/callback?code=x&state="+u.Query().Get("state"), "Cookie: watchingcat_oidc="+text+"x")
	require.Equal(t, "/?login=expired", w.Header().Get("Location"))
}

func TestProviderIsDown(t *testing.T) {
	_, p, me := oidcBench(t)
	p.set(func() { p.down = true })
	end, _ := me.visit(me.url + "/api/v1/auth/oidc/login")
	require.Equal(t, "/?login=unreachable", end)
	p.set(func() { p.down = false })
	_, who := me.visit(me.url + "/api/v1/auth/oidc/login")
	require.Equal(t, "oidc:ann@example.org viewer", who)
	p.set(func() { p.down = true })
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
