// Package auth says who makes a request and what they may do: local users, API tokens and JSON Web Tokens, and three roles of
// which each may what the one before may.
//
// Invariants:
//   - A secret is never stored: passwords as argon2id, tokens as SHA-256 of 256 random bits. None is logged or in the audit trail.
//   - A token is signed by one family of algorithms and verified by keys of that family alone.
//   - What cannot be decided is refused.
package auth

import (
	"errors"
	"fmt"
	"time"
)

// Role is what a principal may do. The zero value may nothing that is not public.
type Role int

// The roles. Viewers read, editors change what is observed, admins decide who may.
const (
	Public Role = iota
	Viewer
	Editor
	Admin
)

var roleNames = [...]string{"public", "viewer", "editor", "admin"}

func (r Role) String() string {
	if r < Public || r > Admin {
		return "unknown"
	}
	return roleNames[r]
}

// ParseRole reads the role of a principal: viewer, editor or admin.
func ParseRole(s string) (Role, error) {
	for r := Viewer; r <= Admin; r++ {
		if roleNames[r] == s {
			return r, nil
		}
	}
	return Public, fmt.Errorf("%w: role %q is none of viewer, editor, admin", ErrInvalid, s)
}

// Principal is who makes a request.
type Principal struct {
	Name string
	Role Role
	// User is the local user who logged in; "" for tokens and logins elsewhere.
	User string
	// Login: what is verified is a login, and can be ended by its holder.
	Login bool

	expires time.Time // of the credential; zero: never
	token   string    // id of the API token
	session string    // id of the login, the same through renewals
	version string    // of User
}

// Expires is when the credential ends by itself; zero: never.
func (p Principal) Expires() time.Time { return p.expires }

// Errors of this package.
var (
	// ErrCredentials is one for all reasons, so that an answer does not reveal which half was right.
	ErrCredentials = errors.New("the credentials are not valid")
	// ErrUnknownKey is ErrCredentials of a token whose key cannot be looked up; that gives nothing away.
	ErrUnknownKey = fmt.Errorf("%w: the key that signed the token is not known", ErrCredentials)
	ErrNotRead    = errors.New("users and tokens have not been read yet")
	ErrCrossSite  = errors.New("the request comes from a page of another site")
	ErrInvalid    = errors.New("not valid")
	ErrUnknown    = errors.New("there is no such user or token")
	ErrExists     = errors.New("there is a user of this name")
	ErrLastAdmin  = errors.New("the last admin cannot be removed")
)
