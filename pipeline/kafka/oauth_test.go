package kafka_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// identityProvider gives tokens to one client, and is what brokers verify them by.
type identityProvider struct {
	t    *testing.T
	url  string
	life time.Duration

	mu       sync.Mutex
	down     bool
	given    map[string]time.Time // token: its end
	asked    int
	accepted map[string]int // sessions by token
	refused  int
	form     string // of the last request
	auth     string // of the last session
}

func newIdentityProvider(t *testing.T, life time.Duration) *identityProvider {
	t.Helper()
	p := &identityProvider{t: t, life: life, given: map[string]time.Time{}, accepted: map[string]int{}}
	s := httptest.NewServer(p)
	t.Cleanup(s.Close)
	p.url = s.URL + "/token"
	return p
}

func (p *identityProvider) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.asked++
	_ = r.ParseForm()
	p.form = r.PostForm.Encode()
	id, secret, basic := r.BasicAuth()
	if !basic {
		id, secret = r.PostForm.Get("client_id"), r.PostForm.Get("client_secret")
	}
	w.Header().Set("Content-Type", "application/json")
	switch {
	case p.down:
		w.WriteHeader(http.StatusServiceUnavailable)
	case id != "watchingcat" || secret != "hunter2":
		w.WriteHeader(http.StatusUnauthorized)
		_ = json.NewEncoder(w).Encode(map[string]any{"error": "invalid_client", "error_description": "secret " + secret})
	default:
		token := fmt.Sprintf("token-%d", len(p.given)+1)
		p.given[token] = time.Now().Add(p.life)
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": token, "token_type": "bearer", "expires_in": p.life.Seconds()})
	}
}

func (p *identityProvider) set(down bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.down = down
}

// of reads something under the lock.
func of[T any](p *identityProvider, f func() T) T {
	p.mu.Lock()
	defer p.mu.Unlock()
	return f()
}

// guard makes a broker accept sessions with living tokens only, each up to the token's end.
func (p *identityProvider) guard(b *pipelinetest.Broker) {
	b.ControlKey(int16(kmsg.SASLHandshake), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		resp := r.ResponseKind().(*kmsg.SASLHandshakeResponse)
		resp.SupportedMechanisms = []string{"OAUTHBEARER"}
		return resp, nil, true
	})
	b.ControlKey(int16(kmsg.SASLAuthenticate), func(r kmsg.Request) (kmsg.Response, error, bool) {
		b.KeepControl()
		p.mu.Lock()
		defer p.mu.Unlock()
		resp := r.ResponseKind().(*kmsg.SASLAuthenticateResponse)
		p.auth = string(r.(*kmsg.SASLAuthenticateRequest).SASLAuthBytes)
		_, token, _ := strings.Cut(p.auth, "auth=Bearer ")
		token, _, _ = strings.Cut(token, "\x01")
		if end, ok := p.given[token]; ok && time.Now().Before(end) {
			p.accepted[token]++
			resp.SessionLifetimeMillis = time.Until(end).Milliseconds()
			return resp, nil, true
		}
		p.refused++
		resp.SASLAuthBytes = []byte(`{"status":"invalid_token"}`) // RFC 7628: the client ends the exchange
		return resp, nil, true
	})
}

func oauthSource(t *testing.T, b *pipelinetest.Broker, o kafka.OAuth) *source.Source {
	t.Helper()
	return b.Source(func(c *source.Config) {
		c.Kafka.SASLMechanism, c.Kafka.OAuth, c.Refresh = "OAUTHBEARER", o, 100*time.Millisecond
	})
}

// stateError waits until the source says that it does not read, and why.
func stateError(t *testing.T, s *source.Source, want ...string) {
	t.Helper()
	pipelinetest.Eventually(t, fmt.Sprintf("an error with %q", want), func() bool {
		for _, st := range s.States() {
			if st.Err == nil {
				return false
			}
			for _, w := range want {
				if !strings.Contains(st.Err.Error(), w) {
					return false
				}
			}
			if strings.Contains(st.Err.Error(), "hunter") || strings.Contains(st.Err.Error(), "token-") {
				t.Fatalf("the error shows a secret: %v", st.Err)
			}
		}
		return true
	})
}

// TestOAuthRenewsTokens: a run outlives its tokens; the brokers never see one that has ended.
func TestOAuthRenewsTokens(t *testing.T) {
	p := newIdentityProvider(t, 3*time.Second)
	b := pipelinetest.NewBroker(t, 1)
	p.guard(b)
	s := oauthSource(t, b, kafka.OAuth{TokenURL: p.url, ClientID: "watchingcat", ClientSecret: "hunter2", Scopes: []string{"kafka", "read"},
		Audience: "brokers", Extensions: []string{"logicalCluster=lkc-1"}})
	out := pipelinetest.Subscribe(t, s)
	for n := 0; of(p, func() int { return len(p.accepted) }) < 3; n++ {
		b.Produce(0, n, n+1)
		msg, batch := pipelinetest.Receive(t, out)
		require.Len(t, batch.Records, 1)
		require.Equal(t, fmt.Sprint(n), string(batch.Records[0].Value))
		msg.Ack()
	}
	require.Zero(t, of(p, func() int { return p.refused }))
	require.Contains(t, of(p, func() string { return p.form }), "audience=brokers")
	require.Contains(t, of(p, func() string { return p.form }), "scope=kafka+read")
	require.Contains(t, of(p, func() string { return p.auth }), "\x01logicalCluster=lkc-1\x01")
}

// TestOAuthEndpointDown: nothing ends, the state says why, and reading begins once there are tokens; while a token lives the endpoint is not needed.
func TestOAuthEndpointDown(t *testing.T) {
	p := newIdentityProvider(t, time.Hour)
	p.set(true)
	b := pipelinetest.NewBroker(t, 1)
	p.guard(b)
	s := oauthSource(t, b, kafka.OAuth{TokenURL: p.url, ClientID: "watchingcat", ClientSecret: "hunter2"})
	out := pipelinetest.Subscribe(t, s)
	stateError(t, s, "token endpoint", "503")
	p.set(false)
	b.Produce(0, 0, 1)
	msg, _ := pipelinetest.Receive(t, out)
	msg.Ack()
	p.set(true)
	b.Produce(0, 1, 2)
	msg, _ = pipelinetest.Receive(t, out)
	msg.Ack()
}

// TestOAuthWrongSecret: the error names the settings and shows no secret; the endpoint is not flooded.
func TestOAuthWrongSecret(t *testing.T) {
	p := newIdentityProvider(t, time.Hour)
	b := pipelinetest.NewBroker(t, 1)
	p.guard(b)
	s := oauthSource(t, b, kafka.OAuth{TokenURL: p.url, ClientID: "watchingcat", ClientSecret: "hunter3"})
	pipelinetest.Subscribe(t, s)
	stateError(t, s, "401 invalid_client", "WATCHINGCAT_KAFKA_OAUTH_CLIENT_ID", "_CLIENT_SECRET")
}

// TestOAuthTokenFile: a token that another program renews is read again; one that brokers refuse says so.
func TestOAuthTokenFile(t *testing.T) {
	p := newIdentityProvider(t, time.Hour)
	b := pipelinetest.NewBroker(t, 1)
	p.guard(b)
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("token-old\n"), 0o600))
	s := oauthSource(t, b, kafka.OAuth{TokenFile: file})
	out := pipelinetest.Subscribe(t, s)
	stateError(t, s, "rejected the OAUTHBEARER token", "invalid_token", "audience")
	p.mu.Lock()
	p.given["token-new"] = time.Now().Add(time.Hour)
	p.mu.Unlock()
	require.NoError(t, os.WriteFile(file, []byte("token-new\n"), 0o600))
	b.Produce(0, 0, 1)
	msg, _ := pipelinetest.Receive(t, out)
	msg.Ack()
}

func TestSASLSettings(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	require.NoError(t, os.WriteFile(file, []byte("two\nlines"), 0o600))
	for name, c := range map[string]struct {
		kafka.Config
		want string
	}{
		"unknown":       {kafka.Config{SASLMechanism: "NTLM"}, "OAUTHBEARER or AWS_MSK_IAM"},
		"no mechanism":  {kafka.Config{OAuth: kafka.OAuth{TokenFile: file}}, "WATCHINGCAT_KAFKA_SASL_MECHANISM=OAUTHBEARER"},
		"no source":     {kafka.Config{SASLMechanism: "OAUTHBEARER"}, "WATCHINGCAT_KAFKA_OAUTH_TOKEN_FILE"},
		"two sources":   {kafka.Config{SASLMechanism: "OAUTHBEARER", OAuth: kafka.OAuth{TokenFile: file, TokenURL: "https://a"}}, "set one of them"},
		"no secret":     {kafka.Config{SASLMechanism: "OAUTHBEARER", OAuth: kafka.OAuth{TokenURL: "https://a", ClientID: "b"}}, "_CLIENT_SECRET"},
		"no URL":        {kafka.Config{SASLMechanism: "OAUTHBEARER", OAuth: kafka.OAuth{TokenURL: "https://u:hunter2@a", ClientID: "b", ClientSecret: "hunter2"}}, "not an http or https URL"},
		"scopes":        {kafka.Config{SASLMechanism: "OAUTHBEARER", OAuth: kafka.OAuth{TokenFile: file, Scopes: []string{"a"}}}, "takes no client, scopes or audience"},
		"extension":     {kafka.Config{SASLMechanism: "OAUTHBEARER", OAuth: kafka.OAuth{TokenFile: file, Extensions: []string{"auth=x"}}}, "WATCHINGCAT_KAFKA_OAUTH_EXTENSIONS"},
		"extensions":    {kafka.Config{SASLMechanism: "OAUTHBEARER", OAuth: kafka.OAuth{TokenFile: file, Extensions: []string{"a=x", "a=y"}}}, "given twice"},
		"password":      {kafka.Config{SASLMechanism: "OAUTHBEARER", SASLUsername: "u"}, "takes no user"},
		"IAM, no TLS":   {kafka.Config{SASLMechanism: "AWS_MSK_IAM"}, "WATCHINGCAT_KAFKA_TLS=true"},
		"IAM with user": {kafka.Config{SASLMechanism: "aws_msk_iam", TLS: true, SASLUsername: "u"}, "takes no user"},
	} {
		err := c.Check()
		require.ErrorContains(t, err, c.want, name)
		require.NotContains(t, err.Error(), "hunter2", name)
	}
	require.NoError(t, kafka.Config{SASLMechanism: "oauthbearer", OAuth: kafka.OAuth{TokenFile: file}}.Check())
	require.NoError(t, kafka.Config{Rack: "eu-1a"}.Check())
}

// TestMSKIAM: what brokers of MSK verify is signed with the credentials of AWS' chain.
func TestMSKIAM(t *testing.T) {
	t.Setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
	t.Setenv("AWS_SESSION_TOKEN", "session")
	t.Setenv("AWS_REGION", "eu-central-1")
	t.Setenv("AWS_CONFIG_FILE", filepath.Join(t.TempDir(), "none"))
	c := kafka.Config{SASLMechanism: "AWS_MSK_IAM", TLS: true}
	m, err := kafka.Mechanism(c)
	require.NoError(t, err)
	_, first, err := m.Authenticate(t.Context(), "b-1.demo.abcde.c2.kafka.eu-west-1.amazonaws.com:9098")
	require.NoError(t, err)
	var got map[string]string
	require.NoError(t, json.Unmarshal(first, &got))
	require.Equal(t, "kafka-cluster:Connect", got["action"])
	require.Contains(t, got["x-amz-credential"], "AKIDEXAMPLE/")
	require.Contains(t, got["x-amz-credential"], "/eu-west-1/kafka-cluster/aws4_request")
	require.Equal(t, "session", got["x-amz-security-token"])
	require.NotContains(t, string(first), "hunter2")
	t.Setenv("AWS_ACCESS_KEY_ID", "")
	t.Setenv("AWS_SECRET_ACCESS_KEY", "")
	t.Setenv("AWS_EC2_METADATA_DISABLED", "true")
	m, err = kafka.Mechanism(c)
	require.NoError(t, err)
	_, _, err = m.Authenticate(t.Context(), "b-1.demo.abcde.c2.kafka.eu-west-1.amazonaws.com:9098")
	require.ErrorContains(t, err, "no AWS credentials")
}
