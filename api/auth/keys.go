package auth

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"github.com/rs/zerolog"
	"golang.org/x/time/rate"
)

const (
	keysTimeout  = 5 * time.Second  // of a fetch; start-up waits for the first
	keysEvery    = 5 * time.Minute  // between fetches: a key that the provider took away is refused by then
	unknownEvery = 10 * time.Second // between fetches for key ids that are not known, whoever sends them
	maxAnswer    = 1 << 20          // bytes of an answer
	minRSA       = 2048             // bits (RFC 7518, 3.3)
)

// keySet is the public keys of an identity provider by key id. Known keys stay in force while the provider does not answer.
type keySet struct {
	url       string
	transport http.RoundTripper
	keys      keyfunc.Keyfunc
	log       zerolog.Logger
	failed    atomic.Pointer[error] // of the last fetch
}

// openKeys fetches the keys until ctx ends. A provider that does not answer yet is no error.
func openKeys(ctx context.Context, url string, transport http.RoundTripper, log zerolog.Logger) (*keySet, error) {
	k := &keySet{url: url, transport: bounded{transport}, log: log}
	var err error
	k.keys, err = keyfunc.NewDefaultOverrideCtx(ctx, []string{url}, keyfunc.Override{
		Client: &http.Client{Transport: k}, HTTPTimeout: keysTimeout, RefreshInterval: keysEvery,
		RefreshUnknownKID: rate.NewLimiter(rate.Every(unknownEvery), 1), RateLimitWaitMax: keysTimeout,
		RefreshErrorHandlerFunc: func(string) func(context.Context, error) { return k.fail },
	})
	if err != nil {
		return nil, fmt.Errorf("auth: keys of %s: %w", url, err)
	}
	return k, nil
}

// RoundTrip fetches the keys.
func (k *keySet) RoundTrip(r *http.Request) (*http.Response, error) {
	k.failed.Store(nil)
	return k.transport.RoundTrip(r)
}

// bounded cuts off answers that are too large for a provider's.
type bounded struct{ http.RoundTripper }

func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		resp.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(resp.Body, maxAnswer), resp.Body}
	}
	return resp, err
}

func (k *keySet) fail(_ context.Context, err error) {
	k.failed.Store(&err)
	k.log.Warn().Err(err).Str("url", k.url).Msg("fetching the keys of the identity provider failed; the known keys stay active; retrying")
}

// key returns the key that a token names by its id, if it may sign by the method. A header's own key or address of one is never
// looked at.
func (k *keySet) key(ctx context.Context, kid string, method jwt.SigningMethod) (any, error) {
	if kid == "" {
		return nil, errors.New("the token names no key (kid)")
	}
	jwk, err := k.keys.Storage().KeyRead(ctx, kid)
	if err != nil {
		if failed := k.failed.Load(); failed != nil {
			return nil, fmt.Errorf("%w, and the identity provider's keys cannot be fetched at the moment", ErrUnknownKey)
		}
		return nil, ErrUnknownKey // or too soon after the last fetch for another one
	}
	m := jwk.Marshal()
	if m.ALG != "" && m.ALG.String() != method.Alg() || m.USE != "" && m.USE != jwkset.UseSig ||
		len(m.KEYOPS) > 0 && !slices.Contains(m.KEYOPS, jwkset.KeyOpsVerify) {
		return nil, errors.New("the key may not verify signatures by this algorithm")
	}
	key := jwk.Key()
	if private, ok := key.(interface{ Public() crypto.PublicKey }); ok {
		key = private.Public()
	}
	switch key := key.(type) {
	case *rsa.PublicKey:
		if method == jwt.SigningMethodRS256 && key.N.BitLen() >= minRSA {
			return key, nil
		}
	case *ecdsa.PublicKey:
		if method == jwt.SigningMethodES256 && key.Curve == elliptic.P256() {
			return key, nil
		}
	}
	return nil, errors.New("the key is of another algorithm, or too small")
}
