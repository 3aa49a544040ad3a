package auth

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
)

// editor is an Editor over one store, as a replica alone sees it.
type editor struct {
	kv     storage.KV
	edits  []storage.Edit
	broken error
}

func (e *editor) Sync(context.Context) error { return e.broken }

func (e *editor) Write(ctx context.Context, edit storage.Edit, _ time.Time) error {
	e.edits = append(e.edits, edit)
	return e.Put(ctx, edit.Objects)
}

func (e *editor) Put(_ context.Context, list []storage.Object) error {
	var c storage.Commit
	for _, o := range list {
		c.Entries = append(c.Entries, o.Entry())
	}
	return e.kv.Commit(c)
}

// fixture is an Auth whose clock the test moves.
type fixture struct {
	*Auth
	t   *testing.T
	e   *editor
	now time.Time
}

func newFixture(t *testing.T, change ...func(*Config)) *fixture {
	t.Helper()
	kv := storage.NewMem(storage.MemOptions{})
	f := &fixture{t: t, e: &editor{kv: kv}, now: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	c := Config{Accounts: &Accounts{KV: kv, Objects: f.e}, Secret: secret, Now: func() time.Time { return f.now }}
	for _, f := range change {
		f(&c)
	}
	var err error
	f.Auth, err = New(t.Context(), c)
	require.NoError(t, err)
	return f
}

const password = "correct horse"

func (f *fixture) user(name string, role Role) {
	f.t.Helper()
	_, err := f.CreateUser(f.t.Context(), "test", name, password, role, f.now)
	require.NoError(f.t, err)
}

func (f *fixture) login(name string) *Session {
	f.t.Helper()
	s, err := f.Login(name, password)
	require.NoError(f.t, err)
	return s
}

// is asserts what a credential is verified as; "" means that it is refused.
func (f *fixture) is(credential, want string) Principal {
	f.t.Helper()
	p, err := f.Verify(f.t.Context(), credential)
	if want == "" {
		require.ErrorIs(f.t, err, ErrCredentials)
		return p
	}
	require.NoError(f.t, err)
	require.Equal(f.t, want, p.Name+" "+p.Role.String())
	return p
}

func TestUsers(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	some, err := f.HasAdmin()
	require.NoError(t, err)
	require.False(t, some)
	for name, why := range map[string]string{"": "1 to 64", "-ann": "begins with", "ann smith": "letters, digits",
		strings.Repeat("a", 65): "1 to 64", "ann\n": "letters", "änn": "letters"} {
		_, err := f.CreateUser(ctx, "test", name, password, Viewer, f.now)
		require.ErrorIs(t, err, ErrInvalid, "%q", name)
		require.ErrorContains(t, err, why, "%q", name)
	}
	for _, bad := range []string{"", "1234567", strings.Repeat("x", 257)} {
		_, err := f.CreateUser(ctx, "test", "ann", bad, Viewer, f.now)
		require.ErrorIs(t, err, ErrInvalid, "a password of %d bytes", len(bad))
	}
	f.user("ann", Admin)
	f.user("bob.b@example.org", Viewer)
	_, err = f.CreateUser(ctx, "test", "ann", password, Viewer, f.now)
	require.ErrorIs(t, err, ErrExists)
	list, err := f.Users()
	require.NoError(t, err)
	require.Len(t, list, 2)
	require.Equal(t, "ann admin "+f.now.String(), list[0].Name+" "+list[0].Role.String()+" "+list[0].Created.String())
	some, err = f.HasAdmin()
	require.NoError(t, err)
	require.True(t, some)
	for _, e := range f.e.edits {
		require.True(t, e.Secret && e.By == "test" && e.Action == "create", "the audit trail has no hash: %+v", e)
		require.NotContains(t, string(e.Objects[0].Value), password)
	}
	require.ErrorIs(t, f.DeleteUser(ctx, "test", "eve", f.now), ErrUnknown)
	_, err = f.UpdateUser(ctx, "test", "eve", "", Viewer, f.now)
	require.ErrorIs(t, err, ErrUnknown)
}

// TestLastAdmin: there is always a user who may create users.
func TestLastAdmin(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.user("ann", Admin)
	f.user("bob", Editor)
	require.ErrorIs(t, f.DeleteUser(ctx, "test", "ann", f.now), ErrLastAdmin)
	_, err := f.UpdateUser(ctx, "test", "ann", "", Editor, f.now)
	require.ErrorIs(t, err, ErrLastAdmin)
	_, err = f.UpdateUser(ctx, "test", "ann", "another password", Admin, f.now)
	require.NoError(t, err, "its password may change")
	_, err = f.UpdateUser(ctx, "test", "bob", "", Admin, f.now)
	require.NoError(t, err)
	require.NoError(t, f.DeleteUser(ctx, "test", "ann", f.now))
	require.ErrorIs(t, f.DeleteUser(ctx, "test", "bob", f.now), ErrLastAdmin)
}

// TestLogins: a login ends by its time, with its user, with the user's password or role, and by its holder.
func TestLogins(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	f.user("root", Admin)
	f.user("ann", Editor)
	for _, wrong := range [][2]string{{"ann", "wrong password"}, {"eve", password}, {"ann", ""}, {"ann", strings.Repeat("x", 300)},
		{"", ""}} {
		_, err := f.Login(wrong[0], wrong[1])
		require.ErrorIs(t, err, ErrCredentials, "%q", wrong)
	}
	s := f.login("ann")
	require.Equal(t, f.now.Add(24*time.Hour), s.Expires)
	p := f.is(s.Token, "ann editor")
	require.True(t, s.Expires.Equal(p.Expires()))
	require.True(t, p.Login && p.User == "ann")

	f.now = f.now.Add(23 * time.Hour)
	renewed, err := f.Refresh(p)
	require.NoError(t, err)
	f.now = f.now.Add(time.Hour + time.Minute)
	f.is(s.Token, "")
	p = f.is(renewed.Token, "ann editor")
	notes, err := f.EndLogin(p)
	require.NoError(t, err)
	f.is(renewed.Token, "")
	require.Len(t, notes, 1)
	require.NoError(t, f.e.Put(ctx, notes))
	f.ended.until = nil // another replica reads the note
	f.is(renewed.Token, "")
	f.now = f.now.Add(25 * time.Hour)
	again := f.is(f.login("ann").Token, "ann editor")
	notes, err = f.EndLogin(again)
	require.NoError(t, err)
	require.Len(t, notes, 2, "the note of a login that has expired is deleted")
	require.Nil(t, notes[1].Value)
	notes, err = f.EndLogin(Principal{Name: "token:x"})
	require.NoError(t, err)
	require.Empty(t, notes, "an API token is no login")

	before := f.login("ann").Token
	_, err = f.UpdateUser(ctx, "root", "ann", "", Viewer, f.now)
	require.NoError(t, err)
	f.is(before, "")
	before = f.login("ann").Token
	_, err = f.ChangePassword(ctx, "ann", "wrong password", "another password", f.now)
	require.ErrorIs(t, err, ErrCredentials)
	f.is(before, "ann viewer")
	_, err = f.ChangePassword(ctx, "ann", password, "short", f.now)
	require.ErrorIs(t, err, ErrInvalid)
	u, err := f.ChangePassword(ctx, "ann", password, "another password", f.now)
	require.NoError(t, err)
	f.is(before, "")
	_, err = f.Login("ann", password)
	require.ErrorIs(t, err, ErrCredentials)
	fresh, err := f.NewLogin(u)
	require.NoError(t, err)
	p = f.is(fresh.Token, "ann viewer")
	require.NoError(t, f.DeleteUser(ctx, "root", "ann", f.now))
	f.is(fresh.Token, "")
	_, err = f.Refresh(p)
	require.ErrorIs(t, err, ErrCredentials)
	f.user("ann", Viewer) // another ann
	f.is(fresh.Token, "")
}

// TestNotRead: until users and tokens are read no credential is rejected as wrong.
func TestNotRead(t *testing.T) {
	read := false
	f := newFixture(t, func(c *Config) { c.Accounts.Read = func() bool { return read } })
	_, err := f.Login("ann", password)
	require.ErrorIs(t, err, ErrNotRead)
	_, err = f.Verify(t.Context(), "wc_0123456789abcdef_secret")
	require.ErrorIs(t, err, ErrNotRead)
	f.user("ann", Viewer)
	s := f.login("ann")
	require.NoError(t, f.e.Put(t.Context(), []storage.Object{{Kind: storage.KindUser, ID: "ann"}}))
	_, err = f.Verify(t.Context(), s.Token)
	require.ErrorIs(t, err, ErrNotRead)
	read = true
	f.is(s.Token, "")
}

func TestTokens(t *testing.T) {
	f := newFixture(t)
	ctx := t.Context()
	_, _, err := f.CreateToken(ctx, "ann", "no name", Viewer, time.Time{}, f.now)
	require.ErrorIs(t, err, ErrInvalid)
	_, _, err = f.CreateToken(ctx, "ann", "ci", Viewer, f.now, f.now)
	require.ErrorIs(t, err, ErrInvalid, "it would have expired already")
	lasting, secret, err := f.CreateToken(ctx, "ann", "ci", Editor, time.Time{}, f.now)
	require.NoError(t, err)
	short, brief, err := f.CreateToken(ctx, "ann", "demo", Viewer, f.now.Add(time.Hour), f.now)
	require.NoError(t, err)
	require.True(t, strings.HasPrefix(secret, "wc_"+lasting.ID+"_"))
	p := f.is(secret, "token:ci editor")
	require.True(t, p.Expires().IsZero() && !p.Login && p.User == "")
	require.Equal(t, short.Expires, f.is(brief, "token:demo viewer").Expires())
	for _, e := range f.e.edits {
		require.NotContains(t, string(e.Objects[0].Value), strings.TrimPrefix(secret, "wc_"+lasting.ID+"_"))
	}
	for _, wrong := range []string{"wc_", "wc_" + lasting.ID, "wc_" + lasting.ID + "_", secret[:len(secret)-1], secret + "x",
		"wc_" + short.ID + "_" + strings.TrimPrefix(secret, "wc_"+lasting.ID+"_"),
		"wc_0123456789abcdef_x", strings.Repeat("w", maxCredential+1), "", "a.b.c"} {
		f.is(wrong, "")
	}

	_, due := f.Used(Principal{Name: "ann"}, f.now)
	require.False(t, due, "a login is not noted")
	note, due := f.Used(p, f.now)
	require.True(t, due, "the first use")
	require.NoError(t, f.e.Put(ctx, []storage.Object{note}))
	_, due = f.Used(p, f.now.Add(59*time.Minute))
	require.False(t, due, "once an hour")
	list, err := f.Tokens()
	require.NoError(t, err)
	require.Len(t, list, 2)
	for _, got := range list {
		want := time.Time{}
		if got.ID == lasting.ID {
			want = f.now.Add(59 * time.Minute)
		}
		require.True(t, want.Equal(got.Used), "%s was used at %v", got.Name, got.Used)
	}
	f.uses.last = nil // after a restart
	list, err = f.Tokens()
	require.NoError(t, err)
	require.True(t, list[0].Used.Equal(f.now) || list[1].Used.Equal(f.now), "to the hour")

	f.now = f.now.Add(time.Hour)
	f.is(brief, "")
	require.ErrorIs(t, f.RevokeToken(ctx, "ann", "unknown", f.now), ErrUnknown)
	require.NoError(t, f.RevokeToken(ctx, "ann", lasting.ID, f.now))
	f.is(secret, "")
	if _, err := storage.GetObject(f.e.kv, storage.KindTokenUse, lasting.ID); !errors.Is(err, storage.ErrNotFound) {
		t.Errorf("its last use is kept: %v", err)
	}
}

// TestDamagedAccounts: an account that cannot be read is an error, never a user.
func TestDamagedAccounts(t *testing.T) {
	for name, value := range map[string]string{"no JSON": "{", "no role": `{"hash":"x"}`, "unknown role": `{"role":"root","hash":"x"}`,
		"public": `{"role":"public","hash":"x"}`} {
		f := newFixture(t)
		require.NoError(t, f.e.Put(t.Context(),
			[]storage.Object{{Kind: storage.KindUser, ID: "ann", Value: []byte(value)},
				{Kind: storage.KindToken, ID: "0123456789abcdef", Value: []byte(value)}}))
		_, err := f.Users()
		require.Error(t, err, name)
		_, err = f.HasAdmin()
		require.Error(t, err, name)
		_, err = f.Tokens()
		require.Error(t, err, name)
		_, err = f.Login("ann", password)
		require.Error(t, err, name)
		_, err = f.Verify(t.Context(), "wc_0123456789abcdef_x")
		require.Error(t, err, name)
		_, err = f.CreateUser(t.Context(), "test", "ann", password, Viewer, f.now)
		require.ErrorIs(t, err, ErrExists, name)
	}
	for _, hash := range []string{"", "$argon2i$v=19$m=8,t=1,p=1$AAAA$AAAA", "$argon2id$v=19$m=99999999,t=1,p=1$AAAA$AAAA",
		"$argon2id$v=19$m=8,t=1,p=1$*$AAAA", "$argon2id$v=19$m=8,t=1,p=1$AAAA$AAAA"} {
		require.False(t, checkPassword(hash, password), "%q", hash)
	}
	f := newFixture(t)
	f.user("ann", Admin)
	require.NoError(t, f.e.Put(t.Context(), []storage.Object{{Kind: storage.KindEnded, ID: "x", Value: []byte("{")}}))
	require.True(t, f.isEnded("x"), "what cannot be read was ended")
	f.e.broken = errors.New("no broker")
	_, err := f.CreateUser(t.Context(), "test", "bob", password, Viewer, f.now)
	require.ErrorIs(t, err, f.e.broken)
	_, err = f.UpdateUser(t.Context(), "test", "ann", "", Viewer, f.now)
	require.ErrorIs(t, err, f.e.broken)
	require.ErrorIs(t, f.DeleteUser(t.Context(), "test", "ann", f.now), f.e.broken)
	_, _, err = f.CreateToken(t.Context(), "test", "ci", Viewer, time.Time{}, f.now)
	require.ErrorIs(t, err, f.e.broken)
	require.ErrorIs(t, f.RevokeToken(t.Context(), "test", "ci", f.now), f.e.broken)
}

// TestAuthenticate: a credential comes as a bearer token, as a password or in the cookie. What a browser sends by itself changes nothing
// for a page of another site.
func TestAuthenticate(t *testing.T) {
	f := newFixture(t, func(c *Config) { c.Secure = true })
	f.user("ann", Editor)
	_, secret, err := f.CreateToken(t.Context(), "ann", "ci", Viewer, time.Time{}, f.now)
	require.NoError(t, err)
	s := f.login("ann")
	cookie := f.SessionCookie(s)
	for _, part := range []string{Cookie + "=" + s.Token, "HttpOnly", "Secure", "SameSite=Strict", "Path=/", "Max-Age=86400"} {
		require.Contains(t, cookie, part)
	}
	require.Contains(t, f.SessionCookie(nil), "Max-Age=0", "it ends the login")
	cookie, _, _ = strings.Cut(cookie, ";")
	basic := func(user, password string) string {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.SetBasicAuth(user, password)
		return "Authorization: " + r.Header.Get("Authorization")
	}
	for name, c := range map[string]struct {
		method, header, site string
		want                 string
	}{
		"nothing":                         {"GET", "", "", " public"},
		"bearer":                          {"GET", "Authorization: Bearer " + secret, "", "token:ci viewer"},
		"bearer of a login":               {"POST", "Authorization: bearer  " + s.Token, "", "ann editor"},
		"bearer from another site":        {"POST", "Authorization: Bearer " + secret, "cross-site", "token:ci viewer"},
		"password":                        {"GET", basic("grafana", secret), "", "token:ci viewer"},
		"password, change elsewhere":      {"POST", basic("grafana", secret), "cross-site", ErrCrossSite.Error()},
		"wrong password":                  {"GET", basic("ann", password), "", ErrCredentials.Error()},
		"another scheme":                  {"GET", "Authorization: Digest x", "", ErrCredentials.Error()},
		"cookie":                          {"POST", "Cookie: " + cookie, "same-origin", "ann editor"},
		"cookie, read elsewhere":          {"GET", "Cookie: " + cookie, "cross-site", "ann editor"},
		"cookie, change elsewhere":        {"DELETE", "Cookie: " + cookie, "cross-site", ErrCrossSite.Error()},
		"cookie that is not valid":        {"GET", "Cookie: " + cookie + "x", "", ErrCredentials.Error()},
		"empty cookie":                    {"GET", "Cookie: " + Cookie + "=", "", " public"},
		"nothing, a change from a sister": {"POST", "", "same-site", " public"},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		if k, v, ok := strings.Cut(c.header, ": "); ok {
			r.Header.Set(k, v)
		}
		if c.site != "" {
			r.Header.Set("Sec-Fetch-Site", c.site)
		}
		p, err := f.Authenticate(r)
		got := p.Name + " " + p.Role.String()
		if err != nil {
			got = err.Error()
			require.Zero(t, p, name)
		}
		require.Equal(t, c.want, got, name)
	}
}

// TestWatch: an open connection ends when its credential does, whatever the reason.
func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFixture(t, func(c *Config) { c.Now = time.Now })
		f.now = time.Now()
		ctx := t.Context()
		f.user("root", Admin)
		f.user("ann", Editor)
		_, secret, err := f.CreateToken(ctx, "root", "ci", Viewer, time.Now().Add(time.Hour), time.Now())
		require.NoError(t, err)
		watch := func(credential string) (ended func() bool, p Principal) {
			p, err := f.Verify(ctx, credential)
			require.NoError(t, err)
			c, stop := f.Watch(p)
			t.Cleanup(stop)
			return func() bool {
				synctest.Wait()
				select {
				case <-c:
					return true
				default:
					return false
				}
			}, p
		}
		first, p := watch(f.login("ann").Token)
		second, _ := watch(f.login("ann").Token)
		token, _ := watch(secret)
		f.Changed()
		require.False(t, first() || second() || token())
		_, err = f.EndLogin(p)
		require.NoError(t, err)
		f.Changed()
		require.True(t, first(), "it was logged out")
		require.False(t, second() || token())
		_, err = f.UpdateUser(ctx, "root", "ann", "", Viewer, time.Now())
		require.NoError(t, err)
		f.Changed()
		require.True(t, second(), "the role is another")
		time.Sleep(59 * time.Minute)
		require.False(t, token())
		time.Sleep(2 * time.Minute)
		require.True(t, token(), "it has expired")
		gone, stop := f.Watch(p)
		<-gone // it had ended before
		stop()
		login, _ := watch(f.login("root").Token)
		time.Sleep(25 * time.Hour)
		require.True(t, login(), "a login lasts a day")
		require.Empty(t, f.watchers)
	})
}

func TestConfig(t *testing.T) {
	_, err := New(t.Context(), Config{Accounts: &Accounts{}, Secret: []byte("short")})
	require.ErrorContains(t, err, "at least 32")
	_, err = New(t.Context(), Config{Accounts: &Accounts{}, OIDC: &OIDC{Issuer: "https://provider"}})
	require.ErrorContains(t, err, "client id")
	a, err := New(t.Context(), Config{Accounts: &Accounts{}})
	require.NoError(t, err)
	require.Len(t, a.cfg.Secret, MinSecret)
	require.False(t, a.HasOIDC())
	for r := Public; r <= Admin+1; r++ {
		back, err := ParseRole(r.String())
		require.Equal(t, r >= Viewer && r <= Admin, err == nil, r)
		if err == nil {
			require.Equal(t, r, back)
		}
	}
}
