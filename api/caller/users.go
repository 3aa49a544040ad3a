package caller

import (
	"context"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/rest"
)

func userAnswer(u *auth.User) rest.User {
	return rest.User{Name: u.Name, Role: rest.Role(u.Role.String()), CreatedAt: u.Created}
}

// ListUsers implements rest.StrictServerInterface.
func (s *Accounts) ListUsers(context.Context, rest.ListUsersRequestObject) (rest.ListUsersResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	list, err := a.Users()
	if err != nil {
		return nil, err
	}
	out := answer.Each(list, userAnswer)
	return rest.ListUsers200JSONResponse{Users: out, Total: len(out)}, nil
}

// CreateUser implements rest.StrictServerInterface.
func (s *Accounts) CreateUser(ctx context.Context, q rest.CreateUserRequestObject) (rest.CreateUserResponseObject, error) {
	a, role, err := s.accountsFor(q.Body.Role)
	if err != nil {
		return nil, err
	}
	u, err := a.CreateUser(ctx, Name(ctx), q.Body.Name, q.Body.Password, role, s.Now())
	if err != nil {
		return nil, accountError(err)
	}
	return rest.CreateUser201JSONResponse(userAnswer(u)), nil
}

// GetUser implements rest.StrictServerInterface.
func (s *Accounts) GetUser(_ context.Context, q rest.GetUserRequestObject) (rest.GetUserResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	u, err := a.User(q.Name)
	if err != nil {
		return nil, accountError(err)
	}
	return rest.GetUser200JSONResponse(userAnswer(u)), nil
}

// UpdateUser implements rest.StrictServerInterface.
func (s *Accounts) UpdateUser(ctx context.Context, q rest.UpdateUserRequestObject) (rest.UpdateUserResponseObject, error) {
	a, role, err := s.accountsFor(q.Body.Role)
	if err != nil {
		return nil, err
	}
	u, err := a.UpdateUser(ctx, Name(ctx), q.Name, answer.Value(q.Body.Password), role, s.Now())
	if err != nil {
		return nil, accountError(err)
	}
	return rest.UpdateUser200JSONResponse(userAnswer(u)), nil
}

// DeleteUser implements rest.StrictServerInterface.
func (s *Accounts) DeleteUser(ctx context.Context, q rest.DeleteUserRequestObject) (rest.DeleteUserResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	return rest.DeleteUser204Response{}, accountError(a.DeleteUser(ctx, Name(ctx), q.Name, s.Now()))
}
