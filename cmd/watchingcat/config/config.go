package config

import (
	"cmp"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"net/http"
	"os"
	"reflect"
	"regexp"
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
	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/views/samples"
)

// EnvPrefix begins the name of every setting in the environment.
const EnvPrefix = "WATCHINGCAT_"

// Config is every setting. A field's env tag is its name in the environment after WATCHINGCAT_; in lower case it is the name in
// the file, and with dashes the name of the flag. Defaults < file < environment < flags. Help and `config print` show the settings by
// group, in the order of the groups in settings.go and of the fields here; arg names the kind or the unit of the value.
type Config struct {
	KafkaBrokers           []string     `env:"KAFKA_BROKERS" yaml:"kafka_brokers" group:"kafka" arg:"host:port,..." help:"brokers to connect to first, comma-separated; serve requires them"`
	KafkaTracesTopic       string       `env:"KAFKA_TRACES_TOPIC" yaml:"kafka_traces_topic" group:"kafka" arg:"topic" help:"topic of spans, or several, comma-separated, or a pattern: /expression/ or ^expression, compared with the whole name. Topics that match later are found"`
	KafkaMetricsTopic      string       `env:"KAFKA_METRICS_TOPIC" yaml:"kafka_metrics_topic" group:"kafka" arg:"topic" help:"topic or topics of OTLP metrics, or a pattern; empty: metrics are not read"`
	KafkaLogsTopic         string       `env:"KAFKA_LOGS_TOPIC" yaml:"kafka_logs_topic" group:"kafka" arg:"topic" help:"topic or topics of logs, or a pattern"`
	KafkaTopicDimension    string       `env:"KAFKA_TOPIC_DIMENSION" yaml:"kafka_topic_dimension" group:"kafka" arg:"attribute" help:"one of dimensions: records that lack the attribute get it from their topic, by kafka_topic_dimension_values, else by the first group of the pattern"`
	KafkaTopicValues       []string     `env:"KAFKA_TOPIC_DIMENSION_VALUES" yaml:"kafka_topic_dimension_values" group:"kafka" arg:"topic=value,..." help:"values of kafka_topic_dimension, by topic, comma-separated"`
	KafkaTracesEncoding    string       `env:"KAFKA_TRACES_ENCODING" yaml:"kafka_traces_encoding" group:"kafka" arg:"encoding" help:"encoding of the records of the traces topic, as the Collector names it: auto (OTLP, protobuf or JSON), otlp_proto, otlp_json, jaeger_proto, jaeger_json, zipkin_json or zipkin_proto"`
	KafkaMetricsEncoding   string       `env:"KAFKA_METRICS_ENCODING" yaml:"kafka_metrics_encoding" group:"kafka" arg:"encoding" help:"encoding of the records of the metrics topic: auto (OTLP, protobuf or JSON), otlp_proto or otlp_json"`
	KafkaLogsEncoding      string       `env:"KAFKA_LOGS_ENCODING" yaml:"kafka_logs_encoding" group:"kafka" arg:"encoding" help:"encoding of the records of the logs topic: auto (OTLP, protobuf or JSON), otlp_proto, otlp_json, raw (a record is a line) or text (the same, decoded as UTF-8)"`
	KafkaDeadLetterTopic   string       `env:"KAFKA_DEAD_LETTER_TOPIC" yaml:"kafka_dead_letter_topic" group:"kafka" arg:"topic" help:"topic that receives records which cannot be decoded or applied"`
	KafkaConfigTopic       string       `env:"KAFKA_CONFIG_TOPIC" yaml:"kafka_config_topic" group:"kafka" arg:"topic" help:"compacted configuration topic: rules and objectives made in the page or the API, users, API tokens, the audit trail"`
	KafkaGroup             string       `env:"KAFKA_GROUP" yaml:"kafka_group" group:"kafka" arg:"name" help:"consumer group whose offsets are committed, so that lag tools can show them"`
	KafkaStart             string       `env:"KAFKA_START" yaml:"kafka_start" group:"kafka" arg:"earliest|latest" help:"where to start reading if no position is stored"`
	KafkaTLS               bool         `env:"KAFKA_TLS" yaml:"kafka_tls" group:"kafka" help:"connect to the brokers with TLS"`
	KafkaTLSCA             string       `env:"KAFKA_TLS_CA" yaml:"kafka_tls_ca" group:"kafka" arg:"file" help:"PEM file of the CA that signed the brokers' certificates; empty: the CAs of the system"`
	KafkaTLSCert           string       `env:"KAFKA_TLS_CERT" yaml:"kafka_tls_cert" group:"kafka" arg:"file" help:"PEM file of the client certificate"`
	KafkaTLSKey            string       `env:"KAFKA_TLS_KEY" yaml:"kafka_tls_key" group:"kafka" arg:"file" help:"PEM file of the client certificate's key"`
	KafkaSASLMechanism     string       `env:"KAFKA_SASL_MECHANISM" yaml:"kafka_sasl_mechanism" group:"kafka" arg:"mechanism" help:"PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER or AWS_MSK_IAM (credentials of AWS' default chain); empty: no SASL"`
	KafkaSASLUsername      string       `env:"KAFKA_SASL_USERNAME" yaml:"kafka_sasl_username" group:"kafka" arg:"name" help:"SASL user name"`
	KafkaSASLPassword      kafka.Secret `env:"KAFKA_SASL_PASSWORD" yaml:"kafka_sasl_password" group:"kafka" arg:"password" secret:"true" help:"SASL password"`
	KafkaOAuthTokenURL     string       `env:"KAFKA_OAUTH_TOKEN_URL" yaml:"kafka_oauth_token_url" group:"kafka" arg:"URL" help:"OAUTHBEARER: endpoint that gives tokens to clients (grant client_credentials); its certificate may be signed by a CA of ca_file"`
	KafkaOAuthClientID     string       `env:"KAFKA_OAUTH_CLIENT_ID" yaml:"kafka_oauth_client_id" group:"kafka" arg:"ID" help:"OAUTHBEARER: client ID at the endpoint"`
	KafkaOAuthClientSecret kafka.Secret `env:"KAFKA_OAUTH_CLIENT_SECRET" yaml:"kafka_oauth_client_secret" group:"kafka" arg:"secret" secret:"true" help:"OAUTHBEARER: client secret at the endpoint"`
	KafkaOAuthScopes       []string     `env:"KAFKA_OAUTH_SCOPES" yaml:"kafka_oauth_scopes" group:"kafka" arg:"scope,..." help:"OAUTHBEARER: scopes to request, comma-separated"`
	KafkaOAuthAudience     string       `env:"KAFKA_OAUTH_AUDIENCE" yaml:"kafka_oauth_audience" group:"kafka" arg:"audience" help:"OAUTHBEARER: audience to request"`
	KafkaOAuthTokenFile    string       `env:"KAFKA_OAUTH_TOKEN_FILE" yaml:"kafka_oauth_token_file" group:"kafka" arg:"file" help:"OAUTHBEARER: file that holds the token and that another program renews, in place of an endpoint; read for every session"`
	KafkaOAuthExtensions   []string     `env:"KAFKA_OAUTH_EXTENSIONS" yaml:"kafka_oauth_extensions" group:"kafka" arg:"name=value,..." help:"OAUTHBEARER: SASL extensions for the brokers, comma-separated, as logicalCluster=lkc-1"`
	KafkaRack              string       `env:"KAFKA_RACK" yaml:"kafka_rack" group:"kafka" arg:"rack" help:"rack or availability zone of this process: records are fetched from a replica there; empty: from the leaders"`

	Embedded     bool      `env:"EMBEDDED" yaml:"embedded" group:"embedded" help:"run a Kafka broker in this process instead of connecting to one, for installations without Kafka; its topics are in the folder broker of data_dir"`
	EmbeddedAddr string    `env:"EMBEDDED_ADDR" yaml:"embedded_addr" group:"embedded" arg:"host:port" help:"loopback address of that broker"`
	EmbeddedKeep retention `env:"EMBEDDED_RETENTION" yaml:"embedded_retention" group:"embedded" help:"how long that broker keeps records, and the most bytes of them: 24h,8GiB"`

	OTLPGRPCAddr string       `env:"OTLP_GRPC_ADDR" yaml:"otlp_grpc_addr" group:"receivers" arg:"host:port" help:"address of the OTLP gRPC receiver, which writes to the topics, as 127.0.0.1:4317; empty: none (the demo opens that one)"`
	OTLPHTTPAddr string       `env:"OTLP_HTTP_ADDR" yaml:"otlp_http_addr" group:"receivers" arg:"host:port" help:"address of the OTLP HTTP receiver, which writes to the topics, as 127.0.0.1:4318; empty: none (the demo opens that one)"`
	OTLPTokens   kafka.Secret `env:"OTLP_TOKENS" yaml:"otlp_tokens" group:"receivers" arg:"token,..." secret:"true" help:"tokens of senders, comma-separated, each at least 16 bytes: a sender presents one as Authorization: Bearer TOKEN. Empty: senders need none"`
	OTLPOpen     bool         `env:"OTLP_OPEN" yaml:"otlp_open" group:"receivers" help:"permit receivers at addresses other than loopback without otlp_tokens"`

	HTTPAddr     string   `env:"HTTP_ADDR" yaml:"http_addr" group:"api" arg:"host:port" help:"address of the API and the page; any address other than loopback needs auth_enabled to be set"`
	ExternalURL  string   `env:"EXTERNAL_URL" yaml:"external_url" group:"api" arg:"URL" help:"URL under which users reach WatchingCat; notifications link to it. Empty: http_addr"`
	TLSCert      string   `env:"TLS_CERT" yaml:"tls_cert" group:"api" arg:"file" help:"PEM file of the API's certificate, reloaded when it changes; empty: plain HTTP"`
	TLSKey       string   `env:"TLS_KEY" yaml:"tls_key" group:"api" arg:"file" help:"PEM file of that certificate's key"`
	AllowedHosts []string `env:"ALLOWED_HOSTS" yaml:"allowed_hosts" group:"api" arg:"host,..." help:"further host names under which users reach the API, comma-separated; *.example.org and * are allowed. Without authentication, requests for other public host names are rejected"`
	CORSOrigins  []string `env:"CORS_ALLOWED_ORIGINS" yaml:"cors_allowed_origins" group:"api" arg:"origin,..." help:"origins from which browsers may call the API, comma-separated"`
	RateLimit    int      `env:"RATE_LIMIT" yaml:"rate_limit" group:"api" arg:"requests/s" help:"requests per second of one user or token, or of one address if the caller is not authenticated; 0: no limit"`
	CAFile       string   `env:"CA_FILE" yaml:"ca_file" group:"api" arg:"file" help:"PEM file of CAs to trust in addition to the system's. Commands use it for the server; the server uses it for the identity provider, Jaeger, Prometheus, Elasticsearch and alertmanager_urls"`

	AuthEnabled      *bool         `env:"AUTH_ENABLED" yaml:"auth_enabled" group:"auth" help:"require authentication; false also permits addresses other than loopback without it. Not set: no authentication, loopback only"`
	AuthJWTSecret    kafka.Secret  `env:"AUTH_JWT_SECRET" yaml:"auth_jwt_secret" group:"auth" arg:"secret" secret:"true" help:"signs logins and verifies HS256 tokens, at least 32 bytes; empty: logins end when the process ends"`
	AuthTokenLife    time.Duration `env:"AUTH_TOKEN_DURATION" yaml:"auth_token_duration" group:"auth" help:"lifetime of a login"`
	AuthJWKSURL      string        `env:"AUTH_JWKS_URL" yaml:"auth_jwks_url" group:"auth" arg:"URL" help:"URL of the keys that verify RS256 and ES256 tokens"`
	AuthJWKSIssuer   string        `env:"AUTH_JWKS_ISSUER" yaml:"auth_jwks_issuer" group:"auth" arg:"issuer" help:"required issuer (iss) of those tokens"`
	AuthJWKSAudience string        `env:"AUTH_JWKS_AUDIENCE" yaml:"auth_jwks_audience" group:"auth" arg:"audience" help:"required audience (aud) of those tokens"`
	OIDCIssuer       string        `env:"AUTH_OIDC_ISSUER" yaml:"auth_oidc_issuer" group:"auth" arg:"URL" help:"OpenID Connect provider for logins; needs external_url. Register EXTERNAL_URL/api/v1/auth/oidc/callback at the provider"`
	OIDCClientID     string        `env:"AUTH_OIDC_CLIENT_ID" yaml:"auth_oidc_client_id" group:"auth" arg:"ID" help:"WatchingCat's client ID at the provider"`
	OIDCClientSecret kafka.Secret  `env:"AUTH_OIDC_CLIENT_SECRET" yaml:"auth_oidc_client_secret" group:"auth" arg:"secret" secret:"true" help:"WatchingCat's client secret at the provider; empty: public client"`
	OIDCScopes       []string      `env:"AUTH_OIDC_SCOPES" yaml:"auth_oidc_scopes" group:"auth" arg:"scope,..." help:"scopes to request, comma-separated"`
	OIDCRoleClaim    string        `env:"AUTH_OIDC_ROLE_CLAIM" yaml:"auth_oidc_role_claim" group:"auth" arg:"claim" help:"claim of the ID token that holds roles or groups, as a string or a list"`
	OIDCRoles        []string      `env:"AUTH_OIDC_ROLES" yaml:"auth_oidc_roles" group:"auth" arg:"value=role,..." help:"role for each value of the claim, comma-separated; the values viewer, editor and admin need no entry"`
	OIDCDefaultRole  string        `env:"AUTH_OIDC_DEFAULT_ROLE" yaml:"auth_oidc_default_role" group:"auth" arg:"role" help:"role of users whose token has no mapped role: viewer, editor, admin, or none (login denied)"`

	DataDir          string        `env:"DATA_DIR" yaml:"data_dir" group:"storage" arg:"folder" help:"folder of the state; only one process can use it at a time"`
	Retention10s     time.Duration `env:"RETENTION_10S" yaml:"retention_10s" group:"storage" help:"how long 10 s buckets are kept"`
	Retention1m      time.Duration `env:"RETENTION_1M" yaml:"retention_1m" group:"storage" help:"how long 1 min buckets are kept, and how long a series without new data is shown"`
	Retention1h      days          `env:"RETENTION_1H" yaml:"retention_1h" group:"storage" help:"how long 1 h buckets are kept"`
	RetTraces        retention     `env:"RETENTION_TRACES" yaml:"retention_traces" group:"storage" help:"how long traces are kept, and the most bytes of raw spans: 1h,4GiB. 0B keeps only summaries, 0s keeps nothing"`
	TracesKeep       string        `env:"TRACES_KEEP" yaml:"traces_keep" group:"storage" arg:"all|notable" help:"traces whose raw spans are kept: all, or notable (traces with errors, slow traces and a sample; the others for two minutes)"`
	TracesSlow       time.Duration `env:"TRACES_SLOW" yaml:"traces_slow" group:"storage" help:"shortest duration of a slow trace, for traces_keep=notable"`
	TracesSample     float64       `env:"TRACES_SAMPLE" yaml:"traces_sample" group:"storage" arg:"fraction" help:"fraction of the other traces to keep, 0 to 1, for traces_keep=notable"`
	RetLogs          retention     `env:"RETENTION_LOGS" yaml:"retention_logs" group:"storage" help:"how long log lines are kept, and the most bytes of them: 1h,2GiB"`
	RetMetrics       days          `env:"RETENTION_METRICS" yaml:"retention_metrics" group:"storage" help:"how long samples of OTLP metrics are kept"`
	CommitInterval   time.Duration `env:"COMMIT_INTERVAL" yaml:"commit_interval" group:"storage" help:"time between checkpoints, 10ms to 10s"`
	MinFreeDiskBytes uint64        `env:"MIN_FREE_DISK_BYTES" yaml:"min_free_disk_bytes" group:"storage" arg:"bytes" help:"reading from Kafka pauses while less disk space than this is free"`

	BackupURL      string        `env:"BACKUP_URL" yaml:"backup_url" group:"backups" arg:"location" help:"where backups go: a folder outside of data_dir, or s3://bucket/prefix with the optional parameters endpoint, region and path_style, as s3://bucket/prefix?endpoint=https://minio:9000. {hostname} stands for the name of the machine. Credentials come from AWS' default chain (AWS_ACCESS_KEY_ID and others). Give each replica a location of its own"`
	BackupInterval time.Duration `env:"BACKUP_INTERVAL" yaml:"backup_interval" group:"backups" help:"time between two backups to backup_url, as 24h; 0: only on demand (watchingcat backup)"`
	BackupKeep     int           `env:"BACKUP_KEEP" yaml:"backup_keep" group:"backups" arg:"count" help:"complete backups that are kept at backup_url, older ones are deleted; 0: all"`
	BackupRate     ByteSize      `env:"BACKUP_RATE" yaml:"backup_rate" group:"backups" arg:"bytes/s" help:"bytes that a backup writes per second at most, as 20MiB; 0: no limit"`

	MemoryLimit      ByteSize `env:"MEMORY_LIMIT" yaml:"memory_limit" group:"limits" help:"memory limit of the process, as 1GiB; sizes buffers, caches and windows, and slows down reading before it is exceeded. 0: the control group's limit less 10 %, or 75 % of the machine's memory"`
	LimitServices    int      `env:"LIMIT_SERVICES" yaml:"limit_services" group:"limits" arg:"count" help:"services tracked separately; the rest count under _other"`
	LimitOperations  int      `env:"LIMIT_OPERATIONS_PER_SERVICE" yaml:"limit_operations_per_service" group:"limits" arg:"count" help:"operations tracked separately for each service"`
	LimitEdges       int      `env:"LIMIT_EDGES" yaml:"limit_edges" group:"limits" arg:"count" help:"edges of the service map tracked separately"`
	LimitSeries      int      `env:"LIMIT_SERIES" yaml:"limit_series" group:"limits" arg:"count" help:"series of span metrics tracked separately, and as many series of OTLP metrics"`
	LimitPatterns    int      `env:"LIMIT_PATTERNS" yaml:"limit_patterns" group:"limits" arg:"count" help:"log patterns for each service"`
	LimitErrorGroups int      `env:"LIMIT_ERROR_GROUPS" yaml:"limit_error_groups" group:"limits" arg:"count" help:"exception groups"`
	LimitDimensions  int      `env:"LIMIT_DIMENSION_VALUES" yaml:"limit_dimension_values" group:"limits" arg:"count" help:"values of each dimension; further values count under _other"`

	Dimensions          []string      `env:"DIMENSIONS" yaml:"dimensions" group:"views" arg:"attribute,..." help:"resource or span attributes that become part of every key and a label of every series, comma-separated; existing views keep theirs until a replay"`
	PairingWindow       time.Duration `env:"PAIRING_WINDOW" yaml:"pairing_window" group:"views" help:"how long a span waits for the span of the other side of its call, in event time"`
	PairingCompensation time.Duration `env:"PAIRING_COMPENSATION" yaml:"pairing_compensation" group:"views" help:"how long a span that was counted unpaired can still be paired"`
	Lateness            time.Duration `env:"LATENESS" yaml:"lateness" group:"views" help:"assumed delay of an idle partition behind the clock"`
	DedupWindow         time.Duration `env:"DEDUP_WINDOW" yaml:"dedup_window" group:"views" help:"identical records within this window are treated as duplicates; 0 disables"`
	DedupSpans          bool          `env:"DEDUP_SPANS" yaml:"dedup_spans" group:"views" help:"also recognize spans that were sent again in another record, by their IDs, within dedup_window (about 26 bytes per span, 10 million spans at most)"`

	OTLPStrategy        string   `env:"OTLP_TRANSLATION_STRATEGY" yaml:"otlp_translation_strategy" group:"otlp" arg:"strategy" help:"how names of OTLP metrics become Prometheus names, as in Prometheus: UnderscoreEscapingWithSuffixes, UnderscoreEscapingWithoutSuffixes, NoUTF8EscapingWithSuffixes or NoTranslation"`
	OTLPPromote         []string `env:"OTLP_PROMOTE_RESOURCE_ATTRIBUTES" yaml:"otlp_promote_resource_attributes" group:"otlp" arg:"attribute,..." help:"resource attributes that become labels of OTLP metrics, comma-separated; service.name always does"`
	OTLPKeepIdentifying bool     `env:"OTLP_KEEP_IDENTIFYING_RESOURCE_ATTRIBUTES" yaml:"otlp_keep_identifying_resource_attributes" group:"otlp" help:"keep service.name, service.namespace and service.instance.id as labels of target_info, in addition to job and instance"`

	RuleFiles          []string `env:"RULE_FILES" yaml:"rule_files" group:"alerts" arg:"glob,..." help:"Prometheus rule files, comma-separated globs"`
	AlertmanagerConfig string   `env:"ALERTMANAGER_CONFIG" yaml:"alertmanager_config" group:"alerts" arg:"file" help:"alertmanager.yml with which WatchingCat itself routes alerts and sends notifications; empty: it sends none"`
	AlertmanagerURLs   []string `env:"ALERTMANAGER_URLS" yaml:"alertmanager_urls" group:"alerts" arg:"URL,..." help:"Alertmanagers that receive the alerts, comma-separated; instead of alertmanager_config or in addition to it"`
	AlertmanagerSend   string   `env:"ALERTMANAGER_SEND_CONFIG" yaml:"alertmanager_send_config" group:"alerts" arg:"file" help:"file with the alerting section of a prometheus.yml, for Alertmanagers that need TLS, tokens or relabeling; only static_configs"`
	ExternalLabels     []string `env:"EXTERNAL_LABELS" yaml:"external_labels" group:"alerts" arg:"name=value,..." help:"labels added to every alert that lacks them, comma-separated; $externalLabels in templates"`

	Mode             string   `env:"MODE" yaml:"mode" group:"replicas" arg:"replicated" help:"replicated: each replica reads all topics and evaluates all rules"`
	ClusterAddr      string   `env:"CLUSTER_ADDR" yaml:"cluster_addr" group:"replicas" arg:"host:port" help:"address on which replicas exchange silences and the log of sent notifications; empty: there is only one replica"`
	ClusterAdvertise string   `env:"CLUSTER_ADVERTISE_ADDR" yaml:"cluster_advertise_addr" group:"replicas" arg:"host:port" help:"address under which other replicas reach this one; empty: cluster_addr"`
	ClusterPeers     []string `env:"CLUSTER_PEERS" yaml:"cluster_peers" group:"replicas" arg:"host:port,..." help:"cluster_addr of the other replicas, comma-separated"`

	JaegerURL     string       `env:"JAEGER_URL" yaml:"jaeger_url" group:"stores" arg:"URL" help:"Jaeger, for links and for traces older than those kept here"`
	PrometheusURL string       `env:"PROMETHEUS_URL" yaml:"prometheus_url" group:"stores" arg:"URL" help:"Prometheus, for links and for metrics older than those kept here, by remote read and the HTTP API"`
	ElasticURL    string       `env:"ELASTICSEARCH_URL" yaml:"elasticsearch_url" group:"stores" arg:"URL" help:"Elasticsearch, for log lines older than those kept here: http://user:password@host:9200"`
	ElasticIndex  string       `env:"ELASTICSEARCH_INDEX" yaml:"elasticsearch_index" group:"stores" arg:"pattern,..." help:"Elasticsearch indices with logs in ECS or OpenTelemetry layout, comma-separated patterns"`
	RedisURL      kafka.Secret `env:"REDIS_URL" yaml:"redis_url" group:"stores" arg:"URL" secret:"true" help:"Redis that caches answers of the raw stores: redis://user:password@host:6379/0"`
	GrafanaURL    string       `env:"GRAFANA_URL" yaml:"grafana_url" group:"stores" arg:"URL" help:"Grafana, for links"`
	KibanaURL     string       `env:"KIBANA_URL" yaml:"kibana_url" group:"stores" arg:"URL" help:"Kibana, for links"`

	RemoteWriteURL      string        `env:"REMOTE_WRITE_URL" yaml:"remote_write_url" group:"export" arg:"URL" help:"Prometheus remote write receiver of series of the views and of recording rules, as https://mimir.example.org/api/v1/push; empty: nothing is sent"`
	RemoteWriteMatch    string        `env:"REMOTE_WRITE_MATCH" yaml:"remote_write_match" group:"export" arg:"selector,..." help:"PromQL selectors of the series to send, comma-separated"`
	RemoteWriteInterval time.Duration `env:"REMOTE_WRITE_INTERVAL" yaml:"remote_write_interval" group:"export" help:"time between two samples of a series, a multiple of 10s"`
	RemoteWriteLabels   []string      `env:"REMOTE_WRITE_LABELS" yaml:"remote_write_labels" group:"export" arg:"name=value,..." help:"labels added to every series that lacks them, comma-separated; give each installation that sends to one receiver its own"`
	RemoteWriteQueue    ByteSize      `env:"REMOTE_WRITE_QUEUE" yaml:"remote_write_queue" group:"export" help:"most bytes of samples that wait in remote_write_topic while the receiver does not answer; beyond it the oldest samples are dropped"`
	RemoteWriteTopic    string        `env:"REMOTE_WRITE_TOPIC" yaml:"remote_write_topic" group:"export" arg:"topic" help:"topic of one partition that holds samples until they are received"`
	RemoteWriteBearer   kafka.Secret  `env:"REMOTE_WRITE_BEARER_TOKEN" yaml:"remote_write_bearer_token" group:"export" arg:"token" secret:"true" help:"bearer token for the receiver"`
	RemoteWriteUsername string        `env:"REMOTE_WRITE_USERNAME" yaml:"remote_write_username" group:"export" arg:"name" help:"user name for the receiver (basic authentication)"`
	RemoteWritePassword kafka.Secret  `env:"REMOTE_WRITE_PASSWORD" yaml:"remote_write_password" group:"export" arg:"password" secret:"true" help:"password of that user"`
	RemoteWriteHeaders  kafka.Secret  `env:"REMOTE_WRITE_HEADERS" yaml:"remote_write_headers" group:"export" arg:"name=value,..." secret:"true" help:"further headers of requests to the receiver, comma-separated, as X-Scope-OrgID=tenant"`

	KafkaKeptTopic  string        `env:"KAFKA_KEPT_TOPIC" yaml:"kafka_kept_topic" group:"export" arg:"topic" help:"topic to which the spans of traces with errors, of slow traces (traces_slow) and of a sample (traces_sample) are written, as otlp_spans_kept; empty: none"`
	KafkaKeptWait   time.Duration `env:"KAFKA_KEPT_WAIT" yaml:"kafka_kept_wait" group:"export" help:"how long the spans of a trace are collected before it is decided whether it is kept"`
	KafkaKeptBuffer ByteSize      `env:"KAFKA_KEPT_BUFFER" yaml:"kafka_kept_buffer" group:"export" help:"most bytes of spans that wait in memory; beyond it the oldest traces are decided early; 0: 1/16 of memory_limit, at most 256MiB"`

	LogLevel      string        `env:"LOG_LEVEL" yaml:"log_level" group:"process" arg:"level" help:"debug, info, warn or error"`
	LogFormat     string        `env:"LOG_FORMAT" yaml:"log_format" group:"process" arg:"json|console" help:"format of log lines"`
	ReadyMaxLag   time.Duration `env:"READY_MAX_LAG" yaml:"ready_max_lag" group:"process" help:"/readyz answers 503 while a partition is further behind than this"`
	VerifyShare   float64       `env:"VERIFY_SHARE" yaml:"verify_share" group:"process" arg:"fraction" help:"part of one core that counts past records of the topics again and compares them with the views, all the time, as 0.03; reads the topics a second time; 0: only on request, with verify"`
	ShutdownDelay time.Duration `env:"SHUTDOWN_DELAY" yaml:"shutdown_delay" group:"process" help:"after SIGTERM the server keeps working this long while /readyz answers 503, so that load balancers stop sending requests"`
	PprofAddr     string        `env:"PPROF_ADDR" yaml:"pprof_addr" group:"process" arg:"host:port" help:"loopback address that serves Go profiles (pprof); empty: disabled"`

	ServerURL string       `env:"SERVER_URL" yaml:"server_url" group:"client" arg:"URL" help:"URL at which commands reach the running server, as https://watchingcat.example.org; empty: http_addr"`
	Token     kafka.Secret `env:"TOKEN" yaml:"token" group:"client" arg:"token" secret:"true" help:"API token with which commands call the running server"`
}

// Default are the settings without a file, environment or flag.
func Default() Config {
	return Config{
		HTTPAddr: "127.0.0.1:8090", DataDir: "./data",
		KafkaTracesTopic: "otlp_spans", KafkaMetricsTopic: "otlp_metrics", KafkaLogsTopic: "otlp_logs",
		KafkaTracesEncoding: encoding.Auto, KafkaMetricsEncoding: encoding.Auto, KafkaLogsEncoding: encoding.Auto,
		KafkaDeadLetterTopic: "watchingcat_dead_letter", KafkaConfigTopic: "watchingcat_config",
		KafkaGroup: "watchingcat", KafkaStart: "earliest",
		CommitInterval: 250 * time.Millisecond,
		Retention10s:   6 * time.Hour, Retention1m: 72 * time.Hour, Retention1h: days(400 * 24 * time.Hour),
		RetTraces: retention{time.Hour, 4 << 30}, TracesKeep: "all", TracesSlow: 500 * time.Millisecond, TracesSample: 0.05,
		RetLogs: retention{time.Hour, 2 << 30}, RetMetrics: days(6 * time.Hour), LimitServices: 10_000, LimitOperations: 500,
		LimitEdges: 50_000, LimitSeries: 200_000, LimitPatterns: 1000, LimitErrorGroups: 10_000, LimitDimensions: 100,
		Dimensions:    []string{"deployment.environment.name", "service.namespace"},
		PairingWindow: 10 * time.Second, PairingCompensation: 15 * time.Minute, Lateness: 2 * time.Second, DedupWindow: 5 * time.Minute,
		ReadyMaxLag: 30 * time.Second, Mode: "replicated", ElasticIndex: "logs-*", AuthJWKSIssuer: auth.Name, AuthJWKSAudience: auth.Name,
		OIDCScopes: []string{"openid", "profile", "email"}, OIDCRoleClaim: "role", OIDCDefaultRole: "viewer",
		AuthTokenLife: 24 * time.Hour, RateLimit: 5000,
		OTLPStrategy:        samples.Strategies()[0],
		RemoteWriteMatch:    `{__name__=~"traces_span_metrics_.+|traces_service_graph_.+_(total|bucket|sum|count)|.+:.+"}`,
		RemoteWriteInterval: 30 * time.Second, RemoteWriteQueue: 256 << 20, RemoteWriteTopic: "watchingcat_remote_write",
		KafkaKeptWait: 30 * time.Second,
		EmbeddedAddr:  "127.0.0.1:9092", EmbeddedKeep: retention{24 * time.Hour, 8 << 30},
		LogLevel: "info", LogFormat: "json", MinFreeDiskBytes: 512 << 20, BackupKeep: 7,
	}
}

// Loaded is a Config with where each setting came from.
type Loaded struct {
	Config
	Origin map[string]string
}

// Load puts the layers together: defaults, file, environment, flags.
func Load(flags *pflag.FlagSet, environ []string) (*Loaded, error) {
	l := &Loaded{Config: Default(), Origin: map[string]string{}}
	if file, _ := flags.GetString("config"); file != "" {
		if err := l.readFile(file); err != nil {
			return nil, err
		}
	}
	values, err := l.readEnviron(environ)
	if err != nil {
		return nil, err
	}
	for _, s := range Settings() {
		if f := flags.Lookup(s.Flag()); f != nil && f.Changed {
			values[s.Env()] = f.Value.String()
			l.Origin[s.Name] = "flag"
		}
	}
	file := l.AuthEnabled
	l.AuthEnabled = nil // the parser takes a pointer that is set for one to a struct
	if err := env.ParseWithOptions(&l.Config, env.Options{Environment: values, Prefix: EnvPrefix}); err != nil {
		return nil, Usage("%s", envError(err))
	}
	l.AuthEnabled = cmp.Or(l.AuthEnabled, file)
	if l.Embedded && len(l.KafkaBrokers) == 0 {
		l.KafkaBrokers = []string{l.EmbeddedAddr}
	}
	return l, l.check()
}

// parseError is how the parser of the environment begins an error about a field.
var parseError = regexp.MustCompile(`parse error on (field "\w+") of type "[^"]*": (unable to parse duration: time: )?`)

// envError names the variable rather than the field.
func envError(err error) string {
	text := parseError.ReplaceAllString(err.Error(), "$1: ")
	for _, s := range Settings() {
		field := reflect.TypeFor[Config]().Field(s.Index).Name
		text = strings.ReplaceAll(text, `field "`+field+`"`, s.Env())
	}
	return strings.TrimPrefix(text, "env: ")
}

func (l *Loaded) readFile(file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return Usage("read --config: %v", err)
	}
	d := yaml.NewDecoder(strings.NewReader(string(b)))
	d.KnownFields(true)
	if err := d.Decode(&l.Config); err != nil && len(strings.TrimSpace(string(b))) > 0 {
		return Usage("%s: %v", file, err)
	}
	var names map[string]any
	if err := yaml.Unmarshal(b, &names); err != nil {
		return Usage("%s: %v", file, err)
	}
	for name := range names {
		l.Origin[name] = file
	}
	return nil
}

// readEnviron returns the settings of the environment; NAME_FILE gives a secret by file.
func (l *Loaded) readEnviron(environ []string) (map[string]string, error) {
	values := map[string]string{}
	known := map[string]Setting{}
	for _, s := range Settings() {
		known[s.Env()] = s
	}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if !strings.HasPrefix(name, EnvPrefix) {
			continue
		}
		s, ok := known[name]
		if base, isFile := strings.CutSuffix(name, "_FILE"); !ok && isFile && known[base].Secret {
			b, err := os.ReadFile(value)
			if err != nil {
				return nil, Usage("%s: %v", name, err)
			}
			s, value, ok = known[base], strings.TrimRight(string(b), "\r\n"), true
		}
		if !ok {
			return nil, Usage("%s is not a setting%s; `watchingcat serve --help` lists them", name, suggest(name, known))
		}
		values[s.Env()] = value
		l.Origin[s.Name] = "environment"
	}
	return values, nil
}

// suggest names the setting that begins most like a misspelled one.
func suggest(name string, known map[string]Setting) string {
	best, length := "", len(EnvPrefix)+2
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

// AlertLabels are those of Prometheus' external_labels.
func (c *Config) AlertLabels() (labels.Labels, error) {
	return namedValues(c.ExternalLabels, "alerts set this label themselves", labels.AlertName)
}

// namedValues reads labels, none of which may be reserved, for a reason.
func namedValues(list []string, reason, reserved string) (labels.Labels, error) {
	out := map[string]string{}
	for _, text := range list {
		name, value, ok := strings.Cut(strings.TrimSpace(text), "=")
		_, twice := out[name]
		switch {
		case !ok || !model.UTF8Validation.IsValidLabelName(name):
			return labels.EmptyLabels(), fmt.Errorf("%q is not name=value", text)
		case name == model.MetricNameLabel || name == reserved || name == "":
			return labels.EmptyLabels(), fmt.Errorf("%q: %s", name, reason)
		case twice:
			return labels.EmptyLabels(), fmt.Errorf("%q is given twice", name)
		case !utf8.ValidString(value):
			return labels.EmptyLabels(), fmt.Errorf("the value of %q is not UTF-8", name)
		}
		out[name] = value
	}
	return labels.FromMap(out), nil
}

// AuthOn reports whether users and tokens are asked for.
func (c *Config) AuthOn() bool { return c.AuthEnabled != nil && *c.AuthEnabled }

// Topics are those of each signal; check has refused what is wrong.
func (c *Config) Topics() (traces, metrics, logs kafka.Topics) {
	traces, _ = kafka.ParseTopics(c.KafkaTracesTopic)
	metrics, _ = kafka.ParseTopics(c.KafkaMetricsTopic)
	logs, _ = kafka.ParseTopics(c.KafkaLogsTopic)
	return traces, metrics, logs
}

// Written refuses several topics for a signal, for what writes to them: it cannot choose.
func (c *Config) Written() error {
	for name, topics := range map[string]string{"TRACES": c.KafkaTracesTopic, "METRICS": c.KafkaMetricsTopic, "LOGS": c.KafkaLogsTopic} {
		if t, err := kafka.ParseTopics(topics); err == nil && (t.Pattern() || len(t.Names()) > 1) {
			return Usage("%sKAFKA_%s_TOPIC: %q: OTLP is written to this topic: give one name", EnvPrefix, name, topics)
		}
	}
	return nil
}

// TopicDimension is the attribute that topics give to records that lack it, with the values of topics; "": none do.
func (c *Config) TopicDimension() (attribute string, values map[string]string, err error) {
	traces, metrics, logs := c.Topics()
	values = map[string]string{}
	for _, text := range c.KafkaTopicValues {
		topic, value, ok := strings.Cut(strings.TrimSpace(text), "=")
		_, twice := values[topic]
		switch {
		case !ok || value == "" || len(value) > maxTopicValue || !utf8.ValidString(value):
			return "", nil, fmt.Errorf("%sKAFKA_TOPIC_DIMENSION_VALUES: %q is not topic=value with a value of at most %d bytes", EnvPrefix, text, maxTopicValue)
		case twice:
			return "", nil, fmt.Errorf("%sKAFKA_TOPIC_DIMENSION_VALUES: %q is given twice", EnvPrefix, topic)
		case !traces.Match(topic) && !metrics.Match(topic) && !logs.Match(topic):
			return "", nil, fmt.Errorf("%sKAFKA_TOPIC_DIMENSION_VALUES: %q is no topic that is read", EnvPrefix, topic)
		}
		values[topic] = value
	}
	switch attribute = c.KafkaTopicDimension; {
	case attribute == "" && len(values) > 0:
		return "", nil, fmt.Errorf("%sKAFKA_TOPIC_DIMENSION_VALUES is set and this is not: set it to one of %sDIMENSIONS", EnvPrefix, EnvPrefix)
	case attribute != "" && !slices.Contains(c.Dimensions, attribute):
		return "", nil, fmt.Errorf("%q is none of %sDIMENSIONS (%s)", attribute, EnvPrefix, strings.Join(c.Dimensions, ", "))
	case attribute != "" && len(values) == 0 && !traces.Grouped() && !metrics.Grouped() && !logs.Grouped():
		return "", nil, fmt.Errorf("topics have no values: use a pattern with a group, as /otlp_spans_(.+)/, or set %sKAFKA_TOPIC_DIMENSION_VALUES", EnvPrefix)
	}
	return attribute, values, nil
}

// maxTopicValue is how long the value of a topic may be; names of topics have as much.
const maxTopicValue = 249

// Kafka is how the brokers are reached.
func (c *Config) Kafka() kafka.Config {
	var transport http.RoundTripper
	if t, err := c.Transport(); err == nil { // check has refused a file that is wrong
		transport = t
	}
	return kafka.Config{Brokers: c.KafkaBrokers, TLS: c.KafkaTLS, TLSCA: c.KafkaTLSCA, TLSCert: c.KafkaTLSCert, TLSKey: c.KafkaTLSKey,
		SASLMechanism: c.KafkaSASLMechanism, SASLUsername: c.KafkaSASLUsername, SASLPassword: c.KafkaSASLPassword,
		Rack: c.KafkaRack, OAuth: kafka.OAuth{TokenURL: c.KafkaOAuthTokenURL, ClientID: c.KafkaOAuthClientID,
			ClientSecret: c.KafkaOAuthClientSecret, Scopes: c.KafkaOAuthScopes, Audience: c.KafkaOAuthAudience,
			TokenFile: c.KafkaOAuthTokenFile, Extensions: c.KafkaOAuthExtensions, Transport: transport}}
}

// Translation is how OTLP metrics are named.
func (c *Config) Translation() samples.Translation {
	return samples.Translation{Strategy: c.OTLPStrategy, Promote: c.OTLPPromote, KeepIdentifying: c.OTLPKeepIdentifying}
}

// DedupWithin is the window as views want it: negative is off.
func (c *Config) DedupWithin() time.Duration {
	if c.DedupWindow == 0 {
		return -1
	}
	return c.DedupWindow
}

// OIDC is the identity provider that is set; nil: none.
func (c *Config) OIDC() (*auth.OIDC, error) {
	if c.OIDCIssuer == "" {
		return nil, nil
	}
	if c.OIDCClientID == "" || c.ExternalURL == "" {
		return nil, fmt.Errorf("%sAUTH_OIDC_ISSUER needs %sAUTH_OIDC_CLIENT_ID and %sEXTERNAL_URL", EnvPrefix, EnvPrefix, EnvPrefix)
	}
	o := &auth.OIDC{Issuer: c.OIDCIssuer, ClientID: c.OIDCClientID, ClientSecret: string(c.OIDCClientSecret), Scopes: c.OIDCScopes,
		RedirectURL: strings.TrimSuffix(c.ExternalURL, "/") + auth.OIDCPath + "callback", RoleClaim: c.OIDCRoleClaim,
		Roles: map[string]auth.Role{}}
	var err error
	if c.OIDCDefaultRole != "none" {
		if o.Default, err = auth.ParseRole(c.OIDCDefaultRole); err != nil {
			return nil, fmt.Errorf("%sAUTH_OIDC_DEFAULT_ROLE: %w", EnvPrefix, err)
		}
	}
	for _, m := range c.OIDCRoles {
		i := strings.LastIndex(m, "=") // the value may have one too; commas it may have in the file alone
		if i < 0 {
			return nil, fmt.Errorf("%sAUTH_OIDC_ROLES: %q is not value=role", EnvPrefix, m)
		}
		if o.Roles[m[:i]], err = auth.ParseRole(m[i+1:]); err != nil {
			return nil, fmt.Errorf("%sAUTH_OIDC_ROLES: %w", EnvPrefix, err)
		}
	}
	return o, nil
}

// Transport is for requests to others: it trusts the CAs of the system and of the file that is set.
func (c *Config) Transport() (*http.Transport, error) {
	t := http.DefaultTransport.(*http.Transport).Clone()
	if c.CAFile == "" {
		return t, nil
	}
	pem, err := os.ReadFile(c.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%sCA_FILE: %w", EnvPrefix, err)
	}
	roots, err := x509.SystemCertPool()
	if err != nil { // a machine without any
		roots = x509.NewCertPool()
	}
	if !roots.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%sCA_FILE: %s holds no PEM certificate", EnvPrefix, c.CAFile)
	}
	t.TLSClientConfig = &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
	return t, nil
}

// Scheme is how the API is reached.
func (c *Config) Scheme() string {
	if c.TLSCert != "" {
		return "https"
	}
	return "http"
}
