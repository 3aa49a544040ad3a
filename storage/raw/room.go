package raw

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/golang/snappy"
	"golang.org/x/sync/semaphore"
)

// Limits of an answer, where Options name none. AnswersBytes is for all stores together.
const (
	defaultAnswer  = 64 << 20
	defaultAnswers = 2 * defaultAnswer
	// smallAnswer is read without a reservation.
	smallAnswer = 1 << 20
)

// Room bounds the bytes of the answers that stores send: of one answer, which fails beyond that, and of all large answers together, which
// wait for each other. Stores share a Room. An answer keeps its part until it has been decoded, answers with the spans of a single trace
// until their request has ended.
type Room struct {
	one int64
	all *semaphore.Weighted
}

// NewRoom makes a Room for answers of one bytes each and all bytes together; 0: 64 MiB and 128 MiB.
func NewRoom(one, all int64) *Room {
	one = cmp.Or(one, defaultAnswer)
	return &Room{one: one, all: semaphore.NewWeighted(max(one, cmp.Or(all, defaultAnswers)))}
}

// errAnswerTooLarge and errBusy are failures of a request that say nothing about the health of the store.
var (
	errAnswerTooLarge = fmt.Errorf("%w: the answer is too large", errCaller)
	errBusy           = fmt.Errorf("%w: no room for the answer", errCaller)
)

// read reads a body within the room. release gives the part of the room back; it may be called more than once.
func (r *Room) read(ctx context.Context, resp *http.Response, wait time.Duration) (data []byte, release func(), err error) {
	release = func() {}
	if resp.ContentLength > r.one {
		return nil, release, errAnswerTooLarge
	}
	var b bytes.Buffer
	if _, err := io.Copy(&b, io.LimitReader(resp.Body, min(smallAnswer, r.one)+1)); err != nil {
		return nil, release, fmt.Errorf("read the answer: %w", err)
	}
	if int64(b.Len()) <= min(smallAnswer, r.one) {
		return b.Bytes(), release, nil
	}
	// As much as the answer may have, at once: answers that waited for more while they hold some would never end.
	n := r.one
	if resp.ContentLength > 0 {
		n = resp.ContentLength
	}
	if !r.all.TryAcquire(n) { // room that is free needs no wait, however late this goroutine runs
		waiting, cancel := context.WithTimeout(ctx, wait)
		defer cancel()
		if err := r.all.Acquire(waiting, n); err != nil {
			if ctx.Err() != nil {
				return nil, release, ctx.Err()
			}
			return nil, release, errBusy
		}
	}
	release = sync.OnceFunc(func() { r.all.Release(n) })
	if _, err = io.Copy(&b, io.LimitReader(resp.Body, r.one+1-int64(b.Len()))); err != nil {
		err = fmt.Errorf("read the answer: %w", err)
	} else if int64(b.Len()) > r.one {
		err = errAnswerTooLarge
	}
	if err != nil {
		release()
		return nil, release, err
	}
	return b.Bytes(), release, nil
}

// holdKey marks the context of requests whose answers stay in memory until it ends.
type holdKey struct{}

// holding returns a context whose answers keep their part of the room until ctx ends.
func holding(ctx context.Context) context.Context {
	if ctx.Done() == nil {
		return ctx
	}
	return context.WithValue(ctx, holdKey{}, ctx)
}

// heldBy is the context that the answers of ctx belong to; nil: they are decoded and gone.
func heldBy(ctx context.Context) context.Context {
	until, _ := ctx.Value(holdKey{}).(context.Context)
	return until
}

// explain names the store and what to do after a failure that is not the store's.
func (r *Room) explain(name string, err error) error {
	switch {
	case errors.Is(err, errAnswerTooLarge):
		return fmt.Errorf("%s %w: its answer is larger than %d bytes: use a shorter range or more conditions", name, ErrTooLarge, r.one)
	case errors.Is(err, errBusy):
		return fmt.Errorf("%s %w: other large answers are being read: try again later", name, ErrUnavailable)
	}
	return err
}

// ErrTooLarge is the failure of a request whose answer is larger than an answer may be.
var ErrTooLarge = errors.New("sent too much")

// inflated checks the size that a body has after the client of Prometheus decodes it: an answer of remote read without chunks is compressed
// with snappy, which allocates the size that the body names before it reads the rest.
func (r *Room) inflated(contentType string, body []byte) error {
	if !strings.HasPrefix(contentType, "application/x-protobuf") {
		return nil
	}
	if n, err := snappy.DecodedLen(body); err == nil && int64(n) > r.one {
		return errAnswerTooLarge
	}
	return nil
}
