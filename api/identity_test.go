package api

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/caller"
	"github.com/gaurav/watchingcat/api/live"
	"github.com/gaurav/watchingcat/storage"
)

var testSecret = []byte("0123456789abcdef0123456789abcdef")

func newAuthBench(t *testing.T, change ...func(*Config)) *bench {
	t.Helper()
	return newBench(t, append([]func(*Config){withAlertmanager, withAuth(t)}, change...)...)
}

func withAuth(t *testing.T) func(*Config) {
	return func(c *Config) {
		a, err := auth.New(context.Background(),
			auth.Config{Accounts: &auth.Accounts{KV: c.Store, Objects: c.Rules.Objects}, Secret: testSecret, Now: c.Now})
		require.NoError(t, err)
		c.Auth = a
	}
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
			need, ok := b.s.rest.Roles[method+" "+path]
			require.True(t, ok)
			name, _ := op.Extensions["x-role"].(string)
			require.Equal(t, need.String(), name, "%s %s has a role", method, path)
			target := strings.NewReplacer("{name}", "x", "{id}", "x", "{namespace}", "x", "{group}", "x", "{service}", "x", "{path}",
				"status").Replace(path)
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
	for _, elsewhere := range []string{"Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site", "Origin: https://evil.example.org",
		"Origin: null"} {
		for _, path := range []string{"/api/v1/auth/refresh", "/api/v1/auth/logout", "/api/v1/auth/login"} {
			w := b.do("POST", path, `{"username":"ann","password":"correct horse"}`, cookie, elsewhere, js)
			require.Equal(t, 403, w.Code, "%s of %s", path, elsewhere)
			require.Contains(t, w.Body.String(), "cross_site")
			require.Empty(t, w.Header().Get("Set-Cookie"))
		}
		require.Equal(t, 200, b.get("/api/v1/services", cookie, elsewhere).Code,
			"reading changes nothing, and the browser keeps the answer from the page")
	}
	for _, here := range []string{"Sec-Fetch-Site: same-origin", "Origin: http://example.com"} {
		require.Equal(t, 200, b.do("POST", "/api/v1/auth/refresh", "", cookie, here).Code)
	}
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

	me := func(headers ...string) string { return b.get("/api/v1/auth/me", headers...).Body.String() }
	require.JSONEq(t, `{"authentication":true,"name":null,"role":null,"login":false,"local":false,"expires_at":null,"oidc":false}`, me())
	require.JSONEq(t, `{"authentication":true,"name":null,"role":null,"login":false,"local":false,"expires_at":null,"oidc":false}`,
		me(cookie), "that login has ended")
	require.JSONEq(t, `{"authentication":true,"name":"token:admin","role":"admin","login":false,"local":false,"expires_at":null,"oidc":false}`, me(admin))
	w = b.do("POST", "/api/v1/auth/login", `{"username":"ann","password":"correct horse"}`, js)
	require.JSONEq(t, `{"authentication":true,"name":"ann","role":"viewer","login":true,"local":true,"expires_at":"1970-01-02T00:01:00Z","oidc":false}`, me("Cookie: "+strings.Split(w.Header().Get("Set-Cookie"), ";")[0]))
}

// TestGuessingLocksOutNoOtherUser: wrong passwords count by name and address, and many more by name alone. The minute that they count
// for is that of a clock which stands still.
func TestGuessingLocksOutNoOtherUser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, withAuth(t))
		_, err := b.s.cfg.Auth.CreateUser(t.Context(), "test", "ann", "correct horse", auth.Viewer, time.Unix(60, 0))
		require.NoError(t, err)
		login := func(address int, password string) int {
			r := httptest.NewRequest(http.MethodPost, "/api/v1/auth/login",
				strings.NewReader(`{"username":"ann","password":"`+password+`"}`))
			r.RemoteAddr = fmt.Sprintf("192.0.2.%d:1234", address)
			r.Header.Set("Content-Type", "application/json")
			w := httptest.NewRecorder()
			b.s.Handler().ServeHTTP(w, r)
			return w.Code
		}
		for range caller.LoginFailures {
			require.Equal(t, 401, login(1, "wrong wrong"))
		}
		require.Equal(t, 429, login(1, "correct horse"))
		require.Equal(t, 200, login(2, "correct horse"))
		for i := range caller.LoginFailuresOf - caller.LoginFailures - 1 { // as from other addresses, without working out so many passwords
			b.s.rest.Failed(caller.With(t.Context(), &caller.Caller{Address: fmt.Sprintf("192.0.2.%d", 4+i)}), "ann", "ann")
		}
		require.Equal(t, 401, login(3, "wrong wrong"))
		require.Equal(t, 429, login(2, "correct horse"))
	})
}

// TestBrowsersAskWhereNoPageDoes: a challenge of basic authentication makes a browser ask by itself, also before the page's form.
func TestBrowsersAskWhereNoPageDoes(t *testing.T) {
	b := newAuthBench(t)
	for header, asks := range map[string]bool{
		"Accept: text/html": true, "Accept: */*": true, "Sec-Fetch-Mode: navigate": true,
		"Sec-Fetch-Mode: cors": false, "Sec-Fetch-Mode: websocket": false, "X-Requested-With: page": false,
		"Accept: text/event-stream": false,
	} {
		w := b.get("/api/v1/services", header)
		require.Equal(t, 401, w.Code)
		require.Equal(t, asks, strings.Contains(strings.Join(w.Header().Values("WWW-Authenticate"), ","), "Basic"), header)
		require.Contains(t, strings.Join(w.Header().Values("WWW-Authenticate"), ","), "Bearer")
	}
	w := b.get("/ws", "Upgrade: websocket", "Origin: http://example.com")
	require.Equal(t, []string{`Bearer realm="WatchingCat"`}, w.Header().Values("WWW-Authenticate"))
}

// TestNoUserIsUnknownBeforeUsersAreRead: a replica that has just started must not send away whom it does not know yet.
func TestNoUserIsUnknownBeforeUsersAreRead(t *testing.T) {
	read := false
	b := newAuthBench(t, func(c *Config) { c.Auth.Read = func() bool { return read } })
	js := "Content-Type: application/json"
	bearer := func(claims jwt.MapClaims) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(testSecret)
		require.NoError(t, err)
		return "Authorization: Bearer " + text
	}
	token := "Authorization: Bearer wc_0123456789abcdef_x"
	gone := bearer(jwt.MapClaims{"iss": "watchingcat", "aud": "watchingcat", "sub": "ann", "role": "admin", "user_version": "0",
		"exp": b.now.Add(time.Hour).Unix()})
	for _, want := range []int{503, 401} {
		for name, w := range map[string]*httptest.ResponseRecorder{
			"token": b.get("/api/v1/services", token), "login": b.get("/api/v1/services", gone),
			"password": b.do("POST", "/api/v1/auth/login", `{"username":"ann","password":"correct horse"}`, js),
		} {
			require.Equal(t, want, w.Code, "%s: %s", name, w.Body)
		}
		require.Equal(t, 401, b.get("/api/v1/services", "Authorization: Bearer x").Code, "what is no credential is none of anybody")
		require.Equal(t, 200, b.get("/health/live", token).Code)
		read = true
	}
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

// TestLogoutEndsALogin: what was copied is of no use either, nor what was made of it by renewing.
func TestLogoutEndsALogin(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newAuthBench(t)
		_, err := b.s.cfg.Auth.CreateUser(t.Context(), "test", "ann", "correct horse", auth.Editor, b.now)
		require.NoError(t, err)
		bearer := func(w *httptest.ResponseRecorder) string {
			t.Helper()
			var login struct{ Token string }
			require.Equal(t, 200, w.Code, "%s", w.Body)
			require.NoError(t, json.Unmarshal(w.Body.Bytes(), &login))
			return "Authorization: Bearer " + login.Token
		}
		login := func() string {
			return bearer(b.do("POST", "/api/v1/auth/login", `{"username":"ann","password":"correct horse"}`,
				"Content-Type: application/json"))
		}
		status := func(credential string) int { return b.get("/api/v1/services", credential).Code }
		first, other := login(), login()
		b.now = b.now.Add(23 * time.Hour)
		renewed := bearer(b.do("POST", "/api/v1/auth/refresh", "", first))
		require.Equal(t, []int{200, 200, 200}, []int{status(first), status(renewed), status(other)})
		require.Equal(t, 204, b.do("POST", "/api/v1/auth/logout", "", first).Code)
		require.Equal(t, []int{401, 401, 200}, []int{status(first), status(renewed), status(other)})
		b.now = b.now.Add(2 * time.Hour) // first would have expired
		require.Equal(t, 401, status(renewed))
		synctest.Wait()
		notes, err := storage.Objects(b.s.cfg.Store, storage.KindEnded)
		require.NoError(t, err)
		require.Len(t, notes, 1)
		require.NotContains(t, string(notes[0].Value)+notes[0].ID, "ey")
		b.now = b.now.Add(25 * time.Hour)
		require.Equal(t, 204, b.do("POST", "/api/v1/auth/logout", "", login()).Code)
		synctest.Wait()
		after, err := storage.Objects(b.s.cfg.Store, storage.KindEnded)
		require.NoError(t, err)
		require.Len(t, after, 1, "what has expired is forgotten")
		require.NotEqual(t, notes[0].ID, after[0].ID)
		b.s.Close()
	})
}

func TestChangeOwnPassword(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // the minute that wrong passwords count for must not end
		b := newAuthBench(t)
		js := "Content-Type: application/json"
		admin := "Authorization: Bearer " + b.token(auth.Admin)
		_, err := b.s.cfg.Auth.CreateUser(t.Context(), "test", "ann", "correct horse", auth.Viewer, b.now)
		require.NoError(t, err)
		x, err := b.s.cfg.Auth.Login("ann", "correct horse")
		require.NoError(t, err)
		mine := "Authorization: Bearer " + x.Token
		change := func(old, next string, credential string) *httptest.ResponseRecorder {
			return b.do("POST", "/api/v1/auth/password", `{"password":"`+old+`","new_password":"`+next+`"}`, js, credential)
		}
		w := change("correct horse", "another horse", admin)
		require.Equal(t, 409, w.Code)
		require.Contains(t, w.Body.String(), "no_login")
		w = change("wrong horse", "another horse", mine)
		require.Equal(t, 403, w.Code, "%s", w.Body)
		require.Contains(t, w.Body.String(), "wrong_password")
		require.Equal(t, 400, change("correct horse", "short", mine).Code)
		w = change("correct horse", "another horse", mine)
		require.Equal(t, 200, w.Code, "%s", w.Body)
		require.Equal(t, 401, b.get("/api/v1/services", mine).Code, "logins made before end")
		cookie := "Cookie: " + strings.Split(w.Header().Get("Set-Cookie"), ";")[0]
		require.Contains(t, b.get("/api/v1/auth/me", cookie).Body.String(), `"role":"viewer"`)
		_, err = b.s.cfg.Auth.Login("ann", "correct horse")
		require.ErrorIs(t, err, auth.ErrCredentials)
		require.Contains(t, b.get("/api/v1/audit?kind=user", admin).Body.String(), `"action":"update","by":"ann"`)
		require.NotContains(t, b.get("/api/v1/audit", admin).Body.String(), "horse")
		for range caller.LoginFailures - 1 {
			require.Equal(t, 403, change("wrong horse", "yet another", cookie).Code)
		}
		require.Equal(t, 429, change("another horse", "yet another", cookie).Code,
			"who has a login and not the password must not try passwords")
		b.s.Close()
	})
}

func TestTokensSayWhenTheyWereUsed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newAuthBench(t)
		admin := "Authorization: Bearer " + b.token(auth.Admin)
		tok, secret, err := b.s.cfg.Auth.CreateToken(t.Context(), "test", "grafana", auth.Viewer, time.Time{}, b.now)
		require.NoError(t, err)
		used := func(a *auth.Accounts) time.Time {
			t.Helper()
			list, err := a.Tokens()
			require.NoError(t, err)
			i := slices.IndexFunc(list, func(x *auth.Token) bool { return x.ID == tok.ID })
			return list[i].Used
		}
		another := &auth.Accounts{KV: b.s.cfg.Store, Objects: b.made} // knows what the topic says
		require.Zero(t, used(b.s.cfg.Auth.Accounts))
		writes := 0
		put := b.s.rest.Trail.Put
		b.s.rest.Trail.Put = func(ctx context.Context, list []storage.Object) error { writes++; return put(ctx, list) }
		began := b.now
		for range 119 {
			require.Equal(t, 200, b.get("/api/v1/services", "Authorization: Bearer "+secret).Code)
			synctest.Wait()
			require.Equal(t, b.now, used(b.s.cfg.Auth.Accounts), "here it is known exactly")
			b.now = b.now.Add(time.Minute)
		}
		require.Equal(t, began.Add(time.Hour), used(another), "elsewhere to the hour")
		require.Equal(t, 2, writes)
		require.Contains(t, b.get("/api/v1/tokens", admin).Body.String(), `"last_used_at":"1970-01-01T01:59:00Z"`)
		require.Equal(t, 204, b.do("DELETE", "/api/v1/tokens/"+tok.ID, "", admin).Code)
		notes, err := storage.Objects(b.s.cfg.Store, storage.KindTokenUse)
		require.NoError(t, err)
		for _, o := range notes {
			require.NotEqual(t, tok.ID, o.ID, "nothing stays of a token that is gone")
		}
		b.s.Close()
	})
}

func TestRequestsAreLimited(t *testing.T) {
	b := newBench(t, func(c *Config) { c.RateLimit = 1 })
	limited := false
	for range 100 {
		limited = limited || b.get("/health/live").Code == http.StatusTooManyRequests
	}
	require.True(t, limited)
}

// TestOpenConnectionsEndWithTheirCredential: WebSockets and event streams do not outlive what they were opened with.
func TestOpenConnectionsEndWithTheirCredential(t *testing.T) {
	admin := func(b *bench, method, path, body string) {
		b.t.Helper()
		w := b.do(method, path, body, "Authorization: Bearer "+b.token(auth.Admin), "Content-Type: application/json")
		require.Less(b.t, w.Code, 300, "%s", w.Body)
	}
	login := func(b *bench) string {
		b.t.Helper()
		admin(b, "POST", "/api/v1/users", `{"name":"ann","role":"editor","password":"correct horse"}`)
		x, err := b.s.cfg.Auth.Login("ann", "correct horse")
		require.NoError(b.t, err)
		return x.Token
	}
	made := func(b *bench, expires time.Time) (id, secret string) {
		b.t.Helper()
		tok, secret, err := b.s.cfg.Auth.CreateToken(b.t.Context(), "test", "x", auth.Viewer, expires, b.now)
		require.NoError(b.t, err)
		return tok.ID, secret
	}
	for name, f := range map[string]func(b *bench) (credential string, end func()){
		"token revoked": func(b *bench) (string, func()) {
			id, secret := made(b, time.Time{})
			return secret, func() { admin(b, "DELETE", "/api/v1/tokens/"+id, "") }
		},
		"token expires": func(b *bench) (string, func()) {
			_, secret := made(b, b.now.Add(time.Hour))
			return secret, func() { time.Sleep(time.Hour) }
		},
		"user deleted": func(b *bench) (string, func()) {
			return login(b), func() { admin(b, "DELETE", "/api/v1/users/ann", "") }
		},
		"role changed": func(b *bench) (string, func()) {
			return login(b), func() { admin(b, "PUT", "/api/v1/users/ann", `{"role":"viewer"}`) }
		},
		"password changed": func(b *bench) (string, func()) {
			return login(b), func() { admin(b, "PUT", "/api/v1/users/ann", `{"role":"editor","password":"another horse"}`) }
		},
		"own password changed": func(b *bench) (string, func()) {
			credential := login(b)
			return credential, func() {
				w := b.do("POST", "/api/v1/auth/password", `{"password":"correct horse","new_password":"another horse"}`,
					"Authorization: Bearer "+credential, "Content-Type: application/json")
				require.Equal(b.t, 200, w.Code, "%s", w.Body)
			}
		},
		"logged out": func(b *bench) (string, func()) {
			credential := login(b)
			return credential, func() {
				require.Equal(b.t, 204, b.do("POST", "/api/v1/auth/logout", "", "Authorization: Bearer "+credential).Code)
			}
		},
		"logged out at another replica": func(b *bench) (string, func()) {
			credential := login(b)
			return credential, func() {
				p, err := b.s.cfg.Auth.Verify(b.t.Context(), credential)
				require.NoError(b.t, err)
				there := newBench(b.t, withAuth(b.t.(*testing.T))).s.cfg.Auth // shares the topic alone
				notes, err := there.EndLogin(p)
				require.NoError(b.t, err)
				require.NoError(b.t, b.made.Put(b.t.Context(), notes))
				b.s.cfg.Auth.Changed()
			}
		},
		"login expires": func(b *bench) (string, func()) {
			return login(b), func() { time.Sleep(24 * time.Hour) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			liveHTTP(t, func(b *bench, _ func() *peer, client *http.Client) {
				b.record("1s 1ms cart server GET id=t1/a")
				b.commit()
				credential, end := f(b)
				_, other := made(b, time.Time{})
				ws, lives, tail := b.open(client, credential)
				otherWS, otherLive, otherTail := b.open(client, other)
				admin(b, "POST", "/api/v1/users", `{"name":"bob","role":"viewer","password":"correct horse"}`)
				b.record("2s 1ms pay server GET id=t2/a", "3s cart INFO | hello")
				b.commit()
				next := func(l *listener, want string) {
					t.Helper()
					name, _, _ := l.next()
					require.Equal(t, want, name)
				}
				for _, p := range []*peer{ws, otherWS} {
					require.Equal(t, "pay", names(p.want("delta", "s", 2)["services"], "name"), "a change of others cuts off no user")
				}
				for _, l := range []*listener{lives, otherLive} {
					next(l, "delta")
				}
				for _, l := range []*listener{tail, otherTail} {
					next(l, "line")
				}

				gone := make(chan error, 1)
				go func() {
					_, _, err := ws.conn.Read(context.Background()) // reads on for the pings on the way too
					gone <- err
				}()
				kept := make(chan received, 1)
				go func() { kept <- otherWS.read() }()
				last := map[*listener]chan []string{lives: make(chan []string, 1), tail: make(chan []string, 1)}
				for l, events := range last {
					go func() {
						name, _, data := l.next()
						after, _, _ := l.next()
						events <- []string{name, fmt.Sprint(data["code"]), after}
					}()
				}
				end()
				err := <-gone
				require.Equal(t, live.CloseEnded, websocket.CloseStatus(err), "%v", err)
				require.ErrorContains(t, err, "log in again")
				for _, events := range last {
					require.Equal(t, []string{"closed", "4401", ""}, <-events)
				}
				b.record("4s 1ms mail server GET id=t3/a")
				b.commit()
				require.Equal(t, "delta", (<-kept).Type)
				for _, l := range []*listener{lives, tail, otherLive, otherTail} {
					require.NoError(t, l.body.Close())
				}
				otherWS.leave()
			}, withAuth(t))
		})
	}
}

// open opens a WebSocket, an event stream of a view and a log tail, and reads what comes first.
func (b *bench) open(client *http.Client, credential string) (*peer, *listener, *listener) {
	b.t.Helper()
	h := http.Header{"Authorization": {"Bearer " + credential}}
	conn, _, err := websocket.Dial(b.t.Context(), "http://watchingcat/ws", &websocket.DialOptions{HTTPClient: client, HTTPHeader: h})
	require.NoError(b.t, err)
	conn.SetReadLimit(-1)
	p := &peer{t: b.t, conn: conn}
	p.send(`{"type":"subscribe","id":"s","view":"services"}`)
	p.want("snapshot", "s", 1)
	live := listenAt(b.t, client, "/api/v1/live?view=services", h)
	name, _, _ := live.next()
	require.Equal(b.t, "snapshot", name)
	return p, live, listenAt(b.t, client, "/api/v1/logs/tail", h)
}
