package kafka_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
)

func TestKafkaConfigErrors(t *testing.T) {
	f := func(c kafka.Config, want string) {
		t.Helper()
		if c.Brokers == nil {
			c.Brokers = []string{"localhost:9092"}
		}
		_, err := c.Opts()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
		if err != nil && strings.Contains(err.Error(), "hunter2") {
			t.Errorf("the error shows the password: %v", err)
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	f(kafka.Config{Brokers: []string{" "}}, "WATCHINGCAT_KAFKA_BROKERS")
	f(kafka.Config{Brokers: []string{"kafka://a:9092"}}, "without a scheme")
	f(kafka.Config{Brokers: []string{"::1:9092"}}, "[host]:port")
	f(kafka.Config{TLSCA: file}, "WATCHINGCAT_KAFKA_TLS=true")
	f(kafka.Config{TLS: true, TLSCA: file + "-missing"}, "no such file")
	f(kafka.Config{TLS: true, TLSCA: file}, "no PEM certificate")
	f(kafka.Config{TLS: true, TLSCert: file}, "together or neither")
	f(kafka.Config{TLS: true, TLSCert: file, TLSKey: file}, "WATCHINGCAT_KAFKA_TLS_CERT")
	f(kafka.Config{SASLUsername: "u", SASLPassword: "hunter2"}, "WATCHINGCAT_KAFKA_SASL_MECHANISM")
	f(kafka.Config{SASLMechanism: "PLAIN", SASLPassword: "hunter2"}, "WATCHINGCAT_KAFKA_SASL_USERNAME")
	f(kafka.Config{SASLMechanism: "GSSAPI", SASLUsername: "u", SASLPassword: "hunter2"}, "SCRAM-SHA-512")
}

func TestSecretIsNotShown(t *testing.T) {
	c := kafka.Config{SASLPassword: "hunter2"}
	j, err := json.Marshal(c.SASLPassword)
	require.NoError(t, err)
	for _, s := range []string{fmt.Sprint(c), fmt.Sprintf("%+v", c), fmt.Sprintf("%#v", c), fmt.Sprintf("%q", c.SASLPassword), string(j)} {
		if strings.Contains(s, "hunter2") {
			t.Errorf("shown in %s", s)
		}
	}
}

// TestSASLAndTLS talks to a broker that asks for each of them.
func TestSASLAndTLS(t *testing.T) {
	cert, ca := selfSigned(t)
	for _, mechanism := range []string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run("mechanism "+mechanism, func(t *testing.T) {
			opts := []kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(1, pipelinetest.Topic),
				kfake.TLS(&tls.Config{Certificates: []tls.Certificate{cert}})}
			c := kafka.Config{TLS: true, TLSCA: ca}
			if mechanism != "" {
				opts = append(opts, kfake.EnableSASL(), kfake.Superuser(mechanism, "u", "hunter2"))
				c.SASLMechanism, c.SASLUsername, c.SASLPassword = mechanism, "u", "hunter2"
			}
			cluster, err := kfake.NewCluster(opts...)
			require.NoError(t, err)
			defer cluster.Close()
			c.Brokers = cluster.ListenAddrs()
			p, err := pipelinetest.NewPublisher(c)
			require.NoError(t, err)
			defer p.Close()
			require.NoError(t, p.Publish(pipelinetest.Topic, message.NewMessage("1", []byte("x"))))
			s, err := source.New(source.Config{Kafka: c})
			require.NoError(t, err)
			defer s.Close()
			if got := pipelinetest.Collect(t, pipelinetest.Subscribe(t, s), 1); got[0][0] != "x" {
				t.Fatalf("got %v", got)
			}
		})
	}
}

func selfSigned(t *testing.T) (tls.Certificate, string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	tmpl := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, file
}

func TestCheckTopic(t *testing.T) {
	for _, name := range []string{"otlp_spans", "A.b-c_9", "...", strings.Repeat("a", 249)} {
		if err := kafka.CheckTopic(name); err != nil {
			t.Error(err)
		}
	}
	for _, name := range []string{"", ".", "..", "a,b", "otlp.*", "^a", "a b", "\u0430", "a/b", strings.Repeat("a", 250)} {
		if kafka.CheckTopic(name) == nil {
			t.Errorf("%q was taken", name)
		}
	}
}
