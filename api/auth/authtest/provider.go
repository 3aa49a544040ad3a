// Package authtest is the other side of a login, for tests.
package authtest

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
)

// Provider is OpenID Connect's other side: it knows one user, asks for nothing, signs, and holds the client to state, PKCE,
// redirect and secret.
type Provider struct {
	t   *testing.T
	URL string
	Key *rsa.PrivateKey

	mu    sync.Mutex
	codes map[string]url.Values // what the client asked for, by code
	Used  int                   // codes exchanged; within Set
	// Claim changes the claims of ID tokens; Sign makes a text of them otherwise; Deny is an error instead of a code; Down answers nothing;
	// Bye is the end_session_endpoint. They are changed within Set.
	Claim func(jwt.MapClaims)
	Sign  func(jwt.MapClaims) string
	Deny  string
	Down  bool
	Bye   string
}

var providerKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, _ := rsa.GenerateKey(rand.Reader, 2048) // never fails
	return k
})

// NewProvider serves until the test ends.
func NewProvider(t *testing.T) *Provider {
	t.Helper()
	p := &Provider{t: t, Key: providerKey(), codes: map[string]url.Values{}}
	mux := http.NewServeMux()
	answer := func(w http.ResponseWriter, v any) {
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(v); err != nil {
			t.Error(err)
		}
	}
	mux.HandleFunc("GET /.well-known/openid-configuration", func(w http.ResponseWriter, _ *http.Request) {
		about := map[string]any{"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token",
			"jwks_uri": p.URL + "/keys", "id_token_signing_alg_values_supported": []string{"RS256", "HS256", "none"}}
		if p.Bye != "" {
			about["end_session_endpoint"] = p.Bye
		}
		answer(w, about)
	})
	mux.HandleFunc("GET /keys", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]any{"keys": []any{map[string]any{"kty": "RSA", "kid": "k", "use": "sig", "alg": "RS256",
			"n": base64.RawURLEncoding.EncodeToString(p.Key.N.Bytes()), "e": "AQAB"}}})
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
		if p.Down {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(srv.Close)
	p.URL = srv.URL
	return p
}

func (p *Provider) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	back := url.Values{"state": {q.Get("state")}, "session_state": {"of the provider"}, "iss": {p.URL}}
	switch {
	case q.Get("client_id") != "watchingcat" || q.Get("response_type") != "code" || q.Get("code_challenge_method") != "S256" ||
		!strings.Contains(q.Get("scope"), "openid"):
		p.t.Errorf("the client asks for %v", q)
	case p.Deny != "":
		back.Set("error", p.Deny)
	default:
		code := rand.Text()
		p.codes[code] = q
		back.Set("code", code)
	}
	http.Redirect(w, r, q.Get("redirect_uri")+"?"+back.Encode(), http.StatusFound)
}

// token is the ID token for a code, which counts once.
func (p *Provider) token(r *http.Request) (string, error) {
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
	if base64.RawURLEncoding.EncodeToString(sum[:]) != asked.Get("code_challenge") ||
		r.PostFormValue("redirect_uri") != asked.Get("redirect_uri") {
		return "", fmt.Errorf("not who asked for the code")
	}
	p.Used++
	c := jwt.MapClaims{"iss": p.URL, "aud": "watchingcat", "sub": "4711", "email": "ann@example.org", "nonce": asked.Get("nonce"),
		"exp": time.Now().Add(time.Minute).Unix(), "iat": time.Now().Unix()}
	if p.Claim != nil {
		p.Claim(c)
	}
	if p.Sign != nil {
		return p.Sign(c), nil
	}
	return p.Signed(jwt.SigningMethodRS256, p.Key, c), nil
}

// Signed is the text of a token that says c.
func (p *Provider) Signed(m jwt.SigningMethod, key any, c jwt.MapClaims) string {
	token := jwt.NewWithClaims(m, c)
	token.Header["kid"] = "k"
	text, err := token.SignedString(key)
	require.NoError(p.t, err)
	return text
}

// Set changes the provider between two requests.
func (p *Provider) Set(f func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	f()
}
