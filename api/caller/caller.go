package caller

import (
	"context"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/auth"
)

// Caller is what becomes known of who makes a request, for the request log outside.
type Caller struct {
	auth.Principal
	Address string // without a port
	Outcome string // for the request log; empty: that of the status
	hint    string // for the identity provider, of who logs out
	note    answer.Note
}

type callerKey struct{}

// With makes c the caller of what is done with the context.
func With(ctx context.Context, c *Caller) context.Context {
	return answer.WithNote(context.WithValue(ctx, callerKey{}, c), &c.note)
}

// Of is the caller of a request; nil outside of requests.
func Of(ctx context.Context) *Caller {
	c, _ := ctx.Value(callerKey{}).(*Caller)
	return c
}

// Name is the name of who makes a request, for the audit trail; "anonymous" without a credential.
func Name(ctx context.Context) string {
	if c := Of(ctx); c != nil && c.Name != "" {
		return c.Name
	}
	return "anonymous"
}
