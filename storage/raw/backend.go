package raw

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
)

// settledAfter is how long after its time a store may still learn of something; what is older does not change any more.
const settledAfter = 10 * time.Minute

// Backend is one store that is asked by HTTP.
type Backend struct {
	*guard
	base      *url.URL
	transport http.RoundTripper
	cache     *Cache
	room      *Room
	now       func() time.Time
}

// Options are what Backends share.
type Options struct {
	Policy  Policy
	Metrics *Metrics         // required
	Cache   *Cache           // nil: answers are not kept
	Room    *Room            // nil: one of its own
	Now     func() time.Time // nil: time.Now
	// Transport is how stores are reached, each by a copy; nil: http.DefaultTransport.
	Transport *http.Transport
}

// open makes the Backend of the store at an address; user and password in it are sent as basic authentication.
func open(name, base string, o Options) (*Backend, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("raw: %s: the address is no URL", name) // without the address: it may hold a password
	}
	t := o.Transport
	if t == nil {
		t = http.DefaultTransport.(*http.Transport)
	}
	t = t.Clone()
	t.MaxIdleConnsPerHost = 16
	b := &Backend{guard: newGuard(name, o.Policy, o.Metrics), base: u, transport: t, cache: o.Cache, room: o.Room, now: o.Now}
	if b.room == nil {
		b.room = NewRoom(0, 0)
	}
	if b.now == nil {
		b.now = time.Now
	}
	return b, nil
}

// Name is what answers name as their source.
func (b *Backend) Name() string { return b.name }

// Status says how the store is doing.
func (b *Backend) Status() Status { return b.status() }

// answer is what a store said. Statuses of 500 and more, and 429, are errors instead.
type answer struct {
	Status  int
	Type    string
	Body    []byte
	release func() // nil: nothing is reserved
}

// done gives back the answer's part of the room, when Body has been decoded.
func (a answer) done() {
	if a.release != nil {
		a.release()
	}
}

// statusError is an answer that says that the store could not do it.
type statusError struct {
	status int
	body   string
}

func (e *statusError) Error() string {
	return strings.TrimSpace(fmt.Sprintf("%d %s %s", e.status, http.StatusText(e.status), e.body))
}

// do sends a request under the policy and reads the whole answer, within the room. header, body may be nil. The caller calls done.
func (b *Backend) do(ctx context.Context, method, target string, header http.Header, body []byte) (a answer, err error) {
	err = b.run(ctx, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, method, target, bytes.NewReader(body))
		if err != nil {
			return fmt.Errorf("%w: %w", errCaller, err)
		}
		for k, v := range header {
			req.Header[k] = v
		}
		if u := b.base.User; u != nil {
			password, _ := u.Password()
			req.SetBasicAuth(u.Username(), password)
		}
		resp, err := b.transport.RoundTrip(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		data, release, err := b.room.read(ctx, resp, b.wait)
		if err != nil {
			return err
		}
		if resp.StatusCode >= http.StatusInternalServerError || resp.StatusCode == http.StatusTooManyRequests {
			release()
			return &statusError{resp.StatusCode, excerpt(data)}
		}
		a = answer{resp.StatusCode, resp.Header.Get("Content-Type"), data, release}
		if err := b.room.inflated(a.Type, data); err != nil {
			release()
			return err
		}
		return nil
	})
	if errors.Is(err, errAnswerTooLarge) {
		b.metrics.tooLarge.WithLabelValues(b.name).Inc()
	}
	if err != nil {
		a.done() // of an attempt that ended too late
		return answer{}, b.room.explain(b.name, err)
	}
	if until := heldBy(ctx); until != nil {
		context.AfterFunc(until, a.done)
		a.release = nil
	}
	return a, nil
}

// excerpt is the beginning of an answer, for an error.
func excerpt(b []byte) string {
	s := strings.Join(strings.Fields(strings.ToValidUTF8(string(b[:min(len(b), 300)]), "?")), " ")
	return s
}

// get reads a path below the store's address; the answer is kept if all it is about happened before until, and that is settled.
func (b *Backend) get(ctx context.Context, path string, q url.Values, until time.Time) (answer, error) {
	u := *b.base
	u.User = nil
	u = *u.JoinPath(path)
	u.RawQuery = q.Encode()
	key := b.key(http.MethodGet, u.String(), nil)
	return b.cached(ctx, key, until, func() (answer, error) {
		return b.do(ctx, http.MethodGet, u.String(), http.Header{"Accept": {"application/json"}}, nil)
	})
}

func (b *Backend) key(method, target string, body []byte) string {
	h := sha256.New()
	for _, part := range []string{b.name, method, target, string(body)} {
		fmt.Fprintf(h, "%d\n%s", len(part), part) // writing to a hash never fails
	}
	return hex.EncodeToString(h.Sum(nil))
}

func (b *Backend) settled(until time.Time) bool {
	return b.cache != nil && !until.IsZero() && until.Before(b.now().Add(-settledAfter))
}

// kept returns what is kept of an answer about what happened before until.
func (b *Backend) kept(ctx context.Context, key string, until time.Time) ([]byte, bool) {
	if !b.settled(until) {
		return nil, false
	}
	body, found := b.cache.get(ctx, key)
	b.metrics.cache.WithLabelValues(b.name, cmp.Or(found, "none")).Inc()
	return body, found != ""
}

func (b *Backend) cached(ctx context.Context, key string, until time.Time, ask func() (answer, error)) (answer, error) {
	if kept, ok := b.kept(ctx, key, until); ok {
		typ, body, _ := bytes.Cut(kept, []byte{'\n'})
		return answer{Status: http.StatusOK, Type: string(typ), Body: body}, nil
	}
	a, err := ask()
	if err == nil && a.Status == http.StatusOK && b.settled(until) {
		b.cache.put(ctx, key, slices.Concat([]byte(a.Type), []byte{'\n'}, a.Body))
	}
	return a, err
}

// RoundTrip lets clients of others send their requests under the policy.
func (b *Backend) RoundTrip(r *http.Request) (*http.Response, error) {
	var body []byte
	if r.Body != nil {
		var err error
		body, err = io.ReadAll(r.Body)
		if err = errors.Join(err, r.Body.Close()); err != nil {
			return nil, err
		}
	}
	u := *r.URL
	u.User = nil
	until, _ := r.Context().Value(untilKey{}).(time.Time)
	a, err := b.cached(r.Context(), b.key(r.Method, u.String(), body), until, func() (answer, error) {
		return b.do(r.Context(), r.Method, u.String(), r.Header, body)
	})
	if err != nil {
		return nil, err
	}
	h := http.Header{}
	if a.Type != "" {
		h.Set("Content-Type", a.Type)
	}
	return &http.Response{Status: fmt.Sprintf("%d %s", a.Status, http.StatusText(a.Status)), StatusCode: a.Status, Proto: "HTTP/1.1",
		ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: &answerBody{bytes.NewReader(a.Body), a}, ContentLength: int64(len(a.Body)),
		Request: r}, nil
}

// answerBody is the body of an answer for clients of others, who close it when they have decoded it.
type answerBody struct {
	*bytes.Reader
	of answer
}

func (b *answerBody) Close() error {
	b.of.done()
	return nil
}

// untilKey is the end of what a request of RoundTrip is about, in its context.
type untilKey struct{}

func about(ctx context.Context, until time.Time) context.Context {
	return context.WithValue(ctx, untilKey{}, until)
}
