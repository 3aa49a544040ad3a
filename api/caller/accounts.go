package caller

import (
	"context"
	"errors"
	"net/http"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/rest"
)

// Accounts answers for logins, users and tokens.
type Accounts struct{ *Gate }

// accountError says what became of a change of users and tokens.
func accountError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, auth.ErrUnknown):
		return answer.Problemf(answer.ErrNotFound, "", "%v", auth.ErrUnknown)
	case errors.Is(err, auth.ErrInvalid):
		return answer.Problemf(answer.ErrBadRequest, "invalid_account", "%v", err)
	case errors.Is(err, auth.ErrExists):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "exists", "%v", auth.ErrExists),
			"Choose another name, or change that user.")
	case errors.Is(err, auth.ErrLastAdmin):
		return answer.Advise(answer.Problemf(answer.ErrConflict, "last_admin", "%v", err), "Make another admin first.")
	}
	return answer.Edited(err)
}

// WhoAmI implements rest.StrictServerInterface.
func (s *Accounts) WhoAmI(ctx context.Context, _ rest.WhoAmIRequestObject) (rest.WhoAmIResponseObject, error) {
	if s.Auth == nil {
		return rest.WhoAmI200JSONResponse{Name: new(Name(ctx)), Role: new(rest.Admin)}, nil
	}
	out := rest.WhoAmI200JSONResponse{Authentication: true, Oidc: s.Auth.HasOIDC()}
	if p := Of(ctx).Principal; p.Role != auth.Public {
		out.Name, out.Role, out.Login, out.Local = &p.Name, new(rest.Role(p.Role.String())), p.Login, p.User != ""
		out.ExpiresAt = answer.TimeOrNil(p.Expires())
	}
	return out, nil
}

func loginOf(x *auth.Session) rest.Login {
	return rest.Login{Token: x.Token, ExpiresAt: x.Expires, Role: rest.Role(x.Role.String())}
}

// LoginUser implements rest.StrictServerInterface.
func (s *Accounts) LoginUser(ctx context.Context, q rest.LoginUserRequestObject) (rest.LoginUserResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	name := "a name that nobody has"
	if _, err := a.User(q.Body.Username); err == nil {
		name = q.Body.Username
	}
	if err := s.mayTry(ctx, q.Body.Username, name); err != nil {
		return nil, err
	}
	x, err := a.Login(q.Body.Username, q.Body.Password)
	if errors.Is(err, auth.ErrCredentials) {
		s.Failed(ctx, q.Body.Username, name)
		return nil, answer.Advise(answer.Problemf(answer.ErrUnauthenticated, "login_failed", "name or password is wrong"),
			"Check both; an admin can set a new password.")
	}
	if err != nil {
		return nil, err
	}
	Of(ctx).Name = q.Body.Username
	s.Trail.logged(ctx, "login", q.Body.Username)
	return rest.LoginUser200JSONResponse{Body: loginOf(x), Headers: rest.LoginUser200ResponseHeaders{SetCookie: new(a.SessionCookie(x))}},
		nil
}

// RefreshLogin implements rest.StrictServerInterface.
func (s *Accounts) RefreshLogin(ctx context.Context, _ rest.RefreshLoginRequestObject) (rest.RefreshLoginResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	p := Of(ctx).Principal
	if p.User == "" {
		return nil, errNoLogin()
	}
	x, err := a.Refresh(p)
	if errors.Is(err, auth.ErrCredentials) {
		return nil, answer.ErrUnauthenticated
	}
	if err != nil {
		return nil, err
	}
	return rest.RefreshLogin200JSONResponse{Body: loginOf(x),
		Headers: rest.RefreshLogin200ResponseHeaders{SetCookie: new(a.SessionCookie(x))}}, nil
}

func errNoLogin() error {
	return answer.Advise(answer.Problemf(answer.ErrConflict, "no_login", "this endpoint requires a password login"), "Log in again.")
}

// ChangePassword implements rest.StrictServerInterface. Other logins of the user end; this one goes on.
func (s *Accounts) ChangePassword(ctx context.Context, q rest.ChangePasswordRequestObject) (rest.ChangePasswordResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	name := Of(ctx).User
	if name == "" {
		return nil, errNoLogin()
	}
	if err := s.mayTry(ctx, name, name); err != nil {
		return nil, err
	}
	u, err := a.ChangePassword(ctx, name, q.Body.Password, q.Body.NewPassword, s.Now())
	if errors.Is(err, auth.ErrCredentials) {
		s.Failed(ctx, name, name)
		return nil, answer.Advise(answer.Problemf(answer.ErrForbidden, "wrong_password", "the password is not the one that you have"),
			"Give the password that you logged in with; an admin can set a new one.")
	}
	if err != nil {
		return nil, accountError(err)
	}
	x, err := a.NewLogin(u)
	if err != nil {
		return nil, err
	}
	return rest.ChangePassword200JSONResponse{Body: loginOf(x),
		Headers: rest.ChangePassword200ResponseHeaders{SetCookie: new(a.SessionCookie(x))}}, nil
}

// LogoutUser implements rest.StrictServerInterface.
func (s *Accounts) LogoutUser(ctx context.Context, _ rest.LogoutUserRequestObject) (rest.LogoutUserResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	if c := Of(ctx); c.Login {
		s.Trail.logged(ctx, "logout", c.Name)
		notes, err := a.EndLogin(c.Principal)
		if err != nil {
			return nil, err
		}
		for _, o := range notes {
			s.Trail.note(o)
		}
		a.Changed()
	}
	out := loggedOut{cookies: []string{a.SessionCookie(nil), a.HintCookie(nil)}}
	if out.location, err = a.LogoutOIDC(ctx, Of(ctx).Principal, Of(ctx).hint); err != nil {
		s.Logger.Warn().Err(err).Msg("a user logged out here but not at the identity provider")
	}
	return out, nil
}

// loggedOut is the answer to LogoutUser: of two cookies, which the generated ones cannot say.
type loggedOut struct {
	cookies  []string
	location string // where to log out too; "": nowhere
}

// VisitLogoutUserResponse implements rest.LogoutUserResponseObject.
func (l loggedOut) VisitLogoutUserResponse(w http.ResponseWriter) error {
	for _, c := range l.cookies {
		w.Header().Add("Set-Cookie", c)
	}
	if l.location == "" {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	return rest.LogoutUser200JSONResponse{Location: l.location}.VisitLogoutUserResponse(w)
}

// accountsFor are the accounts, and a role that is to be given.
func (s *Accounts) accountsFor(role rest.Role) (*auth.Auth, auth.Role, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, auth.Public, err
	}
	r, err := auth.ParseRole(string(role))
	return a, r, accountError(err)
}
