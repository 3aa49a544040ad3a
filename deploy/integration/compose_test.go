//go:build integration

package integration

import (
	"context"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
)

// composeFile is what the test reads of docker-compose.yml.
type composeFile struct {
	Services map[string]struct {
		Image       string            `yaml:"image"`
		Command     []string          `yaml:"command"`
		Environment map[string]string `yaml:"environment"`
		Volumes     []string          `yaml:"volumes"`
		DependsOn   any               `yaml:"depends_on"`
	} `yaml:"services"`
}

// TestCompose runs what docker-compose.yml says, without containers: the Collector with the mounted configuration and settings, the
// load source's own command line, watchingcat with the settings of its service; only addresses and folders are replaced.
func TestCompose(t *testing.T) {
	text, err := os.ReadFile("../../docker-compose.yml")
	if err != nil {
		t.Fatal(err)
	}
	var c composeFile
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	for name, s := range c.Services {
		for _, v := range s.Volumes {
			if from, _, _ := strings.Cut(v, ":"); strings.HasPrefix(from, "./") {
				if _, err := os.Stat(filepath.Join("../..", from)); err != nil {
					t.Errorf("service %s mounts %v", name, err)
				}
			}
		}
	}
	k := startKafka(t, 1)
	grpc, http := port(t), port(t)
	here := map[string]string{
		"KAFKA_BROKER": k.Brokers()[0], "OTLP_GRPC": fmt.Sprintf("127.0.0.1:%d", grpc), "OTLP_HTTP": fmt.Sprintf("127.0.0.1:%d", http),
		"QUEUE_DIR": t.TempDir(),
	}
	var env []string
	for name := range c.Services["collector"].Environment {
		value, ok := here[name]
		if !ok {
			t.Fatalf("the collector's %s is not known to this test", name)
		}
		env = append(env, name+"="+value)
	}
	startCollector(t, "../../compose/collector", env...)

	settings := maps.Clone(c.Services["watchingcat"].Environment)
	rules, err := filepath.Abs("../compose/rules.yml")
	if err != nil {
		t.Fatal(err)
	}
	settings["WATCHINGCAT_RULE_FILES"] = rules
	maps.DeleteFunc(settings, func(_, value string) bool { return strings.HasPrefix(value, "${") }) // of profiles that are off
	check := exec.Command(*binaryPath, "config", "check")
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		check.Env = append(check.Env, name+"="+settings[name])
	}
	if out, err := check.CombinedOutput(); err != nil {
		t.Fatalf("watchingcat refuses the settings of docker-compose.yml: %v\n%s", err, out)
	}
	delete(settings, "WATCHINGCAT_HTTP_ADDR")
	delete(settings, "WATCHINGCAT_KAFKA_BROKERS")
	env = nil
	for name, value := range settings {
		env = append(env, name+"="+value)
	}
	a := newApp(t, k.Brokers(), env...)
	a.start()
	a.up()

	args := slices.Clone(c.Services["load"].Command)
	for i, arg := range args {
		if strings.HasPrefix(arg, "--otlp-endpoint=") {
			args[i] = "--otlp-endpoint=" + here["OTLP_GRPC"]
		}
		if strings.HasPrefix(arg, "--duration=") {
			args[i] = "--duration=3s"
		}
	}
	waitFor(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		return exec.CommandContext(ctx, fetched(t, "telemetrygen"), args...).Run() == nil
	})
	query := `sum(traces_span_metrics_calls_total{service_name="telemetrygen"})`
	waitFor(t, func() bool {
		var answer struct {
			Data struct{ Result []struct{ Value []any } }
		}
		err := get(t.Context(), "http://"+a.addr+"/prometheus/api/v1/query?query="+url.QueryEscape(query), &answer)
		return err == nil && len(answer.Data.Result) == 1
	})
	var rulesAnswer struct{ Rules []struct{ Name string } }
	if err := get(t.Context(), "http://"+a.addr+"/api/v1/alerts", &rulesAnswer); err != nil || len(rulesAnswer.Rules) != 1 {
		t.Errorf("rules of the Compose file: %v, %v", rulesAnswer, err)
	}
}

// TestComposeStores lets the Collector and Prometheus check the configurations of the profile stores. The Collector that is built for tests
// has no exporter for Elasticsearch: another one stands for it.
func TestComposeStores(t *testing.T) {
	text, err := os.ReadFile("../compose/stores.yaml")
	if err != nil {
		t.Fatal(err)
	}
	c := map[string]any{}
	if err := yaml.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	exporters := c["exporters"].(map[string]any)
	if _, ok := exporters["elasticsearch"]; !ok {
		t.Fatal("there is no exporter for Elasticsearch")
	}
	delete(exporters, "elasticsearch")
	exporters["nop"] = nil
	c["service"].(map[string]any)["pipelines"].(map[string]any)["logs"].(map[string]any)["exporters"] = []string{"nop"}
	check := func(text []byte, program string, args ...string) {
		t.Helper()
		file := filepath.Join(t.TempDir(), "config.yml")
		if err := os.WriteFile(file, text, 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.CommandContext(t.Context(), fetched(t, program), append(args, file)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", program, err, out)
		}
	}
	if text, err = yaml.Marshal(c); err != nil {
		t.Fatal(err)
	}
	check(text, "collector", "validate", "--config")
	if text, err = os.ReadFile("../compose/prometheus.yml"); err != nil {
		t.Fatal(err)
	}
	alerts, err := filepath.Abs("../mixin/alerts.yml")
	if err != nil {
		t.Fatal(err)
	}
	check([]byte(strings.Replace(string(text), "/etc/prometheus/watchingcat.yml", alerts, 1)), "promtool", "check", "config")
}
