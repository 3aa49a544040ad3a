package kafka

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Config says how to reach the brokers.
type Config struct {
	Brokers  []string
	ClientID string // "" means watchingcat

	TLS     bool
	TLSCA   string // file; "" means the system's roots
	TLSCert string // file of the client certificate
	TLSKey  string // file of its key

	SASLMechanism string // "", PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM
	SASLUsername  string
	SASLPassword  Secret
	OAuth         OAuth // of OAUTHBEARER

	// Rack is where the process runs: records are fetched from a replica there (KIP-392). "": from leaders.
	Rack string

	// Clients exposes what the clients count of themselves; nil: it is not exposed.
	Clients *ClientMetrics

	// Dialer replaces the network, for tests.
	Dialer func(ctx context.Context, network, host string) (net.Conn, error)
}

// Secret is a string that no formatting and no encoding shows.
type Secret string

func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "***"
}

// GoString keeps %#v from showing it.
func (s Secret) GoString() string { return `"` + s.String() + `"` }

// MarshalText keeps JSON and YAML from showing it.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Client returns a client with the options of Opts and more. It connects when it is used.
func (c Config) Client(more ...kgo.Opt) (*kgo.Client, error) {
	opts, err := c.Opts()
	if err != nil {
		return nil, err
	}
	cl, err := kgo.NewClient(append(opts, more...)...)
	if err != nil {
		return nil, fmt.Errorf("pipeline: kafka client: %w", err)
	}
	return cl, nil
}

// Check is the error of Opts, but for brokers that are not set.
func (c Config) Check() error {
	if len(c.Brokers) == 0 {
		c.Brokers = []string{"localhost"}
	}
	_, err := c.Opts()
	return err
}

// Opts returns the client options. Its error names every wrong setting and what to do.
func (c Config) Opts() ([]kgo.Opt, error) {
	brokers, err := c.brokers()
	errs := []error{err}
	id := c.ClientID
	if id == "" {
		id = "watchingcat"
	}
	opts := []kgo.Opt{kgo.SeedBrokers(brokers...), kgo.ClientID(id), kgo.DisableClientMetrics()}
	if c.Dialer != nil {
		opts = append(opts, kgo.Dialer(c.Dialer))
	}
	tlsConfig, err := c.tls()
	errs = append(errs, err)
	if tlsConfig != nil {
		opts = append(opts, kgo.DialTLSConfig(tlsConfig))
	}
	if c.Rack != "" {
		opts = append(opts, kgo.Rack(c.Rack))
	}
	mechanism, err := c.sasl()
	errs = append(errs, err)
	if mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	if err := errors.Join(errs...); err != nil {
		return nil, fmt.Errorf("kafka settings: %w", err)
	}
	return opts, nil
}

func (c Config) brokers() ([]string, error) {
	var list []string
	for _, b := range c.Brokers {
		b = strings.TrimSpace(b)
		if b == "" {
			continue
		}
		if strings.Contains(b, "://") {
			return nil, fmt.Errorf("broker %q: write host:port, without a scheme", b)
		}
		if _, _, err := net.SplitHostPort(b); strings.Contains(b, ":") && err != nil {
			return nil, fmt.Errorf("broker %q: write host:port ([host]:port for IPv6): %w", b, err)
		}
		list = append(list, b)
	}
	if len(list) == 0 {
		return nil, errors.New("no brokers: set WATCHINGCAT_KAFKA_BROKERS to a comma list of host:port")
	}
	return list, nil
}

func (c Config) tls() (*tls.Config, error) {
	if !c.TLS {
		if c.TLSCA != "" || c.TLSCert != "" || c.TLSKey != "" {
			return nil, errors.New("TLS files are set but TLS is off: set WATCHINGCAT_KAFKA_TLS=true or remove them")
		}
		return nil, nil
	}
	t := &tls.Config{MinVersion: tls.VersionTLS12}
	if c.TLSCA != "" {
		pem, err := os.ReadFile(c.TLSCA)
		if err != nil {
			return nil, fmt.Errorf("read WATCHINGCAT_KAFKA_TLS_CA: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("WATCHINGCAT_KAFKA_TLS_CA: %s holds no PEM certificate", c.TLSCA)
		}
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		return nil, errors.New("set WATCHINGCAT_KAFKA_TLS_CERT and WATCHINGCAT_KAFKA_TLS_KEY together or neither")
	}
	if c.TLSCert != "" {
		cert, err := tls.LoadX509KeyPair(c.TLSCert, c.TLSKey)
		if err != nil {
			return nil, fmt.Errorf("load WATCHINGCAT_KAFKA_TLS_CERT and _KEY: %w", err)
		}
		t.Certificates = []tls.Certificate{cert}
	}
	return t, nil
}

// maxTopic is how long the name of a topic may be.
const maxTopic = 249

// CheckTopic reports why Kafka refuses a name of a topic, or nil.
func CheckTopic(name string) error {
	switch {
	case name == "":
		return errors.New("the name of the topic is empty: give one")
	case name == "." || name == "..":
		return fmt.Errorf("%q is not a name that Kafka takes: use another", name)
	case len(name) > maxTopic:
		return fmt.Errorf("a name of %d characters is too long: Kafka takes at most %d", len(name), maxTopic)
	}
	for _, c := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", c) {
			return fmt.Errorf("%q has the character %q: Kafka takes letters, digits, dot, underscore and hyphen", name, c)
		}
	}
	return nil
}
