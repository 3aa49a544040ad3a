package auth

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

// Accounts are the local users and the API tokens.
type Accounts struct {
	KV      storage.KV
	Objects storage.Editor
	// Read reports whether the store has been brought up to date since the start; nil: it has. Until then no user is unknown.
	Read func() bool

	mu    sync.Mutex // one change at a time
	uses  uses
	ended endings
}

// User is a local user.
type User struct {
	Name    string
	Role    Role
	Created time.Time
	hash    string
}

// Token is an API token without its secret.
type Token struct {
	ID, Name  string
	Role      Role
	Created   time.Time
	CreatedBy string
	Expires   time.Time // zero: never
	Used      time.Time // last, to the hour; zero: never, or not since that is noted
	hash      []byte
}

type storedUser struct {
	Role    string    `json:"role"`
	Hash    string    `json:"hash"`
	Created time.Time `json:"created"`
}

type storedToken struct {
	Name      string     `json:"name"`
	Role      string     `json:"role"`
	SHA256    string     `json:"sha256"`
	Created   time.Time  `json:"created"`
	CreatedBy string     `json:"created_by"`
	Expires   *time.Time `json:"expires,omitempty"`
}

var validName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

func checkName(name string) error {
	if !validName.MatchString(name) {
		return fmt.Errorf("%w: a name has 1 to 64 letters, digits and . _ @ -, and begins with a letter or digit", ErrInvalid)
	}
	return nil
}

func userOf(o storage.Object) (*User, error) {
	var s storedUser
	if err := json.Unmarshal(o.Value, &s); err != nil {
		return nil, fmt.Errorf("auth: user %s: %w", o.ID, err)
	}
	role, err := ParseRole(s.Role)
	return &User{Name: o.ID, Role: role, Created: s.Created, hash: s.Hash}, err
}

func (u *User) object() (storage.Object, error) {
	b, err := json.Marshal(storedUser{Role: u.Role.String(), Hash: u.hash, Created: u.Created})
	return storage.Object{Kind: storage.KindUser, ID: u.Name, Value: b}, err
}

// version changes with the password and the role, so that logins made before end.
func (u *User) version() string {
	sum := sha256.Sum256([]byte(u.hash + "\x00" + u.Role.String()))
	return hex.EncodeToString(sum[:8])
}

// Users returns the users by name.
func (a *Accounts) Users() ([]*User, error) {
	list, err := storage.Objects(a.KV, storage.KindUser)
	if err != nil {
		return nil, err
	}
	out := []*User{}
	for _, o := range list {
		u, err := userOf(o)
		if err != nil {
			return nil, err
		}
		out = append(out, u)
	}
	return out, nil
}

// User returns one user, or ErrUnknown.
func (a *Accounts) User(name string) (*User, error) {
	b, err := storage.GetObject(a.KV, storage.KindUser, name)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return userOf(storage.Object{ID: name, Value: b})
}

// HasAdmin reports whether a user or a token may everything.
func (a *Accounts) HasAdmin() (bool, error) {
	users, err := a.Users()
	if err != nil {
		return false, err
	}
	for _, u := range users {
		if u.Role == Admin {
			return true, nil
		}
	}
	return false, nil
}

// begin locks the accounts and brings the store up to date.
func (a *Accounts) begin(ctx context.Context) (done func(), err error) {
	a.mu.Lock()
	if err := a.Objects.Sync(ctx); err != nil {
		a.mu.Unlock()
		return nil, err
	}
	return a.mu.Unlock, nil
}

func (a *Accounts) write(ctx context.Context, by, action string, o storage.Object, now time.Time) error {
	return a.Objects.Write(ctx, storage.Edit{By: by, Action: action, Objects: []storage.Object{o}, Secret: true}, now)
}

// CreateUser adds a user.
func (a *Accounts) CreateUser(ctx context.Context, by, name, password string, role Role, now time.Time) (*User, error) {
	if err := checkName(name); err != nil {
		return nil, err
	}
	u := &User{Name: name, Role: role, Created: now.UTC()}
	var err error
	if u.hash, err = hashPassword(password); err != nil {
		return nil, err
	}
	done, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	if _, err := a.User(name); !errors.Is(err, ErrUnknown) {
		return nil, errors.Join(err, ErrExists)
	}
	o, err := u.object()
	if err != nil {
		return nil, err
	}
	return u, a.write(ctx, by, "create", o, now)
}

// UpdateUser sets the role, and the password unless that is "". Logins made before end.
func (a *Accounts) UpdateUser(ctx context.Context, by, name, password string, role Role, now time.Time) (*User, error) {
	hash := ""
	if password != "" {
		var err error
		if hash, err = hashPassword(password); err != nil {
			return nil, err
		}
	}
	done, err := a.begin(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	u, err := a.User(name)
	if err != nil {
		return nil, err
	}
	if role != Admin {
		if err := a.keepsAdmin(u); err != nil {
			return nil, err
		}
	}
	u.Role = role
	if hash != "" {
		u.hash = hash
	}
	o, err := u.object()
	if err != nil {
		return nil, err
	}
	return u, a.write(ctx, by, "update", o, now)
}

// ChangePassword sets the password of a user who gives the old one too. Logins made before end.
func (a *Accounts) ChangePassword(ctx context.Context, name, old, password string, now time.Time) (*User, error) {
	u, err := a.checkLogin(name, old)
	if err != nil {
		return nil, err
	}
	return a.UpdateUser(ctx, name, name, password, u.Role, now)
}

// keepsAdmin is an error where u is the last admin.
func (a *Accounts) keepsAdmin(u *User) error {
	users, err := a.Users()
	if err != nil || u.Role != Admin {
		return err
	}
	for _, o := range users {
		if o.Role == Admin && o.Name != u.Name {
			return nil
		}
	}
	return ErrLastAdmin
}

// DeleteUser removes a user; logins end at once.
func (a *Accounts) DeleteUser(ctx context.Context, by, name string, now time.Time) error {
	done, err := a.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	u, err := a.User(name)
	if err != nil {
		return err
	}
	if err := a.keepsAdmin(u); err != nil {
		return err
	}
	return a.write(ctx, by, "delete", storage.Object{Kind: storage.KindUser, ID: name}, now)
}

// unknown is the error for a user or a token that does not exist. It is to be asked for before one looks.
func (a *Accounts) unknown() error {
	if a.Read != nil && !a.Read() {
		return ErrNotRead
	}
	return ErrCredentials
}

// checkLogin returns the user whose password it is. One that does not exist takes as long as a wrong password.
func (a *Accounts) checkLogin(name, password string) (*User, error) {
	unknown := a.unknown()
	u, err := a.User(name)
	if err != nil && !errors.Is(err, ErrUnknown) {
		return nil, err
	}
	hash := ""
	if u != nil {
		hash = u.hash
	}
	switch right := checkPassword(hash, password); {
	case u == nil:
		return nil, unknown
	case !right:
		return nil, ErrCredentials
	}
	return u, nil
}

// tokenPrefix begins every API token, so that scanners for leaked secrets find them: wc_<id>_<secret>.
const tokenPrefix = "wc_"

func tokenOf(o storage.Object) (*Token, error) {
	var s storedToken
	if err := json.Unmarshal(o.Value, &s); err != nil {
		return nil, fmt.Errorf("auth: token %s: %w", o.ID, err)
	}
	t := &Token{ID: o.ID, Name: s.Name, Created: s.Created, CreatedBy: s.CreatedBy}
	if s.Expires != nil {
		t.Expires = *s.Expires
	}
	var err error
	if t.Role, err = ParseRole(s.Role); err != nil {
		return nil, err
	}
	t.hash, err = hex.DecodeString(s.SHA256)
	return t, err
}

// Tokens returns the API tokens by id.
func (a *Accounts) Tokens() ([]*Token, error) {
	list, err := storage.Objects(a.KV, storage.KindToken)
	if err != nil {
		return nil, err
	}
	out := []*Token{}
	for _, o := range list {
		t, err := tokenOf(o)
		if err != nil {
			return nil, err
		}
		if t.Used, err = a.lastUse(t.ID); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// token returns one token, or ErrUnknown.
func (a *Accounts) token(id string) (*Token, error) {
	b, err := storage.GetObject(a.KV, storage.KindToken, id)
	if errors.Is(err, storage.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	return tokenOf(storage.Object{ID: id, Value: b})
}

// CreateToken makes a token and returns its secret, which is never seen again. A zero expires means never.
func (a *Accounts) CreateToken(ctx context.Context, by, name string, role Role, expires,
	now time.Time) (t *Token, secret string, err error) {
	if err := checkName(name); err != nil {
		return nil, "", err
	}
	if !expires.IsZero() && !expires.After(now) {
		return nil, "", fmt.Errorf("%w: the token would have expired already", ErrInvalid)
	}
	var id [8]byte
	var key [32]byte
	_, _ = rand.Read(id[:]) // never fails
	_, _ = rand.Read(key[:])
	t = &Token{ID: hex.EncodeToString(id[:]), Name: name, Role: role, Created: now.UTC(), CreatedBy: by, Expires: expires}
	secret = tokenPrefix + t.ID + "_" + base64.RawURLEncoding.EncodeToString(key[:])
	sum := sha256.Sum256([]byte(secret))
	t.hash = sum[:]
	s := storedToken{Name: name, Role: role.String(), SHA256: hex.EncodeToString(t.hash), Created: t.Created, CreatedBy: by}
	if !expires.IsZero() {
		s.Expires = &expires
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, "", err
	}
	done, err := a.begin(ctx)
	if err != nil {
		return nil, "", err
	}
	defer done()
	return t, secret, a.write(ctx, by, "create", storage.Object{Kind: storage.KindToken, ID: t.ID, Value: b}, now)
}

// RevokeToken ends a token at once.
func (a *Accounts) RevokeToken(ctx context.Context, by, id string, now time.Time) error {
	done, err := a.begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	if _, err := a.token(id); err != nil {
		return err
	}
	if err := a.write(ctx, by, "delete", storage.Object{Kind: storage.KindToken, ID: id}, now); err != nil {
		return err
	}
	a.forgetUse(id)
	return a.Objects.Put(ctx, []storage.Object{{Kind: storage.KindTokenUse, ID: id}})
}

// checkToken returns the token whose secret it is.
func (a *Accounts) checkToken(secret string, now time.Time) (*Token, error) {
	id, _, ok := strings.Cut(strings.TrimPrefix(secret, tokenPrefix), "_")
	if !ok {
		return nil, ErrCredentials
	}
	unknown := a.unknown()
	t, err := a.token(id)
	if errors.Is(err, ErrUnknown) {
		return nil, unknown
	}
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(secret))
	if subtle.ConstantTimeCompare(t.hash, sum[:]) != 1 || !t.Expires.IsZero() && !now.Before(t.Expires) {
		return nil, ErrCredentials
	}
	return t, nil
}
