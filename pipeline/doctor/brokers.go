package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// brokers reports whether the cluster answers at all.
func (x *examination) brokers(ctx context.Context) bool {
	a := about{x.r, "brokers", strings.Join(x.Kafka.Brokers, ",")}
	asked, cancel := x.ask(ctx)
	defer cancel()
	m, err := x.adm.BrokerMetadata(asked)
	if err != nil {
		change, reason := x.whyUnreachable(err)
		a.found(Failure, "brokers_reachable", change, reason, "no broker answers: %v", err)
		return false
	}
	x.single = len(m.Brokers) == 1
	versions, err := x.adm.ApiVersions(asked)
	if err != nil {
		a.found(Failure, "brokers_reachable", "Run the command again; look at the brokers' logs if it stays so.", "",
			"the brokers answered once and then no more: %v", err)
		return false
	}
	guesses := map[string]bool{}
	all := true
	for _, v := range versions.Sorted() {
		if v.Err == nil {
			guesses[strings.TrimPrefix(v.VersionGuess(), "v")] = true
			continue
		}
		all = false
		b := brokerOf(m, v.NodeID)
		change, reason := x.whyUnreachable(v.Err)
		about{x.r, "brokers", fmt.Sprintf("broker %d", v.NodeID)}.found(Failure, "broker_advertised",
			fmt.Sprintf("Make %s:%d reachable from here, or set advertised.listeners of broker %d to an address that is. %s", b.Host, b.Port, v.NodeID, change),
			strings.TrimSpace("Clients connect to the address that a broker advertises, and WatchingCat reads every partition from its leader. "+reason),
			"does not answer at %s:%d, the address that it advertises: %v", b.Host, b.Port, v.Err)
	}
	if all {
		a.ok("brokers_reachable", "%s, Kafka %s", many(len(versions), "broker answers", "brokers answer"), join(slices.Sorted(maps.Keys(guesses))))
	}
	if x.single {
		a.found(Note, "brokers_replication", "Use three brokers where no record may be lost.", "Records are lost with the disk of the broker.", "the cluster has one broker")
	}
	if !x.Kafka.TLS && x.Kafka.SASLMechanism != "" {
		a.found(Warning, "sasl_plaintext", "Set WATCHINGCAT_KAFKA_TLS=true if the brokers have a listener with SASL_SSL.",
			"Whoever can read the network can read the telemetry, and with PLAIN the password.", "SASL is used on connections without TLS")
	}
	return true
}

func brokerOf(m kadm.Metadata, id int32) kadm.BrokerDetail {
	for _, b := range m.Brokers {
		if b.NodeID == id {
			return b
		}
	}
	return kadm.BrokerDetail{NodeID: id}
}

// whyUnreachable says what to do about an error of a connection, and what it means.
func (x *examination) whyUnreachable(err error) (change, reason string) {
	var dns *net.DNSError
	var authority x509.UnknownAuthorityError
	var host x509.HostnameError
	var record tls.RecordHeaderError
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("Check the name %s in WATCHINGCAT_KAFKA_BROKERS and the DNS of this machine.", dns.Name), "The name of the broker has no address."
	case errors.As(err, &authority):
		return "Set WATCHINGCAT_KAFKA_TLS_CA to the PEM file of the CA that signed the brokers' certificates.", "The brokers' certificate is signed by a CA that this machine does not trust."
	case errors.As(err, &host):
		return "Use the host name of the certificate in WATCHINGCAT_KAFKA_BROKERS and in advertised.listeners.", "The brokers' certificate is for another host name."
	case errors.As(err, &record):
		return "Unset WATCHINGCAT_KAFKA_TLS, or use the port of the listener with TLS.", "The listener does not speak TLS."
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "Check WATCHINGCAT_KAFKA_SASL_USERNAME and WATCHINGCAT_KAFKA_SASL_PASSWORD.", "The brokers rejected the credentials."
	case errors.Is(err, kerr.UnsupportedSaslMechanism), errors.Is(err, kerr.IllegalSaslState):
		return "Set WATCHINGCAT_KAFKA_SASL_MECHANISM to a mechanism of the listener, or unset it.", "The listener does not offer this SASL mechanism."
	case isClosed(err) && x.Kafka.TLS:
		return "Unset WATCHINGCAT_KAFKA_TLS, or use the port of the listener with TLS.", "The broker closed the connection during the TLS handshake, as listeners without TLS do."
	case isClosed(err) && x.Kafka.SASLMechanism != "":
		return "Check WATCHINGCAT_KAFKA_SASL_USERNAME and WATCHINGCAT_KAFKA_SASL_PASSWORD, and set WATCHINGCAT_KAFKA_TLS=true if the listener expects TLS.",
			"The broker closed the connection before it answered, as some do after wrong credentials and all do without the TLS that they expect."
	case isClosed(err):
		return "Set WATCHINGCAT_KAFKA_TLS=true if the listener expects TLS, and WATCHINGCAT_KAFKA_SASL_MECHANISM if it expects SASL.",
			"The broker closed the connection when it saw the first request, as listeners with TLS or SASL do."
	case errors.Is(err, context.DeadlineExceeded):
		return "Check the address, the network policy and the firewall between here and the brokers.", "Nothing answered in time: packets are probably dropped on the way."
	}
	return "Check that the brokers run, and their address and port in WATCHINGCAT_KAFKA_BROKERS.", "The connection could not be established."
}

// isClosed reports whether the broker closed the connection before it answered anything.
func isClosed(err error) bool {
	var first *kgo.ErrFirstReadEOF
	return errors.As(err, &first) || errors.Is(err, io.EOF)
}

// many is a number with its noun.
func many(n int, one, more string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, more)
}
