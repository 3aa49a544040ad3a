package main

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/caarlos0/env/v10"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/spf13/pflag"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/pipeline"
	"github.com/gaurav/watchingcat/views"
)

// envPrefix begins the name of every setting in the environment.
const envPrefix = "WATCHINGCAT_"

// Config is every setting. A field's env tag is its name in the environment after WATCHINGCAT_; in lower case it is the name in
// the file, and with dashes the name of the flag. Defaults < file < environment < flags.
type Config struct {
	HTTPAddr string `env:"HTTP_ADDR" yaml:"http_addr" help:"address of the API and the page; other than loopback needs auth_enabled to be set"`
	DataDir  string `env:"DATA_DIR" yaml:"data_dir" help:"folder of the state; one process at a time"`

	KafkaBrokers         []string        `env:"KAFKA_BROKERS" yaml:"kafka_brokers" help:"brokers to start from, host:port, comma list"`
	KafkaTracesTopic     string          `env:"KAFKA_TRACES_TOPIC" yaml:"kafka_traces_topic" help:"topic of OTLP spans"`
	KafkaMetricsTopic    string          `env:"KAFKA_METRICS_TOPIC" yaml:"kafka_metrics_topic" help:"topic of OTLP metrics"`
	KafkaLogsTopic       string          `env:"KAFKA_LOGS_TOPIC" yaml:"kafka_logs_topic" help:"topic of OTLP logs"`
	KafkaDeadLetterTopic string          `env:"KAFKA_DEAD_LETTER_TOPIC" yaml:"kafka_dead_letter_topic" help:"topic for records that cannot be applied"`
	KafkaGroup           string          `env:"KAFKA_GROUP" yaml:"kafka_group" help:"group whose offsets are committed for lag tools"`
	KafkaStart           string          `env:"KAFKA_START" yaml:"kafka_start" help:"where to begin when no position is stored: earliest or latest"`
	KafkaTLS             bool            `env:"KAFKA_TLS" yaml:"kafka_tls" help:"use TLS"`
	KafkaTLSCA           string          `env:"KAFKA_TLS_CA" yaml:"kafka_tls_ca" help:"file of the brokers' CA; empty: the system's"`
	KafkaTLSCert         string          `env:"KAFKA_TLS_CERT" yaml:"kafka_tls_cert" help:"file of the client certificate"`
	KafkaTLSKey          string          `env:"KAFKA_TLS_KEY" yaml:"kafka_tls_key" help:"file of its key"`
	KafkaSASLMechanism   string          `env:"KAFKA_SASL_MECHANISM" yaml:"kafka_sasl_mechanism" help:"PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"`
	KafkaSASLUsername    string          `env:"KAFKA_SASL_USERNAME" yaml:"kafka_sasl_username" help:"SASL user"`
	KafkaSASLPassword    pipeline.Secret `env:"KAFKA_SASL_PASSWORD" yaml:"kafka_sasl_password" secret:"true" help:"SASL password"`
	KafkaConfigTopic     string          `env:"KAFKA_CONFIG_TOPIC" yaml:"kafka_config_topic" help:"compacted topic of what users make: rules of the page, SLOs, users, tokens, the audit trail"`

	CommitInterval time.Duration `env:"COMMIT_INTERVAL" yaml:"commit_interval" help:"how often to checkpoint"`
	Retention10s   time.Duration `env:"RETENTION_10S" yaml:"retention_10s" help:"how long 10 s buckets are kept"`
	Retention1m    time.Duration `env:"RETENTION_1M" yaml:"retention_1m" help:"how long 1 min buckets are kept, and a silent series is shown"`
	Retention1h    days          `env:"RETENTION_1H" yaml:"retention_1h" help:"how long 1 h buckets are kept, as 400d or 9600h"`
	RetTraces      retention     `env:"RETENTION_TRACES" yaml:"retention_traces" help:"how long traces are kept, and how many bytes of their spans: 1h,4GiB; 0B keeps summaries alone, 0s nothing"`
	TracesKeep     string        `env:"TRACES_KEEP" yaml:"traces_keep" help:"whose raw spans are kept: all, or notable (traces with errors, slow ones, and a sample; the others for two minutes)"`
	TracesSlow     time.Duration `env:"TRACES_SLOW" yaml:"traces_slow" help:"from which duration on a trace is slow"`
	TracesSample   float64       `env:"TRACES_SAMPLE" yaml:"traces_sample" help:"share of the other traces that is kept, 0 to 1"`
	RetLogs        retention     `env:"RETENTION_LOGS" yaml:"retention_logs" help:"how long log lines are kept, and how many bytes of them: 1h,2GiB"`
	RetMetrics     days          `env:"RETENTION_METRICS" yaml:"retention_metrics" help:"how long samples of OTLP metrics are kept"`

	OTLPStrategy        string   `env:"OTLP_TRANSLATION_STRATEGY" yaml:"otlp_translation_strategy" help:"how names of OTLP metrics become Prometheus names: UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes or NoTranslation, as in Prometheus"`
	OTLPPromote         []string `env:"OTLP_PROMOTE_RESOURCE_ATTRIBUTES" yaml:"otlp_promote_resource_attributes" help:"resource attributes that become labels of OTLP metrics, comma list; service.name always does"`
	OTLPKeepIdentifying bool     `env:"OTLP_KEEP_IDENTIFYING_RESOURCE_ATTRIBUTES" yaml:"otlp_keep_identifying_resource_attributes" help:"keep service.name, service.namespace and service.instance.id as labels of target_info, beside job and instance"`

	LimitServices    int `env:"LIMIT_SERVICES" yaml:"limit_services" help:"services kept apart; the rest count under _other"`
	LimitOperations  int `env:"LIMIT_OPERATIONS_PER_SERVICE" yaml:"limit_operations_per_service" help:"operations of a service kept apart"`
	LimitEdges       int `env:"LIMIT_EDGES" yaml:"limit_edges" help:"edges of the service map kept apart"`
	LimitSeries      int `env:"LIMIT_SERIES" yaml:"limit_series" help:"series kept apart, of span metrics and as many of OTLP metrics"`
	LimitPatterns    int `env:"LIMIT_PATTERNS" yaml:"limit_patterns" help:"log patterns of a service"`
	LimitErrorGroups int `env:"LIMIT_ERROR_GROUPS" yaml:"limit_error_groups" help:"exception groups"`
	LimitDimensions  int `env:"LIMIT_DIMENSION_VALUES" yaml:"limit_dimension_values" help:"values of each dimension; further values count under _other"`

	Dimensions []string `env:"DIMENSIONS" yaml:"dimensions" help:"attributes of resources or spans that are part of every key and label of every series, comma list; existing views keep theirs until a replay"`

	PairingWindow       time.Duration `env:"PAIRING_WINDOW" yaml:"pairing_window" help:"how long a span half waits for its other side, in event time"`
	PairingCompensation time.Duration `env:"PAIRING_COMPENSATION" yaml:"pairing_compensation" help:"how long a half counted alone can still be paired"`
	Lateness            time.Duration `env:"LATENESS" yaml:"lateness" help:"how far behind the clock an idle partition is taken to be"`
	DedupWindow         time.Duration `env:"DEDUP_WINDOW" yaml:"dedup_window" help:"within which equal records are one sent twice; 0: off"`
	DedupSpans          bool          `env:"DEDUP_SPANS" yaml:"dedup_spans" help:"recognise re-sent spans by their ids too, within DEDUP_WINDOW (about 26 bytes a span, 10 million at most)"`
	ReadyMaxLag         time.Duration `env:"READY_MAX_LAG" yaml:"ready_max_lag" help:"how far behind a partition may be for the process to be ready"`

	ExternalURL      string   `env:"EXTERNAL_URL" yaml:"external_url" help:"URL under which users reach WatchingCat; in notifications"`
	ClusterAddr      string   `env:"CLUSTER_ADDR" yaml:"cluster_addr" help:"where replicas gossip about what was told and silenced, host:port; empty: there is one replica"`
	ClusterAdvertise string   `env:"CLUSTER_ADVERTISE_ADDR" yaml:"cluster_advertise_addr" help:"host:port at which other replicas reach this one; empty: cluster_addr"`
	ClusterPeers     []string `env:"CLUSTER_PEERS" yaml:"cluster_peers" help:"cluster_addr of other replicas"`
	Mode             string   `env:"MODE" yaml:"mode" help:"replicated (each replica reads everything)"`

	RuleFiles          []string `env:"RULE_FILES" yaml:"rule_files" help:"Prometheus rule files, comma list of globs"`
	AlertmanagerConfig string   `env:"ALERTMANAGER_CONFIG" yaml:"alertmanager_config" help:"an alertmanager.yml; without it no alert is routed here"`
	AlertmanagerURLs   []string `env:"ALERTMANAGER_URLS" yaml:"alertmanager_urls" help:"Alertmanagers that alerts are sent to, comma list of URLs; instead of alertmanager_config or beside it"`
	AlertmanagerSend   string   `env:"ALERTMANAGER_SEND_CONFIG" yaml:"alertmanager_send_config" help:"a file with the alerting section of Prometheus, for Alertmanagers that need TLS, tokens or relabeling; only static_configs"`
	ExternalLabels     []string `env:"EXTERNAL_LABELS" yaml:"external_labels" help:"labels added to every alert that does not have them, comma list of name=value; $externalLabels in templates"`

	JaegerURL        string          `env:"JAEGER_URL" yaml:"jaeger_url" help:"Jaeger, for links and for traces older than those kept here"`
	PrometheusURL    string          `env:"PROMETHEUS_URL" yaml:"prometheus_url" help:"Prometheus, for links and for metrics older than those kept here, by remote read and the HTTP API"`
	ElasticURL       string          `env:"ELASTICSEARCH_URL" yaml:"elasticsearch_url" help:"Elasticsearch, for log lines older than those kept here; http://user:password@host:9200"`
	ElasticIndex     string          `env:"ELASTICSEARCH_INDEX" yaml:"elasticsearch_index" help:"its indices of logs, comma list of patterns; ECS and OpenTelemetry layouts"`
	GrafanaURL       string          `env:"GRAFANA_URL" yaml:"grafana_url" help:"Grafana, for links"`
	KibanaURL        string          `env:"KIBANA_URL" yaml:"kibana_url" help:"Kibana, for links"`
	RedisURL         pipeline.Secret `env:"REDIS_URL" yaml:"redis_url" secret:"true" help:"Redis, to keep answers of the raw stores: redis://user:password@host:6379/0"`
	AuthEnabled      *bool           `env:"AUTH_ENABLED" yaml:"auth_enabled" help:"ask for users and tokens; false listens on other than loopback without"`
	AuthJWTSecret    pipeline.Secret `env:"AUTH_JWT_SECRET" yaml:"auth_jwt_secret" secret:"true" help:"signs logins and verifies HS256 tokens, at least 32 bytes; without it logins end with the process"`
	AuthJWKSURL      string          `env:"AUTH_JWKS_URL" yaml:"auth_jwks_url" help:"URL of the keys of RS256 and ES256 tokens"`
	AuthJWKSIssuer   string          `env:"AUTH_JWKS_ISSUER" yaml:"auth_jwks_issuer" help:"issuer (iss) of those tokens"`
	AuthJWKSAudience string          `env:"AUTH_JWKS_AUDIENCE" yaml:"auth_jwks_audience" help:"audience (aud) of those tokens"`
	OIDCIssuer       string          `env:"AUTH_OIDC_ISSUER" yaml:"auth_oidc_issuer" help:"identity provider to log in at by OpenID Connect; needs external_url, under which /api/v1/auth/oidc/callback is registered there"`
	OIDCClientID     string          `env:"AUTH_OIDC_CLIENT_ID" yaml:"auth_oidc_client_id" help:"client id of WatchingCat there"`
	OIDCClientSecret pipeline.Secret `env:"AUTH_OIDC_CLIENT_SECRET" yaml:"auth_oidc_client_secret" secret:"true" help:"its secret; empty for a public client"`
	OIDCScopes       []string        `env:"AUTH_OIDC_SCOPES" yaml:"auth_oidc_scopes" help:"what is asked for, comma list"`
	OIDCRoleClaim    string          `env:"AUTH_OIDC_ROLE_CLAIM" yaml:"auth_oidc_role_claim" help:"claim of the ID token that holds roles or groups, a text or a list"`
	OIDCRoles        []string        `env:"AUTH_OIDC_ROLES" yaml:"auth_oidc_roles" help:"which role a value of the claim means, comma list of value=role; viewer, editor and admin mean themselves"`
	OIDCDefaultRole  string          `env:"AUTH_OIDC_DEFAULT_ROLE" yaml:"auth_oidc_default_role" help:"role of who has none by the claim: viewer, editor, admin, or none, who may not log in"`
	AuthTokenLife    time.Duration   `env:"AUTH_TOKEN_DURATION" yaml:"auth_token_duration" help:"lifetime of a login"`
	RateLimit        int             `env:"RATE_LIMIT" yaml:"rate_limit" help:"requests a second of one principal, or of one address where nobody is known; 0: no limit"`
	TLSCert          string          `env:"TLS_CERT" yaml:"tls_cert" help:"file of the certificate of the API, read again when it changes; empty: plain HTTP"`
	TLSKey           string          `env:"TLS_KEY" yaml:"tls_key" help:"file of its key"`
	PprofAddr        string          `env:"PPROF_ADDR" yaml:"pprof_addr" help:"loopback address of Go profiles; empty: none"`
	CORSOrigins      []string        `env:"CORS_ALLOWED_ORIGINS" yaml:"cors_allowed_origins" help:"origins that browsers may call from"`
	AllowedHosts     []string        `env:"ALLOWED_HOSTS" yaml:"allowed_hosts" help:"further host names under which the API is reached, comma list; *.example.org and * are possible; without authentication requests for other public names are rejected"`
	CAFile           string          `env:"CA_FILE" yaml:"ca_file" help:"PEM file of CAs that are trusted beside the system's: by commands of the server, by the server of identity provider, Jaeger, Prometheus, Elasticsearch and alertmanager_urls"`
	ServerURL        string          `env:"SERVER_URL" yaml:"server_url" help:"where commands reach the running server, as https://watchingcat.example.org; empty: at http_addr"`
	Token            pipeline.Secret `env:"TOKEN" yaml:"token" secret:"true" help:"token for commands that call a running server"`
	OTLPGRPCAddr     string          `env:"OTLP_GRPC_ADDR" yaml:"otlp_grpc_addr" help:"address of the demo's OTLP gRPC receiver"`
	OTLPHTTPAddr     string          `env:"OTLP_HTTP_ADDR" yaml:"otlp_http_addr" help:"address of the demo's OTLP HTTP receiver"`
	ShutdownDelay    time.Duration   `env:"SHUTDOWN_DELAY" yaml:"shutdown_delay" help:"how long all goes on after SIGTERM while /readyz says 503, so that a load balancer sends nobody any more"`
	LogLevel         string          `env:"LOG_LEVEL" yaml:"log_level" help:"debug, info, warn or error"`
	LogFormat        string          `env:"LOG_FORMAT" yaml:"log_format" help:"json or console"`
	MemoryLimit      byteSize        `env:"MEMORY_LIMIT" yaml:"memory_limit" help:"memory of the process, as 1GiB; buffers, caches and windows are sized from it and reading slows down before it is passed; 0: the control group's limit less 10 %, else 75 % of the machine's"`
	MinFreeDiskBytes uint64          `env:"MIN_FREE_DISK_BYTES" yaml:"min_free_disk_bytes" help:"free space under which reading from Kafka pauses"`
}

func defaultConfig() Config {
	return Config{
		HTTPAddr: "127.0.0.1:8090", DataDir: "./data",
		KafkaTracesTopic: "otlp_spans", KafkaMetricsTopic: "otlp_metrics", KafkaLogsTopic: "otlp_logs",
		KafkaDeadLetterTopic: "watchingcat_dead_letter", KafkaConfigTopic: "watchingcat_config",
		KafkaGroup: "watchingcat", KafkaStart: "earliest",
		CommitInterval: 250 * time.Millisecond,
		Retention10s:   6 * time.Hour, Retention1m: 72 * time.Hour, Retention1h: days(400 * 24 * time.Hour), RetTraces: retention{time.Hour, 4 << 30}, TracesKeep: "all", TracesSlow: 500 * time.Millisecond, TracesSample: 0.05, RetLogs: retention{time.Hour, 2 << 30}, RetMetrics: days(6 * time.Hour),
		LimitServices: 10_000, LimitOperations: 500, LimitEdges: 50_000, LimitSeries: 200_000, LimitPatterns: 1000, LimitErrorGroups: 10_000, LimitDimensions: 100,
		Dimensions:    []string{"deployment.environment.name", "service.namespace"},
		PairingWindow: 10 * time.Second, PairingCompensation: 15 * time.Minute, Lateness: 2 * time.Second, DedupWindow: 5 * time.Minute,
		ReadyMaxLag: 30 * time.Second, Mode: "replicated", ElasticIndex: "logs-*", AuthJWKSIssuer: auth.Name, AuthJWKSAudience: auth.Name, OIDCScopes: []string{"openid", "profile", "email"}, OIDCRoleClaim: "role", OIDCDefaultRole: "viewer", AuthTokenLife: 24 * time.Hour, RateLimit: 5000,
		OTLPStrategy: views.Strategies()[0],
		OTLPGRPCAddr: "127.0.0.1:4317", OTLPHTTPAddr: "127.0.0.1:4318",
		LogLevel: "info", LogFormat: "json", MinFreeDiskBytes: 512 << 20,
	}
}

// setting is one field of Config as the outside names it.
type setting struct {
	name, help      string // name as in the file
	secret, boolean bool
	index           int
}

func (s setting) env() string  { return envPrefix + strings.ToUpper(s.name) }
func (s setting) flag() string { return strings.ReplaceAll(s.name, "_", "-") }

func settings() []setting {
	t := reflect.TypeFor[Config]()
	list := make([]setting, t.NumField())
	for i := range list {
		f := t.Field(i)
		kind := f.Type
		if kind.Kind() == reflect.Pointer {
			kind = kind.Elem()
		}
		list[i] = setting{name: strings.ToLower(f.Tag.Get("env")), help: f.Tag.Get("help"), secret: f.Tag.Get("secret") != "",
			boolean: kind.Kind() == reflect.Bool, index: i}
	}
	return list
}

// addFlags gives flags a flag for each setting.
func addFlags(flags *pflag.FlagSet) {
	flags.String("config", "", "YAML file of settings")
	for _, s := range settings() {
		if s.secret {
			continue // never on a command line, where others can read it
		}
		flags.String(s.flag(), "", s.help+" ["+s.env()+"]")
		if s.boolean {
			flags.Lookup(s.flag()).NoOptDefVal = "true"
		}
	}
}

// loaded is a Config with where each setting came from.
type loaded struct {
	Config
	origin map[string]string
}

// loadConfig puts the layers together: defaults, file, environment, flags.
func loadConfig(flags *pflag.FlagSet, environ []string) (*loaded, error) {
	l := &loaded{Config: defaultConfig(), origin: map[string]string{}}
	if file, _ := flags.GetString("config"); file != "" {
		if err := l.readFile(file); err != nil {
			return nil, err
		}
	}
	values, err := l.readEnviron(environ)
	if err != nil {
		return nil, err
	}
	for _, s := range settings() {
		if f := flags.Lookup(s.flag()); f != nil && f.Changed {
			values[s.env()] = f.Value.String()
			l.origin[s.name] = "flag"
		}
	}
	if err := env.ParseWithOptions(&l.Config, env.Options{Environment: values, Prefix: envPrefix}); err != nil {
		return nil, usage("%s", envError(err))
	}
	return l, l.check()
}

// envError names the variable rather than the field.
func envError(err error) string {
	text := err.Error()
	for _, s := range settings() {
		field := reflect.TypeFor[Config]().Field(s.index).Name
		text = strings.ReplaceAll(text, `field "`+field+`"`, s.env())
	}
	return strings.TrimPrefix(text, "env: ")
}

func (l *loaded) readFile(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return usage("read --config: %v", err)
	}
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	d.KnownFields(true)
	if err := d.Decode(&l.Config); err != nil && len(strings.TrimSpace(string(b))) > 0 {
		return usage("%s: %v", file, err)
	}
	var names map[string]any
	if err := yaml.Unmarshal(b, &names); err != nil {
		return usage("%s: %v", file, err)
	}
	for name := range names {
		l.origin[name] = file
	}
	return nil
}

// readEnviron returns the settings of the environment; NAME_FILE gives a secret by file.
func (l *loaded) readEnviron(environ []string) (map[string]string, error) {
	values := map[string]string{}
	known := map[string]setting{}
	for _, s := range settings() {
		known[s.env()] = s
	}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, envPrefix) {
			continue
		}
		s, ok := known[name]
		if base, isFile := strings.CutSuffix(name, "_FILE"); !ok && isFile && known[base].secret {
			b, err := os.ReadFile(value)
			if err != nil {
				return nil, usage("%s: %v", name, err)
			}
			s, value, ok = known[base], strings.TrimRight(string(b), "\r\n"), true
		}
		if !ok {
			return nil, usage("%s is not a setting%s; `watchingcat config print` lists them", name, suggest(name, known))
		}
		values[s.env()] = value
		l.origin[s.name] = "environment"
	}
	return values, nil
}

// suggest names the setting that begins most like a misspelled one.
func suggest(name string, known map[string]setting) string {
	best, length := "", len(envPrefix)+2
	for _, k := range slices.Sorted(maps.Keys(known)) {
		n := 0
		for n < min(len(k), len(name)) && k[n] == name[n] {
			n++
		}
		if n > length {
			best, length = k, n
		}
	}
	if best == "" {
		return ""
	}
	return " (did you mean " + best + "?)"
}

// check refuses values that cannot work, all at once.
func (c *Config) check() error {
	var errs []error
	bad := func(ok bool, name, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s%s: %s", envPrefix, name, fmt.Sprintf(format, args...)))
		}
	}
	topics := map[string]string{}
	for _, t := range []struct{ name, topic string }{{"KAFKA_TRACES_TOPIC", c.KafkaTracesTopic}, {"KAFKA_METRICS_TOPIC", c.KafkaMetricsTopic}, {"KAFKA_LOGS_TOPIC", c.KafkaLogsTopic},
		{"KAFKA_DEAD_LETTER_TOPIC", c.KafkaDeadLetterTopic}, {"KAFKA_CONFIG_TOPIC", c.KafkaConfigTopic}} {
		if t.topic == "" && t.name == "KAFKA_METRICS_TOPIC" {
			continue // OTLP metrics are not read
		}
		err := pipeline.CheckTopic(t.topic)
		bad(err == nil, t.name, "%v", err)
		// Kafka keeps names apart only if they differ by more than dots and underscores.
		plain := strings.ReplaceAll(t.topic, ".", "_")
		bad(topics[plain] == "" || err != nil, t.name, "%q is the topic of %s%s too, or a name that Kafka does not distinguish from it: give each its own", t.topic, envPrefix, topics[plain])
		topics[plain] = t.name
	}
	err := c.translation().Check()
	bad(err == nil, "OTLP_TRANSLATION_STRATEGY or OTLP_PROMOTE_RESOURCE_ATTRIBUTES", "%v", err)
	bad(c.KafkaStart == "earliest" || c.KafkaStart == "latest", "KAFKA_START", "%q is neither earliest nor latest", c.KafkaStart)
	bad(c.Mode == "replicated", "MODE", "%q: this version runs replicated only", c.Mode)
	bad(c.LogFormat == "json" || c.LogFormat == "console", "LOG_FORMAT", "%q is neither json nor console", c.LogFormat)
	bad(slices.Contains([]string{"debug", "info", "warn", "error"}, c.LogLevel), "LOG_LEVEL", "%q is none of debug, info, warn, error", c.LogLevel)
	bad(c.CommitInterval >= 10*time.Millisecond && c.CommitInterval <= 10*time.Second, "COMMIT_INTERVAL", "%v is not between 10ms and 10s", c.CommitInterval)
	for name, d := range map[string]time.Duration{"RETENTION_10S": c.Retention10s, "RETENTION_1M": c.Retention1m, "RETENTION_METRICS": time.Duration(c.RetMetrics), "PAIRING_WINDOW": c.PairingWindow, "READY_MAX_LAG": c.ReadyMaxLag} {
		bad(d >= time.Second, name, "%v is less than a second", d)
	}
	bad(c.Retention1m >= c.Retention10s, "RETENTION_1M", "%v is less than the %v of RETENTION_10S", c.Retention1m, c.Retention10s)
	bad(time.Duration(c.Retention1h) >= c.Retention1m, "RETENTION_1H", "%v is less than the %v of RETENTION_1M", c.Retention1h, c.Retention1m)
	for name, n := range map[string]int{"LIMIT_SERVICES": c.LimitServices, "LIMIT_OPERATIONS_PER_SERVICE": c.LimitOperations, "LIMIT_EDGES": c.LimitEdges, "LIMIT_SERIES": c.LimitSeries,
		"LIMIT_PATTERNS": c.LimitPatterns, "LIMIT_ERROR_GROUPS": c.LimitErrorGroups, "LIMIT_DIMENSION_VALUES": c.LimitDimensions} {
		bad(n > 0, name, "%d is not positive", n)
	}
	bad(c.TracesKeep == "all" || c.TracesKeep == "notable", "TRACES_KEEP", "%q is neither all nor notable", c.TracesKeep)
	bad(c.TracesSample >= 0 && c.TracesSample <= 1, "TRACES_SAMPLE", "%v is not between 0 and 1", c.TracesSample)
	bad(c.TracesSlow >= 0, "TRACES_SLOW", "%v is negative", c.TracesSlow)
	bad(!c.DedupSpans || c.DedupWindow > 0, "DEDUP_SPANS", "is on and DEDUP_WINDOW is off: set DEDUP_WINDOW to how far apart a span may be sent again")
	bad(c.Lateness >= 0 && c.DedupWindow >= 0 && c.PairingCompensation >= 0, "LATENESS, DEDUP_WINDOW or PAIRING_COMPENSATION", "negative")
	for name, v := range map[string]string{"EXTERNAL_URL": c.ExternalURL, "JAEGER_URL": c.JaegerURL, "PROMETHEUS_URL": c.PrometheusURL, "ELASTICSEARCH_URL": c.ElasticURL, "GRAFANA_URL": c.GrafanaURL, "AUTH_JWKS_URL": c.AuthJWKSURL, "AUTH_OIDC_ISSUER": c.OIDCIssuer, "SERVER_URL": c.ServerURL, "KIBANA_URL": c.KibanaURL} {
		u, err := url.Parse(v)
		bad(v == "" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", name, "%q is not an http or https URL", v)
	}
	bad(c.MemoryLimit == 0 || c.MemoryLimit >= minMemory, "MEMORY_LIMIT", "%v is less than %v", c.MemoryLimit, byteSize(minMemory))
	c.Dimensions = slices.DeleteFunc(c.Dimensions, func(d string) bool { return d == "" }) // DIMENSIONS= sets none
	_, err = views.NewDimensions(c.Dimensions)
	bad(err == nil, "DIMENSIONS", "%v", err)
	_, err = c.externalLabels()
	bad(err == nil, "EXTERNAL_LABELS", "%v", err)
	for _, g := range c.RuleFiles {
		_, err := filepath.Match(g, "x")
		bad(err == nil, "RULE_FILES", "%q is not a valid pattern", g)
	}
	errs = append(errs, c.checkListen(), c.checkAuth())
	if err := errors.Join(errs...); err != nil {
		return usage("%v", err)
	}
	return nil
}

// externalLabels are those of Prometheus' external_labels.
func (c *Config) externalLabels() (labels.Labels, error) {
	out := map[string]string{}
	for _, text := range c.ExternalLabels {
		name, value, ok := strings.Cut(strings.TrimSpace(text), "=")
		_, twice := out[name]
		switch {
		case !ok || !model.UTF8Validation.IsValidLabelName(name):
			return labels.EmptyLabels(), fmt.Errorf("%q is not name=value", text)
		case name == model.MetricNameLabel || name == labels.AlertName || name == "":
			return labels.EmptyLabels(), fmt.Errorf("%q: alerts set this label themselves", name)
		case twice:
			return labels.EmptyLabels(), fmt.Errorf("%q is given twice", name)
		case !utf8.ValidString(value):
			return labels.EmptyLabels(), fmt.Errorf("the value of %q is not UTF-8", name)
		}
		out[name] = value
	}
	return labels.FromMap(out), nil
}

// checkListen keeps an open door from being opened by accident.
func (c *Config) checkListen() error {
	host, _, err := net.SplitHostPort(c.HTTPAddr)
	if err != nil {
		return fmt.Errorf("%sHTTP_ADDR: %q is not host:port", envPrefix, c.HTTPAddr)
	}
	if loopback(host) || c.AuthEnabled != nil {
		return nil
	}
	return fmt.Errorf("%sHTTP_ADDR: %s is reachable from other machines; set %sAUTH_ENABLED explicitly (false: anyone who reaches it may read everything)", envPrefix, c.HTTPAddr, envPrefix)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// authOn reports whether users and tokens are asked for.
func (c *Config) authOn() bool { return c.AuthEnabled != nil && *c.AuthEnabled }

// checkAuth refuses what would be less safe than it looks.
func (c *Config) checkAuth() error {
	var errs []error
	if n := len(c.AuthJWTSecret); n > 0 && n < auth.MinSecret {
		errs = append(errs, fmt.Errorf("%sAUTH_JWT_SECRET has %d bytes, at least %d are needed; `openssl rand -base64 32` makes one", envPrefix, n, auth.MinSecret))
	}
	if c.AuthTokenLife < time.Minute {
		errs = append(errs, fmt.Errorf("%sAUTH_TOKEN_DURATION: %v is less than a minute", envPrefix, c.AuthTokenLife))
	}
	if (c.TLSCert == "") != (c.TLSKey == "") {
		errs = append(errs, fmt.Errorf("%sTLS_CERT and %sTLS_KEY go together", envPrefix, envPrefix))
	}
	if _, err := c.transport(); err != nil {
		errs = append(errs, err)
	}
	if _, err := c.oidc(); err != nil {
		errs = append(errs, err)
	}
	if c.ShutdownDelay < 0 {
		errs = append(errs, fmt.Errorf("%sSHUTDOWN_DELAY: %v is negative", envPrefix, c.ShutdownDelay))
	}
	if c.RateLimit < 0 {
		errs = append(errs, fmt.Errorf("%sRATE_LIMIT: %d is negative", envPrefix, c.RateLimit))
	}
	if c.PprofAddr != "" {
		if host, _, err := net.SplitHostPort(c.PprofAddr); err != nil || !loopback(host) {
			errs = append(errs, fmt.Errorf("%sPPROF_ADDR: %q is no loopback address with port", envPrefix, c.PprofAddr))
		}
	}
	return errors.Join(errs...)
}

func (c *Config) kafka() pipeline.KafkaConfig {
	return pipeline.KafkaConfig{Brokers: c.KafkaBrokers, TLS: c.KafkaTLS, TLSCA: c.KafkaTLSCA, TLSCert: c.KafkaTLSCert, TLSKey: c.KafkaTLSKey,
		SASLMechanism: c.KafkaSASLMechanism, SASLUsername: c.KafkaSASLUsername, SASLPassword: c.KafkaSASLPassword}
}

// translation is how OTLP metrics are named.
func (c *Config) translation() views.Translation {
	return views.Translation{Strategy: c.OTLPStrategy, Promote: c.OTLPPromote, KeepIdentifying: c.OTLPKeepIdentifying}
}

// dedupWindow is the window as views want it: negative is off.
func (c *Config) dedupWindow() time.Duration {
	if c.DedupWindow == 0 {
		return -1
	}
	return c.DedupWindow
}
