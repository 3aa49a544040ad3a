package export

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	remoteapi "github.com/prometheus/client_golang/exp/api/remote"
	promconfig "github.com/prometheus/common/config"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/storage/remote"
)

// Receiver is where samples are sent.
type Receiver struct {
	URL      *url.URL // its user and password are those of basic authentication
	Username string
	Password string
	Bearer   string
	Headers  map[string]string
	// Transport is how it is reached; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Timeout is that of one request (30 s).
	Timeout time.Duration
}

// RoundTrip implements http.RoundTripper.
func (r *Receiver) RoundTrip(req *http.Request) (*http.Response, error) {
	for name, value := range r.Headers {
		req.Header.Set(name, value)
	}
	switch {
	case r.Bearer != "":
		req.Header.Set("Authorization", "Bearer "+r.Bearer)
	case r.Username != "":
		req.SetBasicAuth(r.Username, r.Password)
	case r.URL.User != nil:
		password, _ := r.URL.User.Password()
		req.SetBasicAuth(r.URL.User.Username(), password)
	}
	t := r.Transport
	if t == nil {
		t = http.DefaultTransport
	}
	return t.RoundTrip(req)
}

// sender sends parts by the client of Prometheus' own remote write.
type sender struct {
	to       *Receiver
	log      *slog.Logger
	metrics  *metrics
	v2, v1   *remote.Client
	old      bool // the receiver takes 1.0 only
	accepted bool // a request of 2.0 was accepted

	status     int // of the newest response
	retryAfter time.Duration
	failing    bool
}

func newSender(to *Receiver, log *slog.Logger, m *metrics) (*sender, error) {
	s := &sender{to: to, log: log, metrics: m}
	for at, msg := range map[**remote.Client]remoteapi.WriteMessageType{&s.v2: remoteapi.WriteV2MessageType, &s.v1: remoteapi.WriteV1MessageType} {
		u := *to.URL
		u.User = nil // Receiver sends it
		timeout := to.Timeout
		if timeout == 0 {
			timeout = 30 * time.Second
		}
		c, err := remote.NewWriteClient("watchingcat", &remote.ClientConfig{URL: &promconfig.URL{URL: &u}, Timeout: model.Duration(timeout),
			HTTPClientConfig: promconfig.DefaultHTTPClientConfig, RetryOnRateLimit: true, WriteProtoMsg: msg})
		if err != nil {
			return nil, fmt.Errorf("remote write client: %w", err)
		}
		client, ok := c.(*remote.Client)
		if !ok {
			return nil, errors.New("remote write client: this release of Prometheus has another type")
		}
		client.Client.Transport, *at = noted{s}, client
		// A request with its credentials is not sent on to another place.
		client.Client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	}
	return s, nil
}

// noted notes how the newest request was answered: the client's errors do not say it.
type noted struct{ *sender }

func (n noted) RoundTrip(req *http.Request) (*http.Response, error) {
	n.status, n.retryAfter = 0, 0
	res, err := n.to.RoundTrip(req)
	if err != nil {
		return res, err
	}
	n.status = res.StatusCode
	if text := res.Header.Get("Retry-After"); text != "" {
		if seconds, e := strconv.Atoi(text); e == nil {
			n.retryAfter = time.Duration(seconds) * time.Second
		} else if at, e := http.ParseTime(text); e == nil {
			n.retryAfter = time.Until(at)
		}
	}
	return res, nil
}

const (
	firstBackoff = time.Second
	lastBackoff  = 30 * time.Second
	// maxRetryAfter bounds what a receiver may ask for.
	maxRetryAfter = 5 * time.Minute
)

// send sends a part until the receiver has taken or refused it, or giveUp says that it must go. refused is how many samples the receiver
// did not take.
func (s *sender) send(ctx context.Context, e *entry, giveUp func() bool) (refused int, gaveUp bool, err error) {
	backoff := firstBackoff
	for attempt := 0; ; attempt++ {
		begin := time.Now()
		refused, err := s.try(ctx, e, attempt)
		s.metrics.duration.Observe(time.Since(begin).Seconds())
		if ctx.Err() != nil {
			return 0, false, ctx.Err()
		}
		if err == nil {
			if s.failing {
				s.log.Info("sending samples works again", "receiver", s.to.name())
			}
			s.failing = false
			return refused, false, nil
		}
		s.metrics.retries.Inc()
		if !s.failing {
			s.log.Warn("sending samples failed; they are kept and sent again", "receiver", s.to.name(), "err", s.redacted(err))
		}
		s.failing = true
		if giveUp() {
			return 0, true, nil
		}
		//nolint:gosec // a pause is no secret
		pause := max(min(s.retryAfter, maxRetryAfter), backoff/2+rand.N(backoff/2))
		select {
		case <-ctx.Done():
			return 0, false, ctx.Err()
		case <-time.After(pause):
		}
		backoff = min(2*backoff, lastBackoff)
	}
}

// name is the receiver as it is logged: a query may hold a token.
func (r *Receiver) name() string { return r.URL.Scheme + "://" + r.URL.Host + r.URL.Path }

// redacted is an error without the query of the URL.
func (s *sender) redacted(err error) string {
	if s.to.URL.RawQuery == "" {
		return err.Error()
	}
	return strings.ReplaceAll(err.Error(), s.to.URL.RawQuery, "***")
}

// try sends a part once. An error says that it may be sent again.
func (s *sender) try(ctx context.Context, e *entry, attempt int) (refused int, err error) {
	if !s.old {
		stats, err := s.v2.Store(ctx, e.payload, attempt)
		switch {
		case recoverable(err):
			return 0, err
		case err == nil && (stats.Confirmed || s.accepted):
			s.accepted = true
			return max(0, e.samples-stats.AllSamples()), nil
		case err != nil && (s.accepted || s.status != http.StatusUnsupportedMediaType && s.status != http.StatusBadRequest):
			return s.refused(e, stats, err), nil
		}
		// What does not confirm 2.0 may know 1.0 only, and have ignored the content type.
	}
	payload, err := older(e.payload)
	if err != nil {
		s.log.Error("a part of the topic cannot be read and is dropped", "offset", e.offset, "err", err)
		return e.samples, nil
	}
	stats, err := s.v1.Store(ctx, payload, attempt)
	switch {
	case recoverable(err):
		return 0, err
	case err != nil:
		return s.refused(e, stats, err), nil
	}
	if !s.old {
		s.log.Info("the receiver does not confirm remote write 2.0; sending 1.0, which has no start timestamps", "receiver", s.to.name())
	}
	s.old = true
	return 0, nil
}

// refused notes that the receiver does not take a part, and will not if it is sent again.
func (s *sender) refused(e *entry, stats remote.WriteResponseStats, err error) int {
	n := max(0, e.samples-stats.AllSamples())
	s.log.Error("the receiver refused samples; they are dropped", "receiver", s.to.name(), "samples", n,
		"time", time.UnixMilli(e.t).UTC().Format(time.RFC3339), "err", s.redacted(err))
	return n
}

func recoverable(err error) bool {
	var r remote.RecoverableError
	return errors.As(err, &r)
}
