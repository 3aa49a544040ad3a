package answer

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/storage"
)

// The ways in which a request fails; what else goes wrong is an internal error, logged and not shown.
var (
	ErrUnauthenticated  = errors.New("who asks is not known")
	ErrForbidden        = errors.New("not allowed")
	ErrTooMany          = errors.New("too many requests")
	ErrBadRequest       = errors.New("bad request")
	ErrNotFound         = errors.New("not found")
	ErrMethodNotAllowed = errors.New("method not allowed")
	ErrTooLarge         = errors.New("request body is too large")
	ErrConflict         = errors.New("not in this state")
	errChanged          = errors.New("the object was changed since it was read")
	ErrUnavailable      = errors.New("not available")
	ErrPositionTimeout  = errors.New("position not reached in time")
)

// statuses is the one place where errors become statuses. The first that errors.Is accepts counts.
var statuses = []struct {
	err          error
	status       int
	code, advice string
}{
	{ErrBadRequest, http.StatusBadRequest, "bad_request", "See /api/openapi.yaml for what this path takes."},
	{ErrUnauthenticated, http.StatusUnauthorized, "unauthenticated",
		"Send an API token or a login as `Authorization: Bearer`, or an API token as the password of basic authentication."},
	{ErrForbidden, http.StatusForbidden, "forbidden", "Ask an admin for a larger role."},
	{ErrTooMany, http.StatusTooManyRequests, "too_many_requests", "Wait for as long as Retry-After says."},
	{ErrNotFound, http.StatusNotFound, "not_found", "Check the path and the name; /api/openapi.yaml lists all paths."},
	{ErrMethodNotAllowed, http.StatusMethodNotAllowed, "method_not_allowed", "The Allow header lists what this path takes."},
	{ErrConflict, http.StatusConflict, "conflict", "Look at the state first."},
	{errChanged, http.StatusPreconditionFailed, "changed_meanwhile",
		"Read it again, and send the change with the ETag of that answer as If-Match."},
	{ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large", "Send less at once."},
	{ErrPositionTimeout, http.StatusGatewayTimeout, "position_timeout",
		"Try again, or with a longer timeout; /api/v1/pipeline shows how far each partition has been read."},
	{ErrUnavailable, http.StatusServiceUnavailable, "unavailable", "Try again later."},
	{auth.ErrCrossSite, http.StatusForbidden, "cross_site",
		"Send an API token as `Authorization: Bearer`; what browsers send by themselves counts on WatchingCat's own pages alone."},
	{auth.ErrNotRead, http.StatusServiceUnavailable, "not_read_yet", "WatchingCat has just started; try again in a moment."},
	{storage.ErrClosed, http.StatusServiceUnavailable, "unavailable", "WatchingCat is stopping; try again later."},
	{storage.ErrUnwritable, http.StatusServiceUnavailable, "storage_unwritable",
		"See /readyz for the reason; the same request succeeds once the data folder can be written."},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "timeout", "Ask for less, or try again."},
	{context.Canceled, http.StatusServiceUnavailable, "canceled", "The request was given up; try again."},
}

// problem is an error that says what a client may see of it.
type problem struct {
	err                  error // one of statuses
	code, detail, advice string
}

func (p *problem) Error() string { return p.detail }

func (p *problem) Unwrap() error { return p.err }

// Problemf makes an error that clients see: err is one of the kinds above, an empty code means that of the kind.
func Problemf(err error, code, format string, args ...any) error {
	return &problem{err: err, code: code, detail: fmt.Sprintf(format, args...)}
}

// Advise adds to an error of Problemf what the client should do.
func Advise(err error, advice string) error {
	if p, ok := errors.AsType[*problem](err); ok {
		p.advice = advice
	}
	return err
}

// ProblemOf is err as clients see it; an error of no known kind is an internal one without its text.
func ProblemOf(err error) rest.Problem {
	out := rest.Problem{Type: "about:blank", Status: http.StatusInternalServerError, Code: "internal",
		Detail: "something went wrong inside WatchingCat", Advice: "Try again; the log has more under the request's path."}
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		err = ErrTooLarge
	}
	for _, st := range statuses {
		if errors.Is(err, st.err) {
			out.Status, out.Code, out.Advice, out.Detail = st.status, st.code, st.advice, st.err.Error()
			break
		}
	}
	if p, ok := errors.AsType[*problem](err); ok {
		out.Detail, out.Code, out.Advice = p.detail, cmp.Or(p.code, out.Code), cmp.Or(p.advice, out.Advice)
	}
	out.Title, out.Error = http.StatusText(out.Status), out.Detail
	return out
}
