package caller

import (
	"context"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/rest"
)

// TokenAnswer is a token as the API answers it.
func TokenAnswer(t *auth.Token) rest.Token {
	out := rest.Token{Id: t.ID, Name: t.Name, Role: rest.Role(t.Role.String()), CreatedAt: t.Created, CreatedBy: t.CreatedBy}
	if !t.Expires.IsZero() {
		out.ExpiresAt = &t.Expires
	}
	if !t.Used.IsZero() {
		out.LastUsedAt = &t.Used
	}
	return out
}

// ListTokens implements rest.StrictServerInterface.
func (s *Accounts) ListTokens(context.Context, rest.ListTokensRequestObject) (rest.ListTokensResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	list, err := a.Tokens()
	if err != nil {
		return nil, err
	}
	out := answer.Each(list, TokenAnswer)
	return rest.ListTokens200JSONResponse{Tokens: out, Total: len(out)}, nil
}

// CreateToken implements rest.StrictServerInterface.
func (s *Accounts) CreateToken(ctx context.Context, q rest.CreateTokenRequestObject) (rest.CreateTokenResponseObject, error) {
	a, role, err := s.accountsFor(q.Body.Role)
	if err != nil {
		return nil, err
	}
	t, secret, err := a.CreateToken(ctx, Name(ctx), q.Body.Name, role, answer.Value(q.Body.ExpiresAt), s.Now())
	if err != nil {
		return nil, accountError(err)
	}
	return rest.CreateToken201JSONResponse{Token: secret, Info: TokenAnswer(t)}, nil
}

// RevokeToken implements rest.StrictServerInterface.
func (s *Accounts) RevokeToken(ctx context.Context, q rest.RevokeTokenRequestObject) (rest.RevokeTokenResponseObject, error) {
	a, err := s.accounts()
	if err != nil {
		return nil, err
	}
	return rest.RevokeToken204Response{}, accountError(a.RevokeToken(ctx, Name(ctx), q.Id, s.Now()))
}
