package api

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/auth"
)

var testSecret = []byte("0123456789abcdef0123456789abcdef")

func newAuthBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	return newBench(t, append([]func(*Config){withAlertmanager, func(c *Config) {
		a, err := auth.New(t.Context(), auth.Config{Accounts: &auth.Accounts{KV: c.Store, Objects: c.Rules.Objects}, Secret: testSecret, Now: c.Now})
		require.NoError(t, err)
		c.Auth = a
	}}, change...)...)
}

func (b *bench) token(role auth.Role) string {
	b.t.Helper()
	_, secret, err := b.s.cfg.Auth.CreateToken(b.t.Context(), "test", role.String(), role, time.Time{}, b.now)
	require.NoError(b.t, err)
	return secret
}

// Every operation of the document is asked for with every role; only what is refused is looked at, the answers are other tests'.
func TestEveryRouteAsksForItsRole(t *testing.T) {
	b := newAuthBench(t)
	tokens := map[auth.Role]string{auth.Viewer: b.token(auth.Viewer), auth.Editor: b.token(auth.Editor), auth.Admin: b.token(auth.Admin)}
	for path, item := range b.s.doc.Paths.Map() {
		for method, op := range item.Operations() {
			need, ok := b.s.roles[method+" "+path]
			require.True(t, ok)
			name, _ := op.Extensions["x-role"].(string)
			require.Equal(t, need.String(), name, "%s %s has a role", method, path)
			target := strings.NewReplacer("{name}", "x", "{id}", "x", "{namespace}", "x", "{group}", "x", "{service}", "x", "{path}", "status").Replace(path)
			for role := auth.Public; role <= auth.Admin; role++ {
				if role >= need && (path == "/api/v1/logs/tail" || path == "/api/v1/live") {
					continue // does not end
				}
				var headers []string
				if role != auth.Public {
					headers = []string{"Authorization: Bearer " + tokens[role]}
				}
				w := b.do(method, target, "{}", headers...)
				switch {
				case role < need && role == auth.Public:
					require.Equal(t, http.StatusUnauthorized, w.Code, "%s %s as %s", method, path, role)
					require.Contains(t, w.Header().Get("WWW-Authenticate"), "Basic")
				case role < need:
					require.Equal(t, http.StatusForbidden, w.Code, "%s %s as %s", method, path, role)
				default:
					require.NotContains(t, []int{401, 403}, w.Code, "%s %s as %s: %s", method, path, role, w.Body)
				}
			}
		}
	}
	require.Equal(t, http.StatusOK, b.get("/").Code, "the page is public")
}

func TestLoginUsersAndTokens(t *testing.T) {
	b := newAuthBench(t)
	admin := "Authorization: Bearer " + b.token(auth.Admin)
	js := "Content-Type: application/json"
	require.Equal(t, 201, b.do("POST", "/api/v1/users", `{"name":"ann","role":"editor","password":"correct horse"}`, admin, js).Code)
	require.Equal(t, 409, b.do("POST", "/api/v1/users", `{"name":"ann","role":"editor","password":"correct horse"}`, admin, js).Code)
	require.NotContains(t, b.get("/api/v1/users", admin).Body.String(), "argon2id")
	require.NotContains(t, b.get("/api/v1/users/ann", admin).Body.String(), "hash")
	w := b.do("POST", "/api/v1/auth/login", `{"username":"ann","password":"correct horse"}`, js)
	require.Equal(t, 200, w.Code, "%s", w.Body)
	var login struct{ Token, Role string }
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &login))
	require.Equal(t, "editor", login.Role)
	cookie := w.Header().Get("Set-Cookie")
	require.Contains(t, cookie, "HttpOnly")
	require.Contains(t, cookie, "SameSite=Strict")
	cookie = "Cookie: " + strings.Split(cookie, ";")[0]
	require.Equal(t, 200, b.get("/api/v1/services", cookie).Code)
	require.Equal(t, 401, b.do("POST", "/api/v1/auth/refresh", "", cookie, "Sec-Fetch-Site: cross-site").Code, "a page of another site")
	require.Equal(t, 200, b.do("POST", "/api/v1/auth/refresh", "", cookie).Code)
	require.Equal(t, 403, b.get("/api/v1/users", cookie).Code)
	require.Equal(t, 200, b.do("PUT", "/api/v1/users/ann", `{"role":"viewer"}`, admin, js).Code)
	require.Equal(t, 401, b.get("/api/v1/services", cookie).Code, "logins end with a change")

	w = b.do("POST", "/api/v1/tokens", `{"name":"grafana","role":"viewer"}`, admin, js)
	require.Equal(t, 201, w.Code, "%s", w.Body)
	var made struct {
		Token string
		Info  struct{ ID string }
	}
	require.NoError(t, json.Unmarshal(w.Body.Bytes(), &made))
	r, err := http.NewRequest("GET", "/", nil)
	require.NoError(t, err)
	r.SetBasicAuth("anybody", made.Token)
	basic := "Authorization: " + r.Header.Get("Authorization")
	require.Equal(t, 200, b.get("/api/v1/services", basic).Code)
	require.NotContains(t, b.get("/api/v1/tokens", admin).Body.String(), made.Token)
	require.Equal(t, 204, b.do("DELETE", "/api/v1/tokens/"+made.Info.ID, "", admin).Code)
	require.Equal(t, 401, b.get("/api/v1/services", basic).Code)

	for range loginFailures {
		require.Equal(t, 401, b.do("POST", "/api/v1/auth/login", `{"username":"bob","password":"wrong wrong"}`, js).Code)
	}
	require.Equal(t, 429, b.do("POST", "/api/v1/auth/login", `{"username":"bob","password":"wrong wrong"}`, js).Code)
}

func TestForgedTokensAreRefused(t *testing.T) {
	b := newAuthBench(t)
	claims := func(change func(jwt.MapClaims)) jwt.MapClaims {
		c := jwt.MapClaims{"iss": "watchingcat", "aud": "watchingcat", "sub": "eve", "role": "admin", "exp": b.now.Add(time.Hour).Unix()}
		if change != nil {
			change(c)
		}
		return c
	}
	sign := func(m jwt.SigningMethod, key any, c jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(m, c).SignedString(key)
		require.NoError(t, err)
		return text
	}
	set := func(name string, v any) jwt.MapClaims { return claims(func(c jwt.MapClaims) { c[name] = v }) }
	good := sign(jwt.SigningMethodHS256, testSecret, claims(nil))
	require.Equal(t, 200, b.get("/api/v1/audit", "Authorization: Bearer "+good).Code)
	for name, text := range map[string]string{
		"none":         sign(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, claims(nil)),
		"HS512":        sign(jwt.SigningMethodHS512, testSecret, claims(nil)),
		"other key":    sign(jwt.SigningMethodHS256, []byte("another secret of enough bytes..."), claims(nil)),
		"expired":      sign(jwt.SigningMethodHS256, testSecret, set("exp", b.now.Add(-time.Second).Unix())),
		"no exp":       sign(jwt.SigningMethodHS256, testSecret, claims(func(c jwt.MapClaims) { delete(c, "exp") })),
		"not yet":      sign(jwt.SigningMethodHS256, testSecret, set("nbf", b.now.Add(time.Minute).Unix())),
		"issuer":       sign(jwt.SigningMethodHS256, testSecret, set("iss", "other")),
		"audience":     sign(jwt.SigningMethodHS256, testSecret, set("aud", "other")),
		"no role":      sign(jwt.SigningMethodHS256, testSecret, claims(func(c jwt.MapClaims) { delete(c, "role") })),
		"odd role":     sign(jwt.SigningMethodHS256, testSecret, set("role", "public")),
		"no subject":   sign(jwt.SigningMethodHS256, testSecret, claims(func(c jwt.MapClaims) { delete(c, "sub") })),
		"gone user":    sign(jwt.SigningMethodHS256, testSecret, set("user_version", "00")),
		"truncated":    good[:len(good)-2],
		"no signature": good[:strings.LastIndex(good, ".")+1],
		"token":        "wc_0000000000000000_x",
		"empty":        "",
	} {
		require.Equal(t, 401, b.get("/api/v1/audit", "Authorization: Bearer "+text).Code, name)
	}
}

func TestRequestsAreLimited(t *testing.T) {
	b := newBench(t, func(c *Config) { c.RateLimit = 1 })
	limited := false
	for range 100 {
		limited = limited || b.get("/health/live").Code == http.StatusTooManyRequests
	}
	require.True(t, limited)
}
