package packages

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"github.com/stretchr/testify/require"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/v2/lint"
	"helm.sh/helm/v4/pkg/chart/v2/lint/support"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/engine"
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	networking "k8s.io/api/networking/v1"
	policy "k8s.io/api/policy/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

var update = flag.Bool("update", false, "write what the charts render to testdata")

const chartDir = "../helm/watchingcat"

// cases are values of users, by the name of what they render.
var cases = map[string]string{
	"default": ``,
	"replicas": `
replicas: 3
secretEnv: watchingcat-secrets
config: {kafka_brokers: [kafka-0.kafka:9092, kafka-1.kafka:9092], auth_enabled: true, kafka_tls: true, external_labels: [cluster=eu]}
receivers: {enabled: true}
ruleFiles:
  shop.yml: |
    groups: [{name: shop, rules: [{alert: Errors, expr: 'sum(rate(traces_span_metrics_calls_total{status_code="STATUS_CODE_ERROR"}[1m])) > 1'}]}]
alertmanager:
  config: |
    route: {receiver: team}
    receivers: [{name: team, webhook_configs: [{url: 'http://hook.example.org/'}]}]
ingress: {enabled: true, host: cat.example.org, className: nginx, tlsSecret: cat-tls}
networkPolicy: {from: [{namespaceSelector: {matchLabels: {team: sre}}}]}
serviceMonitor: {enabled: true, labels: {release: prometheus}, tokenSecret: {name: watchingcat-token}}
prometheusRule: {enabled: true}
persistence: {size: 200Gi, storageClass: fast}
extraEnv: [{name: OTEL_SERVICE_NAME, value: watchingcat}]
podLabels: {team: sre}
podAnnotations: {example.org/note: x}
nodeSelector: {disk: ssd}
tolerations: [{key: observability, operator: Exists}]
imagePullSecrets: [{name: registry}]
priorityClassName: high
`,
}

func values(t *testing.T, text string) map[string]any {
	t.Helper()
	v := map[string]any{}
	require.NoError(t, yaml.Unmarshal([]byte(text), &v))
	return v
}

// render is what the chart becomes, by file, less what is empty.
func render(t *testing.T, v map[string]any) (map[string]string, error) {
	t.Helper()
	return renderAs(t, "cat", "observability", v)
}

func renderAs(t *testing.T, name, namespace string, v map[string]any) (map[string]string, error) {
	t.Helper()
	c, err := loader.Load(chartDir)
	require.NoError(t, err)
	all, err := util.ToRenderValues(c, v, common.ReleaseOptions{Name: name, Namespace: namespace, Revision: 1, IsInstall: true}, common.DefaultCapabilities)
	if err != nil {
		return nil, err
	}
	files, err := engine.Render(c, all)
	for name, text := range files {
		if strings.TrimSpace(text) == "" {
			delete(files, name)
		}
	}
	return files, err
}

// kinds are the types that documents are read into: a field that they lack is an error.
func kinds(kind string) any {
	return map[string]any{"StatefulSet": &apps.StatefulSet{}, "Service": &core.Service{}, "ServiceAccount": &core.ServiceAccount{}, "ConfigMap": &core.ConfigMap{},
		"Secret": &core.Secret{}, "PodDisruptionBudget": &policy.PodDisruptionBudget{}, "NetworkPolicy": &networking.NetworkPolicy{}, "Ingress": &networking.Ingress{},
		"ServiceMonitor": &monitoring.ServiceMonitor{}, "PrometheusRule": &monitoring.PrometheusRule{}}[kind]
}

func TestChart(t *testing.T) {
	for name, text := range cases {
		t.Run(name, func(t *testing.T) {
			v := values(t, text)
			for _, m := range lint.RunAll(chartDir, v, "observability").Messages {
				require.LessOrEqual(t, m.Severity, support.InfoSev, "%v", m)
			}
			files, err := render(t, v)
			require.NoError(t, err)
			var all bytes.Buffer
			objects := map[string]any{}
			names := make([]string, 0, len(files))
			for name := range files {
				names = append(names, name)
			}
			slices.Sort(names)
			for _, name := range names {
				all.WriteString("# " + name + "\n" + files[name] + "\n")
				if strings.HasSuffix(name, ".yaml") {
					read(t, files[name], objects)
				}
			}
			golden(t, name+".yaml", all.Bytes())
			settings(t, objects)
			require.Contains(t, objects, "StatefulSet/cat-watchingcat")
			if name == "replicas" {
				for _, want := range []string{"PodDisruptionBudget/cat-watchingcat", "NetworkPolicy/cat-watchingcat", "Ingress/cat-watchingcat", "ServiceMonitor/cat-watchingcat",
					"PrometheusRule/cat-watchingcat", "Secret/cat-watchingcat-alertmanager", "ConfigMap/cat-watchingcat-rules"} {
					require.Contains(t, objects, want)
				}
			}
		})
	}
}

// read decodes documents strictly into objects by kind and name.
func read(t *testing.T, text string, objects map[string]any) {
	t.Helper()
	documents := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		doc, err := documents.Read()
		if errors.Is(err, io.EOF) {
			return
		}
		require.NoError(t, err)
		var head struct {
			Kind     string `json:"kind"`
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		}
		require.NoError(t, yaml.Unmarshal(doc, &head), "%s", doc)
		if head.Kind == "" {
			continue
		}
		into := kinds(head.Kind)
		require.NotNil(t, into, head.Kind)
		require.NoError(t, yaml.UnmarshalStrict(doc, into), "%s", doc)
		require.NotContains(t, objects, head.Kind+"/"+head.Metadata.Name)
		objects[head.Kind+"/"+head.Metadata.Name] = into
	}
}

// settings checks watchingcat.yml, and the files that it names, by WatchingCat itself.
func settings(t *testing.T, objects map[string]any) {
	t.Helper()
	dir := t.TempDir()
	text := objects["ConfigMap/cat-watchingcat"].(*core.ConfigMap).Data["watchingcat.yml"]
	write := func(name, content string) {
		file := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(content), 0o600))
	}
	if rules, ok := objects["ConfigMap/cat-watchingcat-rules"].(*core.ConfigMap); ok {
		for name, content := range rules.Data {
			write("rules/"+name, content)
		}
	}
	if am, ok := objects["Secret/cat-watchingcat-alertmanager"].(*core.Secret); ok {
		write("alertmanager/alertmanager.yml", am.StringData["alertmanager.yml"])
	}
	write("watchingcat.yml", strings.ReplaceAll(text, "/etc/watchingcat/", dir+"/"))
	cmd := exec.CommandContext(context.Background(), "go", "run", "./cmd/watchingcat", "config", "check", "--config", filepath.Join(dir, "watchingcat.yml"))
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "WATCHINGCAT_OTLP_TOKENS=sixteen-bytes-16")
	out, err := cmd.CombinedOutput()
	require.NoError(t, err, "%s\n%s", out, text)
}

// Values that cannot work are refused before anything is installed.
func TestValuesAreChecked(t *testing.T) {
	for name, text := range map[string]string{
		"no brokers":             `config: {kafka_brokers: []}`,
		"replicas as text":       `replicas: "3"`,
		"a misspelled value":     `replica: 3`,
		"a size without a unit":  `persistence: {size: "20"}`,
		"a setting of the chart": `config: {http_addr: ':80'}`,
		"a rule file of no name": `ruleFiles: {'a/b.txt': x}`,
		"too short to end":       `terminationGracePeriodSeconds: 5`,
	} {
		_, err := render(t, values(t, text))
		require.ErrorContains(t, err, "values don't meet the specifications of the schema", name)
	}
}

// The alerts of the chart are those of the mixin.
func TestAlerts(t *testing.T) {
	want, err := os.ReadFile("../mixin/alerts.yml")
	require.NoError(t, err)
	got, err := os.ReadFile(chartDir + "/files/alerts.yml")
	require.NoError(t, err)
	require.Equal(t, string(want), string(got), "copy deploy/mixin/alerts.yml to deploy/helm/watchingcat/files")
}

// The unit has no mistake that systemd knows of, and stays as closed as it is.
func TestUnit(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	text, err := os.ReadFile("../systemd/watchingcat.service")
	require.NoError(t, err)
	unit := filepath.Join(t.TempDir(), "watchingcat.service")
	program, err := os.Executable() // the program of the unit has to exist
	require.NoError(t, err)
	require.Contains(t, string(text), "ExecStart=/usr/bin/watchingcat ")
	require.NoError(t, os.WriteFile(unit, bytes.ReplaceAll(text, []byte("ExecStart=/usr/bin/watchingcat "), []byte("ExecStart="+program+" ")), 0o600))
	out, err := exec.Command(analyze, "verify", unit).CombinedOutput()
	require.NoError(t, err, "%s", out)
	require.Empty(t, strings.TrimSpace(string(out)))
	out, err = exec.Command(analyze, "security", "--offline=true", "--threshold=15", unit).CombinedOutput()
	require.NoError(t, err, "exposure over 1.5:\n%s", out)
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	require.NoError(t, os.MkdirAll("testdata", 0o750))
	same(t, filepath.Join("testdata", name), got)
}
