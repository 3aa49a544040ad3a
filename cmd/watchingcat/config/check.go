package config

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// check refuses values that cannot work, all at once.
func (c *Config) check() error {
	var errs []error
	bad := func(ok bool, name, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s%s: %s", EnvPrefix, name, fmt.Sprintf(format, args...)))
		}
	}
	c.checkTopics(bad)
	for name, of := range map[string]struct {
		signal   *encoding.Signal
		encoding string
	}{"KAFKA_TRACES_ENCODING": {encoding.Spans, c.KafkaTracesEncoding}, "KAFKA_METRICS_ENCODING": {encoding.Metrics, c.KafkaMetricsEncoding},
		"KAFKA_LOGS_ENCODING": {encoding.Logs, c.KafkaLogsEncoding}} {
		err := of.signal.Check(of.encoding)
		bad(err == nil, name, "%v", err)
	}
	err := c.Translation().Check()
	bad(err == nil, "OTLP_TRANSLATION_STRATEGY or OTLP_PROMOTE_RESOURCE_ATTRIBUTES", "%v", err)
	bad(c.KafkaStart == "earliest" || c.KafkaStart == "latest", "KAFKA_START", "%q is neither earliest nor latest", c.KafkaStart)
	bad(c.Mode == "replicated", "MODE", "%q: this version runs replicated only", c.Mode)
	bad(c.LogFormat == "json" || c.LogFormat == "console", "LOG_FORMAT", "%q is neither json nor console", c.LogFormat)
	bad(slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel), "LOG_LEVEL", "%q is none of debug, info, warn, error",
		c.LogLevel)
	bad(c.CommitInterval >= 10*time.Millisecond && c.CommitInterval <= 10*time.Second, "COMMIT_INTERVAL", "%v is not between 10ms and 10s",
		c.CommitInterval)
	for name, d := range map[string]time.Duration{"RETENTION_10S": c.Retention10s, "RETENTION_1M": c.Retention1m,
		"RETENTION_METRICS": time.Duration(c.RetMetrics), "PAIRING_WINDOW": c.PairingWindow, "READY_MAX_LAG": c.ReadyMaxLag} {
		bad(d >= time.Second, name, "%v is less than a second", d)
	}
	bad(c.Retention1m >= c.Retention10s, "RETENTION_1M", "%v is less than the %v of RETENTION_10S", c.Retention1m, c.Retention10s)
	bad(time.Duration(c.Retention1h) >= c.Retention1m, "RETENTION_1H", "%v is less than the %v of RETENTION_1M", c.Retention1h,
		c.Retention1m)
	for name, n := range map[string]int{"LIMIT_SERVICES": c.LimitServices, "LIMIT_OPERATIONS_PER_SERVICE": c.LimitOperations,
		"LIMIT_EDGES": c.LimitEdges, "LIMIT_SERIES": c.LimitSeries,
		"LIMIT_PATTERNS": c.LimitPatterns, "LIMIT_ERROR_GROUPS": c.LimitErrorGroups, "LIMIT_DIMENSION_VALUES": c.LimitDimensions} {
		bad(n > 0, name, "%d is not positive", n)
	}
	bad(c.TracesKeep == "all" || c.TracesKeep == "notable", "TRACES_KEEP", "%q is neither all nor notable", c.TracesKeep)
	bad(c.TracesSample >= 0 && c.TracesSample <= 1, "TRACES_SAMPLE", "%v is not between 0 and 1", c.TracesSample)
	bad(c.VerifyShare >= 0 && c.VerifyShare <= 1, "VERIFY_SHARE", "%v is not between 0 and 1", c.VerifyShare)
	bad(c.TracesSlow >= 0, "TRACES_SLOW", "%v is negative", c.TracesSlow)
	bad(!c.DedupSpans || c.DedupWindow > 0, "DEDUP_SPANS",
		"is on and DEDUP_WINDOW is off: set DEDUP_WINDOW to how far apart a span may be sent again")
	bad(c.Lateness >= 0 && c.DedupWindow >= 0 && c.PairingCompensation >= 0, "LATENESS, DEDUP_WINDOW or PAIRING_COMPENSATION", "negative")
	for name, v := range map[string]string{"EXTERNAL_URL": c.ExternalURL, "JAEGER_URL": c.JaegerURL, "PROMETHEUS_URL": c.PrometheusURL,
		"ELASTICSEARCH_URL": c.ElasticURL, "GRAFANA_URL": c.GrafanaURL, "AUTH_JWKS_URL": c.AuthJWKSURL, "AUTH_OIDC_ISSUER": c.OIDCIssuer,
		"SERVER_URL": c.ServerURL, "KIBANA_URL": c.KibanaURL} {
		u, err := url.Parse(v)
		bad(v == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", name, "%q is not an http or https URL", v)
	}
	bad(c.MemoryLimit == 0 || c.MemoryLimit >= MinMemory, "MEMORY_LIMIT", "%v is less than %v", c.MemoryLimit, ByteSize(MinMemory))
	c.ExternalURL = strings.TrimRight(c.ExternalURL, "/")                                  // links are made by appending to it
	c.Dimensions = slices.DeleteFunc(c.Dimensions, func(d string) bool { return d == "" }) // DIMENSIONS= sets none
	_, err = viewmodel.NewDimensions(c.Dimensions)
	bad(err == nil, "DIMENSIONS", "%v", err)
	_, _, err = c.TopicDimension()
	bad(err == nil, "KAFKA_TOPIC_DIMENSION", "%v", err)
	_, err = c.AlertLabels()
	bad(err == nil, "EXTERNAL_LABELS", "%v", err)
	for _, g := range c.RuleFiles {
		_, err := filepath.Match(g, "x")
		bad(err == nil, "RULE_FILES", "%q is not a valid pattern", g)
	}
	c.checkBackups(bad)
	errs = append(errs, c.checkListen(), c.checkAuth(), c.checkReceivers(), c.checkEmbedded(), c.checkExport())
	if err := errors.Join(errs...); err != nil {
		return Usage("%v", err)
	}
	return nil
}

func (c *Config) checkBackups(bad func(ok bool, name, format string, args ...any)) {
	bad(!strings.Contains(c.BackupURL, "://") || strings.HasPrefix(c.BackupURL, "s3://"), "BACKUP_URL",
		"%q is neither a folder nor a URL s3://bucket/prefix", c.BackupURL)
	bad(c.BackupInterval == 0 || c.BackupInterval >= time.Minute, "BACKUP_INTERVAL", "%v is less than a minute", c.BackupInterval)
	bad(c.BackupInterval == 0 || c.BackupURL != "", "BACKUP_INTERVAL", "is set and BACKUP_URL is not: set where backups go")
	bad(c.BackupKeep >= 0, "BACKUP_KEEP", "%d is negative", c.BackupKeep)
	bad(c.BackupRate >= 0, "BACKUP_RATE", "%v is negative", c.BackupRate)
}

func (c *Config) checkTopics(bad func(ok bool, name, format string, args ...any)) {
	type named struct {
		name   string
		topics kafka.Topics
	}
	var known []named
	for i, t := range []struct{ name, topic string }{{"KAFKA_TRACES_TOPIC", c.KafkaTracesTopic},
		{"KAFKA_METRICS_TOPIC", c.KafkaMetricsTopic}, {"KAFKA_LOGS_TOPIC", c.KafkaLogsTopic},
		{"KAFKA_DEAD_LETTER_TOPIC", c.KafkaDeadLetterTopic}, {"KAFKA_CONFIG_TOPIC", c.KafkaConfigTopic}, {"REMOTE_WRITE_TOPIC", c.RemoteWriteTopic},
		{"KAFKA_KEPT_TOPIC", c.KafkaKeptTopic}} {
		if t.topic == "" && t.name == "KAFKA_METRICS_TOPIC" || t.name == "REMOTE_WRITE_TOPIC" && c.RemoteWriteURL == "" ||
			t.topic == "" && t.name == "KAFKA_KEPT_TOPIC" {
			continue // OTLP metrics are not read, samples not sent, traces not written
		}
		topics, err := kafka.ParseTopics(t.topic)
		if i > 2 || topics.Empty() { // the others are written
			topics, err = kafka.TopicsOf(t.topic), kafka.CheckTopic(t.topic)
		}
		bad(err == nil, t.name, "%v", err)
		for _, o := range known {
			if twice := topics.Overlap(o.topics); err == nil && twice != "" {
				bad(false, t.name, "%q is the topic of %s%s too, or a name that Kafka does not distinguish from it: give each its own", twice,
					EnvPrefix, o.name)
			}
		}
		if err == nil {
			known = append(known, named{t.name, topics})
		}
	}
}

// NeedBrokers reports that no broker is set, for what cannot work without.
func (c *Config) NeedBrokers() error {
	if len(c.KafkaBrokers) == 0 {
		return Usage("%sKAFKA_BROKERS is not set: give the brokers as host:port, separated by commas", EnvPrefix)
	}
	return nil
}

// checkListen keeps an open door from being opened by accident.
func (c *Config) checkListen() error {
	host, _, err := net.SplitHostPort(c.HTTPAddr)
	if err != nil {
		return fmt.Errorf("%sHTTP_ADDR: %q is not host:port", EnvPrefix, c.HTTPAddr)
	}
	if loopback(host) || c.AuthEnabled != nil {
		return nil
	}
	return fmt.Errorf("%sHTTP_ADDR: %s is reachable from other machines; set %sAUTH_ENABLED explicitly (false: anyone who reaches it may read everything)", EnvPrefix, c.HTTPAddr, EnvPrefix)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// MinOTLPToken is how many bytes a sender's token has at least.
const MinOTLPToken = 16

// OTLPTokenList are the tokens of senders; none: senders need none.
func (c *Config) OTLPTokenList() (list []string) {
	for t := range strings.SplitSeq(string(c.OTLPTokens), ",") {
		if t = strings.TrimSpace(t); t != "" {
			list = append(list, t)
		}
	}
	return list
}

func (c *Config) checkReceivers() error {
	var errs []error
	tokens := c.OTLPTokenList()
	for i, t := range tokens {
		if len(t) < MinOTLPToken {
			errs = append(errs, fmt.Errorf("%sOTLP_TOKENS: token %d has %d bytes, at least %d are needed; `openssl rand -hex 16` makes one", EnvPrefix, i+1, len(t), MinOTLPToken))
		}
	}
	if c.Embedded || c.OTLPGRPCAddr+c.OTLPHTTPAddr != "" {
		if err := c.Written(); err != nil {
			return err
		}
	}
	if c.OTLPGRPCAddr+c.OTLPHTTPAddr != "" {
		for name, e := range map[string]string{"TRACES": c.KafkaTracesEncoding, "METRICS": c.KafkaMetricsEncoding, "LOGS": c.KafkaLogsEncoding} {
			if e != encoding.Auto && e != encoding.OTLPProto {
				errs = append(errs, fmt.Errorf("%sKAFKA_%s_ENCODING: the OTLP receivers write otlp_proto to the topics, not %s: use auto, or other topics", EnvPrefix, name, e))
			}
		}
	}
	for name, addr := range map[string]string{"OTLP_GRPC_ADDR": c.OTLPGRPCAddr, "OTLP_HTTP_ADDR": c.OTLPHTTPAddr} {
		if addr == "" {
			continue
		}
		host, _, err := net.SplitHostPort(addr)
		switch {
		case err != nil:
			errs = append(errs, fmt.Errorf("%s%s: %q is not host:port", EnvPrefix, name, addr))
		case !loopback(host) && len(tokens) == 0 && !c.OTLPOpen:
			errs = append(errs, fmt.Errorf("%s%s: %s is reachable from other machines; set %sOTLP_TOKENS, or %sOTLP_OPEN=true if anyone who reaches it may send", EnvPrefix, name, addr, EnvPrefix, EnvPrefix))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) checkEmbedded() error {
	if !c.Embedded {
		return nil
	}
	host, _, err := net.SplitHostPort(c.EmbeddedAddr)
	switch {
	case err != nil || !loopback(host):
		return fmt.Errorf("%sEMBEDDED_ADDR: %q is no loopback address with port; other machines send to the OTLP receivers", EnvPrefix, c.EmbeddedAddr)
	case !slices.Equal(c.KafkaBrokers, []string{c.EmbeddedAddr}):
		return fmt.Errorf("%sEMBEDDED and %sKAFKA_BROKERS exclude each other: unset one", EnvPrefix, EnvPrefix)
	case c.KafkaTLS || c.KafkaSASLMechanism != "":
		return fmt.Errorf("%sEMBEDDED: the broker in the process has neither TLS nor SASL: unset the settings %sKAFKA_TLS and %sKAFKA_SASL_*", EnvPrefix, EnvPrefix, EnvPrefix)
	case c.ClusterAddr != "":
		return fmt.Errorf("%sEMBEDDED: replicas need a Kafka that all of them read: unset %sCLUSTER_ADDR", EnvPrefix, EnvPrefix)
	case c.EmbeddedKeep.age < time.Minute:
		return fmt.Errorf("%sEMBEDDED_RETENTION: %v is less than a minute", EnvPrefix, c.EmbeddedKeep.age)
	}
	return nil
}

// checkAuth refuses what would be less safe than it looks.
func (c *Config) checkAuth() error {
	var errs []error
	if n := len(c.AuthJWTSecret); n > 0 && n < auth.MinSecret {
		errs = append(errs, fmt.Errorf("%sAUTH_JWT_SECRET has %d bytes, at least %d are needed; `openssl rand -base64 32` makes one",
			EnvPrefix, n, auth.MinSecret))
	}
	if c.AuthTokenLife < time.Minute {
		errs = append(errs, fmt.Errorf("%sAUTH_TOKEN_DURATION: %v is less than a minute", EnvPrefix, c.AuthTokenLife))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, fmt.Errorf("%sTLS_CERT and %sTLS_KEY go together", EnvPrefix, EnvPrefix))
	}
	if _, err := c.Transport(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.OIDC(); err != nil {
		errs = append(errs, err)
	}
	if c.ShutdownDelay < 0 {
		errs = append(errs, fmt.Errorf("%sSHUTDOWN_DELAY: %v is negative", EnvPrefix, c.ShutdownDelay))
	}
	if c.RateLimit < 0 {
		errs = append(errs, fmt.Errorf("%sRATE_LIMIT: %d is negative", EnvPrefix, c.RateLimit))
	}
	if c.PprofAddr != "" {
		if host, _, err := net.SplitHostPort(c.PprofAddr); err != nil || !loopback(host) {
			errs = append(errs, fmt.Errorf("%sPPROF_ADDR: %q is no loopback address with port", EnvPrefix, c.PprofAddr))
		}
	}
	return errors.Join(errs...)
}
