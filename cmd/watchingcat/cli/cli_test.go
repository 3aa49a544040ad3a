package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// TestCommandLine holds exit codes and the lines that instruct the user.
func TestCommandLine(t *testing.T) {
	dir := t.TempDir()
	bad := filepath.Join(dir, "bad.yml")
	require.NoError(t, os.WriteFile(bad, []byte("kafka_brokrs: [a]\n"), 0o600))
	rules := filepath.Join(dir, "rules.yml")
	require.NoError(t, os.WriteFile(rules, []byte("groups:\n- name: g\n  rules:\n  - alert: A\n    expr: sum(\n"), 0o600))
	for _, c := range []struct {
		args string
		code int
		want string // in stdout or stderr
	}{
		{"version", exitOK, "watchingcat"},
		{"help", exitOK, "demo"},
		{"serv", exitUsage, "there is no command \"serv\" of `watchingcat` (did you mean `watchingcat serve`?); see `watchingcat --help`"},
		{"user rm", exitUsage, "there is no command \"rm\" of `watchingcat user`; see `watchingcat user --help`"},
		{"help user rm", exitUsage, "see `watchingcat --help`"},
		{"help user add", exitOK, "watchingcat user add NAME [flags]"},
		{"user add", exitUsage, "NAME is missing: give `watchingcat user add NAME`; see `watchingcat user add --help`"},
		{"token revoke a b", exitUsage, "unexpected argument \"b\": give `watchingcat token revoke ID`; see `watchingcat token revoke --help`"},
		{"serve now", exitUsage, "unexpected argument \"now\": `watchingcat serve` takes only flags; see `watchingcat serve --help`"},
		{"rules check", exitUsage, "FILE is missing: give `watchingcat rules check FILE...`; see `watchingcat rules check --help`"},
		{"serve --no-such-flag", exitUsage, "see `watchingcat serve --help`"},
		{"serve", exitUsage, "WATCHINGCAT_KAFKA_BROKERS is not set: give the brokers as host:port, separated by commas; see `watchingcat serve --help`"},
		{"config check --kafka-start=middle", exitUsage, "WATCHINGCAT_KAFKA_START: \"middle\" is neither earliest nor latest"},
		{"config check --kafka-traces-topic=a,b", exitOK, "settings are valid"},
		{"config check --kafka-traces-topic=a,b+c", exitUsage, "WATCHINGCAT_KAFKA_TRACES_TOPIC: \"b+c\" has the character '+'"},
		{"config check --kafka-traces-topic=/(/", exitUsage, "is no regular expression"},
		{"config check --kafka-traces-topic=/.*/", exitUsage,
			"WATCHINGCAT_KAFKA_METRICS_TOPIC: \"otlp_metrics\" is the topic of WATCHINGCAT_KAFKA_TRACES_TOPIC too"},
		{"config check --kafka-traces-topic=/watchingcat_.*/", exitUsage, "WATCHINGCAT_KAFKA_DEAD_LETTER_TOPIC"},
		{"config check --kafka-dead-letter-topic=a,b", exitUsage, "WATCHINGCAT_KAFKA_DEAD_LETTER_TOPIC: \"a,b\" has the character ','"},
		{"config check --kafka-traces-topic=a,b --otlp-http-addr=127.0.0.1:1", exitUsage, "give one name"},
		{"config check --kafka-traces-encoding=avro", exitUsage, "use auto, otlp_proto, otlp_json, jaeger_proto"},
		{"config check --kafka-sasl-mechanism=OAUTHBEARER", exitUsage, "WATCHINGCAT_KAFKA_OAUTH_TOKEN_URL"},
		{"config check --kafka-topic-dimension=team", exitUsage, "\"team\" is none of WATCHINGCAT_DIMENSIONS"},
		{"config check --kafka-topic-dimension=service.namespace", exitUsage, "WATCHINGCAT_KAFKA_TOPIC_DIMENSION_VALUES"},
		{"config check --kafka-topic-dimension=service.namespace --kafka-topic-dimension-values=spans=a", exitUsage, "\"spans\" is no topic that is read"},
		{"config check --kafka-topic-dimension=service.namespace --kafka-traces-topic=/spans_(.*)/", exitOK, "settings are valid"},
		{"config check --kafka-logs-topic=otlp.*", exitUsage, "WATCHINGCAT_KAFKA_LOGS_TOPIC"},
		{"config check --kafka-metrics-topic=" + strings.Repeat("a", 250), exitUsage, "at most 249"},
		{"config check --kafka-dead-letter-topic=otlp_spans", exitUsage,
			"WATCHINGCAT_KAFKA_DEAD_LETTER_TOPIC: \"otlp_spans\" is the topic of WATCHINGCAT_KAFKA_TRACES_TOPIC too"},
		{"config check --kafka-metrics-topic=otlp.logs", exitUsage,
			"WATCHINGCAT_KAFKA_LOGS_TOPIC: \"otlp_logs\" is the topic of WATCHINGCAT_KAFKA_METRICS_TOPIC too"},
		{"serve --kafka-brokers=127.0.0.1:1 --kafka-config-topic=a --kafka-logs-topic=a", exitUsage, "WATCHINGCAT_KAFKA_CONFIG_TOPIC"},
		{"config check --external-labels=a=,a=b", exitUsage, "\"a\" is given twice"},
		{"serve --kafka-brokers=127.0.0.1:1 --kafka-dead-letter-topic=..", exitUsage, "WATCHINGCAT_KAFKA_DEAD_LETTER_TOPIC"},
		{"config check --otlp-translation-strategy=None", exitUsage, "NoUTF8EscapingWithSuffixes"},
		{"config check --otlp-translation-strategy=NoTranslation --otlp-promote-resource-attributes=host.name,cloud.region", exitOK,
			"settings are valid"},
		{"config check --commit-interval=soon", exitUsage, "watchingcat: WATCHINGCAT_COMMIT_INTERVAL: invalid duration \"soon\"; see"},
		{"config check --limit-edges=x --kafka-start=y", exitUsage, "watchingcat: WATCHINGCAT_LIMIT_EDGES: "},
		{"config check --log-level=x --kafka-start=y", exitUsage, "\nSee `watchingcat config check --help`."},
		{"config check --http-addr=0.0.0.0:8090", exitUsage, "set WATCHINGCAT_AUTH_ENABLED explicitly"},
		{"config check --http-addr=0.0.0.0:8090 --auth-enabled=false", exitOK, "settings are valid"},
		{"config check --http-addr=0.0.0.0:8090 --auth-enabled=true", exitOK, "settings are valid"},
		{"config check --pprof-addr=0.0.0.0:6060", exitUsage, "is no loopback address"},
		{"config check --auth-oidc-issuer=https://id.example.org", exitUsage,
			"needs WATCHINGCAT_AUTH_OIDC_CLIENT_ID and WATCHINGCAT_EXTERNAL_URL"},
		{"config check --auth-oidc-issuer=https://id.example.org --auth-oidc-client-id=w --external-url=https://w --auth-oidc-roles=sre:editor", exitUsage, "is not value=role"},
		{"config check --auth-oidc-issuer=https://id.example.org --auth-oidc-client-id=w --external-url=https://w --auth-oidc-default-role=guest", exitUsage, "AUTH_OIDC_DEFAULT_ROLE"},
		{"config check --auth-oidc-issuer=https://id.example.org --auth-oidc-client-id=w --external-url=https://w --auth-oidc-roles=sre=editor,it=admin --auth-oidc-default-role=none", exitOK, "settings are valid"},
		{"config check --tls-cert=a.pem", exitUsage, "go together"},
		{"config check --config=" + bad, exitUsage, "kafka_brokrs"},
		{"config check --rule-files=" + rules, exitUsage, rules},
		{"config check --alertmanager-config=" + rules, exitUsage, "WATCHINGCAT_ALERTMANAGER_CONFIG"},
		{"rules check " + rules, exitFailure, "parse"},
		{"load --kafka-brokers=127.0.0.1:1 --rate=0", exitUsage, "--rate must be at least 1"},
	} {
		var out bytes.Buffer
		code := run(context.Background(), strings.Fields(c.args), &out, &out)
		if code != c.code || !strings.Contains(out.String(), c.want) {
			t.Errorf("watchingcat %s: exit %d, want %d; output lacks %q:\n%s", c.args, code, c.code, c.want, out.String())
		}
	}
}

func load(t *testing.T, args []string, environ ...string) (*config.Loaded, error) {
	t.Helper()
	flags := pflag.NewFlagSet("", pflag.ContinueOnError)
	config.AddFlags(flags)
	require.NoError(t, flags.Parse(args))
	return config.Load(flags, environ)
}

func TestLayers(t *testing.T) {
	dir := t.TempDir()
	file, secret := filepath.Join(dir, "c.yml"), filepath.Join(dir, "secret")
	for name, text := range map[string]string{file: "kafka_group: from-file\nkafka_traces_topic: from-file\ndata_dir: from-file\nlateness: 3s\nkafka_brokers: [a:1, b:2]\n", secret: "hunter2\n"} {
		require.NoError(t, os.WriteFile(name, []byte(text), 0o600))
	}
	c, err := load(t, []string{"--config", file, "--data-dir", "from-flag"},
		"WATCHINGCAT_KAFKA_TRACES_TOPIC=from-env", "WATCHINGCAT_DATA_DIR=from-env", "WATCHINGCAT_KAFKA_SASL_PASSWORD_FILE="+secret,
		"HOME=/", "WATCHINGCAT_KAFKA_TLS=true", "WATCHINGCAT_EXTERNAL_URL=https://cat.example.org/")
	require.NoError(t, err)
	if c.KafkaGroup != "from-file" || c.KafkaTracesTopic != "from-env" || c.DataDir != "from-flag" || c.Lateness.Seconds() != 3 ||
		c.KafkaLogsTopic != "otlp_logs" || !c.KafkaTLS {
		t.Errorf("layers: %+v", c.Config)
	}
	if !slices.Equal(c.KafkaBrokers, []string{"a:1", "b:2"}) {
		t.Errorf("brokers %v", c.KafkaBrokers)
	}
	if c.ExternalURL != "https://cat.example.org" { // links are made by appending to it
		t.Errorf("external URL %s", c.ExternalURL)
	}
	if string(c.KafkaSASLPassword) != "hunter2" {
		t.Error("the secret was not read from its file")
	}
	for _, s := range config.Settings() {
		if strings.Contains(shown(c.Config, s), "hunter2") {
			t.Errorf("%s shows a secret", s.Env())
		}
	}
}

func TestMisspelledSetting(t *testing.T) {
	_, err := load(t, nil, "WATCHINGCAT_KAFKA_BROKER=a:1")
	if err == nil || !strings.Contains(err.Error(), "WATCHINGCAT_KAFKA_BROKER is not a setting (did you mean WATCHINGCAT_KAFKA_") {
		t.Errorf("error %v", err)
	}
}
