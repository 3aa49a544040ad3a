package auth

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// claims of a token. Version is that of the local user in tokens that Login gave, Login how another user logged in.
type claims struct {
	jwt.RegisteredClaims
	Role    string `json:"role"`
	Version string `json:"user_version,omitempty"`
	Login   string `json:"login,omitempty"`
}

// verify returns the claims of a token that is signed, meant for us and in force. Two families of algorithms have a key and an issuer
// each, so that a public key is never taken for a shared secret.
func (a *Auth) verify(ctx context.Context, token string) (*claims, error) {
	payload, method, err := a.payload(ctx, token)
	if errors.Is(err, ErrCredentials) || ctx.Err() != nil {
		return nil, err
	}
	if err != nil {
		return nil, ErrCredentials
	}
	c, err := claimsOf(payload)
	if err != nil {
		return nil, ErrCredentials
	}
	issuer, audience := Name, Name
	if method != jwt.SigningMethodHS256 {
		issuer, audience = a.cfg.JWKSIssuer, a.cfg.JWKSAudience
		c.Version, c.Login = "", "" // the provider knows nothing of our logins
	}
	v := jwt.NewValidator(jwt.WithExpirationRequired(), jwt.WithIssuer(issuer), jwt.WithAudience(audience), jwt.WithTimeFunc(a.cfg.Now))
	if v.Validate(c) != nil || c.Subject == "" {
		return nil, ErrCredentials
	}
	return c, nil
}

// methods that a token may be signed by.
var methods = map[string]jwt.SigningMethod{
	"HS256": jwt.SigningMethodHS256, "RS256": jwt.SigningMethodRS256, "ES256": jwt.SigningMethodES256,
}

// payload returns what a JWS in compact form (RFC 7515, 3.1) signs, and by which method.
func (a *Auth) payload(ctx context.Context, token string) ([]byte, jwt.SigningMethod, error) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return nil, nil, errors.New("a token has three parts")
	}
	var decoded [3][]byte
	for i, p := range parts {
		var err error
		if decoded[i], err = base64.RawURLEncoding.Strict().DecodeString(p); err != nil || strings.ContainsAny(p, "\r\n") {
			return nil, nil, errors.New("the token is not base64url")
		}
	}
	var alg, kid string
	header, err := object(decoded[0], map[string]any{"alg": &alg, "kid": &kid})
	if err != nil {
		return nil, nil, err
	}
	if _, ok := header["crit"]; ok {
		return nil, nil, errors.New("the token asks for extensions that are not known") // RFC 7515, 4.1.11
	}
	method := methods[alg]
	var key any
	switch {
	case method == jwt.SigningMethodHS256:
		key = a.cfg.Secret
	case method != nil && a.keys != nil:
		if key, err = a.keys.key(ctx, kid, method); err != nil {
			return nil, nil, err
		}
	default:
		return nil, nil, fmt.Errorf("algorithm %q is not taken", alg)
	}
	return decoded[1], method, method.Verify(parts[0]+"."+parts[1], decoded[2], key)
}

func claimsOf(payload []byte) (*claims, error) {
	c := &claims{}
	_, err := object(payload, map[string]any{"iss": &c.Issuer, "sub": &c.Subject, "aud": &c.Audience, "exp": &c.ExpiresAt,
		"nbf": &c.NotBefore, "iat": &c.IssuedAt, "jti": &c.ID, "role": &c.Role, "user_version": &c.Version, "login": &c.Login})
	return c, err
}

// object reads a JSON object into fields by name. A name that comes twice is refused, and Role is not role, so that everybody who
// reads a token reads the same (RFC 7519, 4).
func object(b []byte, fields map[string]any) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, errors.New("no JSON object")
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, err
		}
		name, _ := t.(string)
		if _, again := out[name]; again {
			return nil, fmt.Errorf("%q comes twice", name)
		}
		var v json.RawMessage
		if err := d.Decode(&v); err != nil {
			return nil, err
		}
		out[name] = v
		if field := fields[name]; field != nil {
			if err := json.Unmarshal(v, field); err != nil {
				return nil, fmt.Errorf("%q: %w", name, err)
			}
		}
	}
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the JSON object")
	}
	return out, nil
}
