package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"
)

// OAuth is where the tokens of SASL OAUTHBEARER come from: an endpoint that gives them to clients, or a file that others renew.
type OAuth struct {
	TokenURL     string
	ClientID     string
	ClientSecret Secret
	Scopes       []string
	Audience     string   // "": none is requested
	TokenFile    string   // read for every session; in place of TokenURL
	Extensions   []string // name=value, sent to the brokers with each token

	// Transport is for requests to TokenURL; nil: http.DefaultTransport.
	Transport http.RoundTripper
	// Now replaces the clock, for tests.
	Now func() time.Time
}

func (o *OAuth) set() bool {
	return o.TokenURL != "" || o.ClientID != "" || o.ClientSecret != "" || o.TokenFile != "" || len(o.Scopes) > 0 || o.Audience != "" ||
		len(o.Extensions) > 0
}

// mechanism checks the settings; tokens are requested when a session begins.
func (o *OAuth) mechanism() (sasl.Mechanism, error) {
	extensions, err := o.extensions()
	if err != nil {
		return nil, err
	}
	t := &tokens{now: o.Now, turn: make(chan struct{}, 1)}
	if t.now == nil {
		t.now = time.Now
	}
	switch {
	case (o.TokenURL == "") == (o.TokenFile == ""):
		return nil, errors.New("SASL OAUTHBEARER needs WATCHINGCAT_KAFKA_OAUTH_TOKEN_URL or WATCHINGCAT_KAFKA_OAUTH_TOKEN_FILE: set one of them")
	case o.TokenFile != "":
		if o.ClientID != "" || o.ClientSecret != "" || len(o.Scopes) > 0 || o.Audience != "" {
			return nil, errors.New("WATCHINGCAT_KAFKA_OAUTH_TOKEN_FILE takes no client, scopes or audience: remove them or set WATCHINGCAT_KAFKA_OAUTH_TOKEN_URL")
		}
		t.fetch = o.fromFile
	case o.ClientID == "" || o.ClientSecret == "":
		return nil, errors.New("WATCHINGCAT_KAFKA_OAUTH_TOKEN_URL needs WATCHINGCAT_KAFKA_OAUTH_CLIENT_ID and WATCHINGCAT_KAFKA_OAUTH_CLIENT_SECRET")
	default:
		u, err := url.Parse(o.TokenURL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil {
			return nil, errors.New("WATCHINGCAT_KAFKA_OAUTH_TOKEN_URL is not an http or https URL without a user")
		}
		t.fetch = o.fromEndpoint()
	}
	return bearer{oauth.Oauth(func(ctx context.Context) (oauth.Auth, error) {
		token, err := t.token(ctx)
		return oauth.Auth{Token: token, Extensions: extensions}, err
	})}, nil
}

// extensions are names of letters with values of printable ASCII, as RFC 7628 has them.
func (o *OAuth) extensions() (map[string]string, error) {
	m := map[string]string{}
	for _, e := range o.Extensions {
		name, value, ok := strings.Cut(strings.TrimSpace(e), "=")
		letters := strings.Trim(strings.ToLower(name), "abcdefghijklmnopqrstuvwxyz") == ""
		if !ok || name == "" || !letters || strings.EqualFold(name, "auth") || strings.ContainsFunc(value, notPrintable) {
			return nil, fmt.Errorf("WATCHINGCAT_KAFKA_OAUTH_EXTENSIONS: %q is not name=value with a name of letters (but auth) and a value of printable ASCII", e)
		}
		if _, twice := m[name]; twice {
			return nil, fmt.Errorf("WATCHINGCAT_KAFKA_OAUTH_EXTENSIONS: %q is given twice", name)
		}
		m[name] = value
	}
	return m, nil
}

func notPrintable(r rune) bool { return r < ' ' || r > '~' }

// maxToken is how many bytes of a file are read as a token.
const maxToken = 64 << 10

func (o *OAuth) fromFile(context.Context) (*oauth2.Token, error) {
	b, err := os.ReadFile(o.TokenFile)
	if err != nil {
		return nil, fmt.Errorf("read WATCHINGCAT_KAFKA_OAUTH_TOKEN_FILE: %w", err)
	}
	text := strings.TrimSpace(string(b))
	if text == "" || len(text) > maxToken || strings.ContainsFunc(text, notPrintable) {
		return nil, fmt.Errorf("WATCHINGCAT_KAFKA_OAUTH_TOKEN_FILE: %s does not hold one token: write the token alone into it", o.TokenFile)
	}
	return &oauth2.Token{AccessToken: text}, nil
}

// tokenTimeout bounds a request for a token.
const tokenTimeout = 10 * time.Second

func (o *OAuth) fromEndpoint() func(context.Context) (*oauth2.Token, error) {
	c := clientcredentials.Config{ClientID: o.ClientID, ClientSecret: string(o.ClientSecret), TokenURL: o.TokenURL, Scopes: o.Scopes}
	if o.Audience != "" {
		c.EndpointParams = url.Values{"audience": {o.Audience}}
	}
	client := &http.Client{Timeout: tokenTimeout, Transport: o.Transport}
	return func(ctx context.Context) (*oauth2.Token, error) {
		token, err := c.Token(context.WithValue(ctx, oauth2.HTTPClient, client))
		var refused *oauth2.RetrieveError
		switch {
		case errors.As(err, &refused) && refused.Response != nil:
			why := strings.TrimSpace(fmt.Sprint(refused.Response.StatusCode, " ", refused.ErrorCode)) // the body may hold anything
			if s := refused.Response.StatusCode; s == http.StatusTooManyRequests || s >= 500 {
				return nil, fmt.Errorf("the token endpoint %s does not work (%s): wait for it or check its state", o.TokenURL, why)
			}
			return nil, fmt.Errorf("the token endpoint %s refused a token (%s): check WATCHINGCAT_KAFKA_OAUTH_CLIENT_ID, _CLIENT_SECRET, _SCOPES and _AUDIENCE",
				o.TokenURL, why)
		case err != nil:
			return nil, fmt.Errorf("request a token (WATCHINGCAT_KAFKA_OAUTH_TOKEN_URL): %w", err)
		case strings.ContainsFunc(token.AccessToken, notPrintable):
			return nil, fmt.Errorf("the token endpoint %s answered with something that is no token", o.TokenURL)
		}
		return token, nil
	}
}

// tokens keeps the newest token: sessions of all brokers share it until most of its life is over. While no newer one can be had, it serves
// to its end.
type tokens struct {
	fetch func(context.Context) (*oauth2.Token, error)
	now   func() time.Time
	turn  chan struct{} // holds one: who looks at the fields below

	current         *oauth2.Token
	fetched, failed time.Time
	err             error
}

const (
	// renewAfter is the part of a token's life after which it is renewed, as Kafka's own client does.
	renewAfter = 0.8
	// leastLife is how long a token must live to be worth a session.
	leastLife = 2 * time.Second
	// fetchPause is the time between two requests after one failed: brokers reconnect far more often.
	fetchPause = time.Second
)

func (t *tokens) token(ctx context.Context) (string, error) {
	select {
	case t.turn <- struct{}{}:
		defer func() { <-t.turn }()
	case <-ctx.Done():
		return "", ctx.Err()
	}
	now := t.now()
	if t.current != nil && now.Before(t.renewAt()) {
		return t.current.AccessToken, nil
	}
	if t.err == nil || now.Sub(t.failed) >= fetchPause {
		token, err := t.fetch(ctx)
		if t.err, t.failed = err, now; err == nil {
			t.current, t.fetched = token, now
		}
	}
	if t.err != nil && t.current != nil && !t.current.Expiry.IsZero() && now.Add(leastLife).Before(t.current.Expiry) {
		return t.current.AccessToken, nil
	}
	if t.err != nil {
		return "", t.err
	}
	return t.current.AccessToken, nil
}

// renewAt is when the current token is renewed. One that names no end is requested anew for each session.
func (t *tokens) renewAt() time.Time {
	if t.current.Expiry.IsZero() {
		return time.Time{}
	}
	return t.fetched.Add(time.Duration(renewAfter * float64(t.current.Expiry.Sub(t.fetched))))
}

// bearer says what a broker answers that takes no token.
type bearer struct{ sasl.Mechanism }

func (b bearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	s, first, err := b.Mechanism.Authenticate(ctx, host)
	return bearerSession{s}, first, err
}

type bearerSession struct{ sasl.Session }

func (s bearerSession) Challenge(answer []byte) (bool, []byte, error) {
	if len(answer) == 0 {
		return s.Session.Challenge(answer)
	}
	text := strings.ToValidUTF8(string(answer[:min(len(answer), 200)]), "?")
	return false, nil, fmt.Errorf("the broker rejected the OAUTHBEARER token (%s): check the token's audience, scopes and issuer against the broker's settings",
		cmp.Or(strings.TrimSpace(text), "no reason"))
}
