package auth

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"
)

// Name is the issuer and the audience of JSON Web Tokens.
const Name = "watchingcat"

// Cookie holds a browser's login.
const Cookie = "watchingcat_session"

// MinSecret is how many bytes a secret of HS256 has at least (RFC 7518, 3.2).
const MinSecret = 32

const maxCredential = 8 << 10

// Config is what New needs.
type Config struct {
	Accounts *Accounts
	// Secret signs logins and verifies HS256; nil: a random one, so that logins end with the process.
	Secret []byte
	// JWKSURL is where the keys of RS256 and ES256 are; they are fetched again now and then and for an unknown key id. Tokens signed
	// by them have this issuer and audience (Name).
	JWKSURL, JWKSIssuer, JWKSAudience string
	Transport                         http.RoundTripper // to the provider; nil: http.DefaultTransport
	// OIDC is a login at an identity provider; nil: none.
	OIDC *OIDC
	// Duration is how long a login lasts (24 h).
	Duration time.Duration
	// Secure keeps the cookie from plain HTTP.
	Secure bool
	Now    func() time.Time // nil: time.Now
	Logger zerolog.Logger
}

// Auth decides who makes a request.
type Auth struct {
	*Accounts
	cfg  Config
	keys *keySet   // nil: none
	oidc *provider // nil: none

	watching sync.Mutex
	watchers map[*watcher]struct{}
}

// New fetches the keys of JWKSURL until ctx ends; a server that does not answer yet is no error.
func New(ctx context.Context, c Config) (*Auth, error) {
	if c.Secret == nil {
		c.Secret = make([]byte, MinSecret)
		_, _ = rand.Read(c.Secret) // never fails
	}
	if len(c.Secret) < MinSecret {
		return nil, fmt.Errorf("auth: the secret has %d bytes, at least %d are needed", len(c.Secret), MinSecret)
	}
	if c.Duration == 0 {
		c.Duration = 24 * time.Hour
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	c.JWKSIssuer, c.JWKSAudience = cmp.Or(c.JWKSIssuer, Name), cmp.Or(c.JWKSAudience, Name)
	a := &Auth{Accounts: c.Accounts, cfg: c, watchers: map[*watcher]struct{}{}}
	c.Transport = cmp.Or(c.Transport, http.DefaultTransport)
	var err error
	if c.JWKSURL != "" {
		if a.keys, err = openKeys(ctx, c.JWKSURL, c.Transport, c.Logger); err != nil {
			return nil, err
		}
	}
	if c.OIDC != nil {
		if a.oidc, err = newProvider(*c.OIDC, c.Transport); err != nil {
			return nil, err
		}
	}
	return a, nil
}

// Session is a login.
type Session struct {
	Name    string
	Token   string
	Expires time.Time
	Role    Role
	hint    string // the ID token that it comes from
}

// Login gives a session to who knows a user's password.
func (a *Auth) Login(username, password string) (*Session, error) {
	u, err := a.checkLogin(username, password)
	if err != nil {
		return nil, err
	}
	return a.sessionOf(u, "")
}

// Refresh gives a new session to a user who is logged in.
func (a *Auth) Refresh(p Principal) (*Session, error) {
	u, err := a.User(p.User)
	if errors.Is(err, ErrUnknown) {
		return nil, ErrCredentials
	}
	if err != nil {
		return nil, err
	}
	return a.sessionOf(u, p.session)
}

// NewLogin gives a session to a user who has just shown who they are.
func (a *Auth) NewLogin(u *User) (*Session, error) { return a.sessionOf(u, "") }

func (a *Auth) sessionOf(u *User, id string) (*Session, error) {
	return a.session(claims{RegisteredClaims: jwt.RegisteredClaims{Subject: u.Name, ID: id}, Role: u.Role.String(), Version: u.version()})
}

// session signs claims, in force from now on.
func (a *Auth) session(c claims) (*Session, error) {
	now := a.cfg.Now()
	expires := now.Add(a.cfg.Duration).Truncate(time.Second)
	c.ID = cmp.Or(c.ID, rand.Text())
	c.Issuer, c.Audience = Name, jwt.ClaimStrings{Name}
	c.ExpiresAt, c.NotBefore, c.IssuedAt = jwt.NewNumericDate(expires), jwt.NewNumericDate(now), jwt.NewNumericDate(now)
	role, err := ParseRole(c.Role)
	if err != nil {
		return nil, err
	}
	text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString(a.cfg.Secret)
	if err != nil {
		return nil, fmt.Errorf("auth: sign: %w", err)
	}
	return &Session{Name: c.Subject, Token: text, Expires: expires.UTC(), Role: role}, nil
}

// SessionCookie is the cookie of a session; nil ends the one that the browser has.
func (a *Auth) SessionCookie(s *Session) string {
	//nolint:gosec // Secure is set where the page is served over TLS
	c := http.Cookie{Name: Cookie, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode, Secure: a.cfg.Secure, MaxAge: -1}
	if s != nil {
		c.Value, c.Expires, c.MaxAge = s.Token, s.Expires, int(s.Expires.Sub(a.cfg.Now()).Seconds())
	}
	return c.String()
}

// Verify returns whose credential it is: an API token's or a JSON Web Token's.
func (a *Auth) Verify(ctx context.Context, credential string) (Principal, error) {
	if len(credential) > maxCredential {
		return Principal{}, ErrCredentials
	}
	if strings.HasPrefix(credential, tokenPrefix) {
		t, err := a.checkToken(credential, a.cfg.Now())
		if err != nil {
			return Principal{}, err
		}
		return Principal{Name: "token:" + t.Name, Role: t.Role, expires: t.Expires, token: t.ID}, nil
	}
	c, err := a.verify(ctx, credential)
	if err != nil {
		return Principal{}, err
	}
	role, err := ParseRole(c.Role)
	if err != nil {
		return Principal{}, ErrCredentials
	}
	p := Principal{Name: c.Subject, Role: role, Login: c.Version != "" || c.Login != "", expires: c.ExpiresAt.Time}
	if p.Login {
		if p.session = c.ID; a.isEnded(p.session) {
			return Principal{}, ErrCredentials
		}
	}
	if c.Version == "" {
		return p, nil // of the identity provider, or of another issuer that has the key
	}
	unknown := a.unknown()
	u, err := a.User(c.Subject)
	if errors.Is(err, ErrUnknown) {
		return Principal{}, unknown
	}
	if err == nil && u.version() != c.Version {
		return Principal{}, ErrCredentials
	}
	if err != nil {
		return Principal{}, err
	}
	p.User, p.Role, p.version = u.Name, u.Role, c.Version
	return p, nil
}

// crossOrigin refuses changes that a page of another site makes with what the browser sends by itself.
var crossOrigin = http.NewCrossOriginProtection()

// Authenticate returns who makes a request; the zero Principal where it has no credential. A credential that is not valid is an
// error even where none is needed.
func (a *Auth) Authenticate(r *http.Request) (Principal, error) {
	if h := r.Header.Get("Authorization"); h != "" {
		scheme, value, _ := strings.Cut(h, " ")
		if strings.EqualFold(scheme, "Bearer") {
			return a.Verify(r.Context(), strings.TrimSpace(value))
		}
		if _, password, ok := r.BasicAuth(); ok { // the name says nothing: Grafana asks for one
			return a.ambient(r, password)
		}
		return Principal{}, ErrCredentials
	}
	if c, err := r.Cookie(Cookie); err == nil && c.Value != "" {
		return a.ambient(r, c.Value)
	}
	return Principal{}, nil
}

// SameSite is ErrCrossSite for a change that a page of another site asks for.
func SameSite(r *http.Request) error {
	if crossOrigin.Check(r) != nil {
		return ErrCrossSite
	}
	return nil
}

func (a *Auth) ambient(r *http.Request, credential string) (Principal, error) {
	if err := SameSite(r); err != nil {
		return Principal{}, err
	}
	return a.Verify(r.Context(), credential)
}
