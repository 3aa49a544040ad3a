package auth

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/oauth2"
)

// OIDC is a login at an identity provider by OpenID Connect: the authorization code flow with state, nonce and PKCE.
type OIDC struct {
	Issuer, ClientID, ClientSecret string
	// RedirectURL is where the provider sends browsers back to; it ends with OIDCPath + "callback".
	RedirectURL string
	Scopes      []string
	// RoleClaim names the claim that holds roles, a text or a list. Roles says which role a value means; a role's own name means itself.
	RoleClaim string
	Roles     map[string]Role
	// Default is the role of who has none by the claim; Public: they may not log in.
	Default Role
}

// OIDCPath is where the flow begins (login) and ends (callback).
const OIDCPath = "/api/v1/auth/oidc/"

const (
	flowCookie   = "watchingcat_oidc"
	hintCookie   = "watchingcat_oidc_hint"
	maxHint      = 3800           // bytes that browsers keep of a cookie, and its name
	flowAudience = Name + "/oidc" // so that a flow is no login
	flowTime     = 10 * time.Minute
	oidcTimeout  = 10 * time.Second // of a request to the provider
)

// A LoginError is why a login at a provider failed, by a stable code: refused, expired, failed, no_role or unreachable.
type LoginError struct {
	Code string
	Err  error
}

func (e *LoginError) Error() string {
	return fmt.Sprintf("login at the identity provider: %s: %v", e.Code, e.Err)
}
func (e *LoginError) Unwrap() error { return e.Err }

// provider is the identity provider of a configuration, found when it is first needed: it may start later than we do.
type provider struct {
	OIDC
	client *http.Client

	mu    sync.Mutex
	found *oidc.Provider
}

func (p *provider) find(ctx context.Context) (*oidc.Provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.found == nil {
		found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.client), p.Issuer)
		if err != nil {
			return nil, &LoginError{"unreachable", err}
		}
		p.found = found
	}
	return p.found, nil
}

func (p *provider) oauth(found *oidc.Provider) *oauth2.Config {
	return &oauth2.Config{ClientID: p.ClientID, ClientSecret: p.ClientSecret, RedirectURL: p.RedirectURL, Endpoint: found.Endpoint(),
		Scopes: p.Scopes}
}

// flow is what a browser keeps while it is at the provider.
type flow struct {
	jwt.RegisteredClaims
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	To       string `json:"to"` // the page to go back to
}

// HasOIDC reports whether one can log in at an identity provider.
func (a *Auth) HasOIDC() bool { return a.oidc != nil }

// BeginOIDC returns where the browser is to go, and the cookie that it is to bring back. to is a page of ours.
func (a *Auth) BeginOIDC(ctx context.Context, to string) (location, cookie string, err error) {
	found, err := a.oidc.find(ctx)
	if err != nil {
		return "", "", err
	}
	if !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n\t") || len(to) > 1000 {
		to = "/"
	}
	f := flow{RegisteredClaims: jwt.RegisteredClaims{Audience: jwt.ClaimStrings{flowAudience},
		ExpiresAt: jwt.NewNumericDate(a.cfg.Now().Add(flowTime))},
		State: rand.Text(), Nonce: rand.Text(), Verifier: oauth2.GenerateVerifier(), To: to}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, f).SignedString(a.cfg.Secret)
	if err != nil {
		return "", "", fmt.Errorf("auth: sign: %w", err)
	}
	return a.oidc.oauth(found).AuthCodeURL(f.State, oidc.Nonce(f.Nonce), oauth2.S256ChallengeOption(f.Verifier)), a.flowCookie(text), nil
}

// flowCookie is sent when the provider sends the browser back, which a strict one is not; "" takes it away.
func (a *Auth) flowCookie(text string) string {
	//nolint:gosec // Secure is set where the page is served over TLS
	c := http.Cookie{Name: flowCookie, Value: text, Path: OIDCPath, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: a.cfg.Secure,
		MaxAge: int(flowTime.Seconds())}
	if text == "" {
		c.MaxAge = -1
	}
	return c.String()
}

// EndOIDC makes a session of what a browser brings back from the provider. to is the page where it began; cookie ends the flow.
func (a *Auth) EndOIDC(r *http.Request) (s *Session, to, cookie string, err error) {
	ctx, cancel := context.WithTimeout(r.Context(), 3*oidcTimeout)
	defer cancel()
	to, cookie = "/", a.flowCookie("")
	f, err := a.flow(ctx, r)
	if err != nil {
		return nil, to, cookie, &LoginError{"expired", err}
	}
	q := r.URL.Query()
	if q.Has("error") {
		return nil, f.To, cookie, &LoginError{"refused", fmt.Errorf("the provider says %q: %q", q.Get("error"), q.Get("error_description"))}
	}
	id, raw, err := a.oidc.redeem(ctx, q.Get("code"), f, a.cfg.Now)
	if err != nil {
		return nil, f.To, cookie, err
	}
	name, role, err := a.oidc.whoIs(id)
	if err != nil {
		return nil, f.To, cookie, err
	}
	if s, err = a.session(claims{RegisteredClaims: jwt.RegisteredClaims{Subject: name}, Role: role.String(), Login: "oidc"}); err == nil {
		s.hint = raw
	}
	return s, f.To, cookie, err
}

// HintCookie keeps the ID token of a session with the browser until that logs out: the provider wants to see it again. nil takes it away.
func (a *Auth) HintCookie(s *Session) string {
	//nolint:gosec // Secure is set where the page is served over TLS
	c := http.Cookie{Name: hintCookie, Path: "/api/v1/auth/logout", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: a.cfg.Secure,
		MaxAge: -1}
	if s != nil && len(s.hint) <= maxHint {
		c.Value, c.MaxAge = s.hint, int(a.cfg.Duration.Seconds())
	}
	return c.String()
}

// Hint is what the browser kept for logging out at the provider.
func Hint(r *http.Request) string {
	c, err := r.Cookie(hintCookie)
	if err != nil {
		return ""
	}
	return c.Value
}

// LogoutOIDC returns where the browser of p is to go to log out at the provider too (OpenID Connect RP-Initiated Logout 1.0); "" where it
// did not log in there, or the provider has no such place. Where the provider does not answer, the login ended here alone.
func (a *Auth) LogoutOIDC(ctx context.Context, p Principal, hint string) (string, error) {
	if a.oidc == nil || !p.Login || p.User != "" {
		return "", nil
	}
	ctx, cancel := context.WithTimeout(ctx, oidcTimeout)
	defer cancel()
	found, err := a.oidc.find(ctx)
	if err != nil {
		return "", err
	}
	var c struct {
		EndSession string `json:"end_session_endpoint"`
	}
	if err := found.Claims(&c); err != nil || c.EndSession == "" {
		return "", err
	}
	u, err := url.Parse(c.EndSession)
	if err != nil || u.Scheme != "https" && u.Scheme != "http" || u.Host == "" {
		return "", fmt.Errorf("auth: the identity provider's end_session_endpoint %q is no URL", c.EndSession)
	}
	q := u.Query()
	q.Set("client_id", a.oidc.ClientID)
	q.Set("post_logout_redirect_uri", strings.TrimSuffix(a.oidc.RedirectURL, strings.TrimPrefix(OIDCPath, "/")+"callback"))
	if hint != "" {
		q.Set("id_token_hint", hint)
	}
	u.RawQuery = q.Encode()
	return u.String(), nil
}

// flow returns what the browser kept, if it is the one that began.
func (a *Auth) flow(ctx context.Context, r *http.Request) (*flow, error) {
	c, err := r.Cookie(flowCookie)
	if err != nil || len(c.Value) > maxCredential {
		return nil, errors.New("the browser brings no cookie of a login that it began")
	}
	payload, method, err := a.payload(ctx, c.Value)
	if err != nil || method != jwt.SigningMethodHS256 {
		return nil, errors.New("the cookie is not ours")
	}
	f := &flow{}
	if err := json.Unmarshal(payload, f); err != nil {
		return nil, err
	}
	if err := jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithAudience(flowAudience),
		jwt.WithTimeFunc(a.cfg.Now)).Validate(f); err != nil {
		return nil, err
	}
	if f.State == "" || subtle.ConstantTimeCompare([]byte(f.State), []byte(r.URL.Query().Get("state"))) != 1 {
		return nil, errors.New("the state is that of another login")
	}
	return f, nil
}

// redeem exchanges the code for an ID token and verifies it; raw is its text.
func (p *provider) redeem(ctx context.Context, code string, f *flow, now func() time.Time) (id *oidc.IDToken, raw string, err error) {
	found, err := p.find(ctx)
	if err != nil {
		return nil, "", err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	t, err := p.oauth(found).Exchange(ctx, code, oauth2.VerifierOption(f.Verifier))
	if err != nil {
		return nil, "", &LoginError{"failed", err}
	}
	raw, _ = t.Extra("id_token").(string)
	id, err = found.VerifierContext(ctx,
		&oidc.Config{ClientID: p.ClientID, SupportedSigningAlgs: []string{oidc.RS256, oidc.ES256}, Now: now}).Verify(ctx, raw)
	if err != nil {
		return nil, "", &LoginError{"failed", err}
	}
	if subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(f.Nonce)) != 1 {
		return nil, "", &LoginError{"failed", errors.New("the nonce is that of another login")}
	}
	return id, raw, nil
}

// whoIs reads name and role of an ID token. The name says where it comes from, so that it is no local user's.
func (p *provider) whoIs(id *oidc.IDToken) (name string, role Role, err error) {
	var c map[string]any
	if err := id.Claims(&c); err != nil {
		return "", Public, &LoginError{"failed", err}
	}
	name = id.Subject
	for _, claim := range []string{"preferred_username", "email"} {
		if text, ok := c[claim].(string); ok && checkName(text) == nil {
			name = text
			break
		}
	}
	if role = p.role(c[p.RoleClaim]); role == Public {
		return "", Public, &LoginError{"no_role", fmt.Errorf("the claim %s gives %q no role: %v", p.RoleClaim, name, c[p.RoleClaim])}
	}
	return "oidc:" + name, role, nil
}

// role is the largest one that a claim gives.
func (p *provider) role(claim any) Role {
	values, ok := claim.([]any)
	if !ok {
		values = []any{claim}
	}
	best := Public
	for _, v := range values {
		text, _ := v.(string)
		role, mapped := p.Roles[text]
		if !mapped {
			role, _ = ParseRole(text) // what is no role gives none
		}
		best = max(best, role)
	}
	return max(best, p.Default)
}

func newProvider(o OIDC, transport http.RoundTripper) (*provider, error) {
	if o.Issuer == "" || o.ClientID == "" || o.RedirectURL == "" {
		return nil, errors.New("auth: OIDC needs an issuer, a client id and an external URL")
	}
	if !slices.Contains(o.Scopes, oidc.ScopeOpenID) {
		o.Scopes = append([]string{oidc.ScopeOpenID}, o.Scopes...)
	}
	return &provider{OIDC: o, client: &http.Client{Transport: bounded{transport}, Timeout: oidcTimeout}}, nil
}
