package packages

import (
	"bufio"
	"fmt"
	"maps"
	"net/url"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/stretchr/testify/require"
	"sigs.k8s.io/yaml"
)

// profiles are the ways in which docker-compose.yml says that it is started, and the services that each one starts.
var profiles = map[string][]string{
	"":        {"collector", "kafka", "load", "watchingcat"},
	"shop":    {"collector", "kafka", "load", "shop", "watchingcat"},
	"grafana": {"collector", "grafana", "kafka", "load", "watchingcat"},
	"stores":  {"collector", "elasticsearch", "jaeger", "kafka", "kibana", "load", "prometheus", "redis", "stores", "watchingcat"},
	"all": {"collector", "elasticsearch", "grafana", "jaeger", "kafka", "kibana", "load", "prometheus", "redis", "shop", "stores",
		"watchingcat"},
}

// stores are the variables of deploy/compose/stores.env.
func stores(t *testing.T) map[string]string {
	t.Helper()
	f, err := os.Open("../compose/stores.env")
	require.NoError(t, err)
	defer f.Close()
	env := map[string]string{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		if name, value, ok := strings.Cut(lines.Text(), "="); ok && !strings.HasPrefix(name, "#") {
			env[name] = value
		}
	}
	return env
}

func compose(t *testing.T, profile string, env map[string]string) *types.Project {
	t.Helper()
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	options, err := cli.NewProjectOptions([]string{root + "/docker-compose.yml"}, cli.WithEnv(list), cli.WithProfiles(strings.Fields(profile)),
		cli.WithConsistency(true), cli.WithInterpolation(true))
	require.NoError(t, err)
	p, err := options.LoadProject(t.Context())
	require.NoError(t, err)
	return p
}

// TestCompose loads docker-compose.yml as docker compose does, with every profile, and follows what it names.
func TestCompose(t *testing.T) {
	for profile, services := range profiles {
		t.Run("profile "+profile, func(t *testing.T) {
			var env map[string]string
			if slices.Contains(services, "stores") {
				env = stores(t)
			}
			p := compose(t, profile, env)
			require.Equal(t, services, p.ServiceNames())
			ports := map[string]string{}
			for _, s := range p.Services {
				started(t, p, s, ports)
			}
			checkSettings(t, p.Services["watchingcat"].Environment)
			for name, value := range p.Services["watchingcat"].Environment {
				reachable(t, p, name, *value)
			}
		})
	}
	p := compose(t, "all", nil)
	for name := range stores(t) {
		require.Contains(t, p.Services["watchingcat"].Environment, name, "deploy/compose/stores.env sets it")
		require.Empty(t, *p.Services["watchingcat"].Environment[name], "a store that does not run is not used")
	}
	require.Equal(t, "http://watchingcat:8090", *p.Services["grafana"].Environment["WATCHINGCAT_URL"])
	require.Equal(t, "0.0.0.0:8090", *p.Services["watchingcat"].Environment["WATCHINGCAT_HTTP_ADDR"])
}

// started checks one service.
func started(t *testing.T, p *types.Project, s types.ServiceConfig, ports map[string]string) {
	t.Helper()
	if s.Build == nil {
		require.Regexp(t, `:v?[0-9]+\.[0-9]+\.[0-9]+`, s.Image, "%s is of no version", s.Name)
	} else {
		require.FileExists(t, root+"/"+strings.TrimPrefix(s.Build.Dockerfile, s.Build.Context))
	}
	for _, port := range s.Ports {
		require.Equal(t, "127.0.0.1", port.HostIP, "%s is open to other machines, without authentication", s.Name)
		require.Empty(t, ports[port.Published], "port %s of %s", port.Published, s.Name)
		ports[port.Published] = s.Name
	}
	for _, v := range s.Volumes {
		switch v.Type {
		case types.VolumeTypeBind:
			_, err := os.Stat(v.Source)
			require.NoError(t, err, s.Name)
			require.True(t, v.ReadOnly, "%s may write %s", s.Name, v.Source)
		case types.VolumeTypeVolume:
			require.Contains(t, p.Volumes, v.Source)
		default:
			t.Errorf("%s mounts %s", s.Name, v.Type)
		}
	}
	for name, d := range s.DependsOn {
		on, err := p.GetService(name)
		require.NoError(t, err, s.Name)
		if d.Condition == types.ServiceConditionHealthy {
			require.NotNil(t, on.HealthCheck, "%s waits for the health of %s", s.Name, name)
			require.Contains(t, []string{"CMD", "CMD-SHELL"}, on.HealthCheck.Test[0])
		}
	}
	for name, value := range s.Environment {
		if value != nil && s.Name != "watchingcat" && name != "KAFKA_CONTROLLER_QUORUM_VOTERS" {
			reachable(t, p, name, *value)
		}
	}
}

var hostPort = regexp.MustCompile(`^(?:[a-z]+://)?([a-z][a-z.-]*):[0-9]+(?:/.*)?$`)

// reachable checks that a value which is the address of a service names one that runs.
func reachable(t *testing.T, p *types.Project, name, value string) {
	t.Helper()
	m := hostPort.FindStringSubmatch(value)
	if m == nil {
		return
	}
	names := p.ServiceNames()
	for _, s := range p.Services {
		for _, n := range s.Networks {
			if n != nil {
				names = append(names, n.Aliases...)
			}
		}
	}
	require.Contains(t, names, m[1], "%s=%s", name, value)
}

// checkSettings lets WatchingCat check the settings of its service.
func checkSettings(t *testing.T, env types.MappingWithEquals) {
	t.Helper()
	releaseFiles(t)
	check := exec.CommandContext(t.Context(), root+"/build/reproduced/watchingcat", "config", "check")
	for name, value := range env {
		v := *value
		if name == "WATCHINGCAT_RULE_FILES" {
			require.Equal(t, "/etc/watchingcat/rules.yml", v)
			v = "../compose/rules.yml"
		}
		check.Env = append(check.Env, name+"="+v)
	}
	out, err := check.CombinedOutput()
	require.NoError(t, err, "%s", out)
}

// TestComposeLoad: the command line of the shop is one that WatchingCat has. Without a broker it fails, and not at its flags.
func TestComposeLoad(t *testing.T) {
	releaseFiles(t)
	s := compose(t, "shop", nil).Services["shop"]
	cmd := exec.CommandContext(t.Context(), root+"/build/reproduced/watchingcat", append(slices.Clone([]string(s.Command)), "--duration=1s")...)
	require.Equal(t, []string{"WATCHINGCAT_KAFKA_BROKERS"}, slices.Collect(maps.Keys(s.Environment)))
	cmd.Env = []string{"WATCHINGCAT_KAFKA_BROKERS=127.0.0.1:1"}
	out, _ := cmd.CombinedOutput()
	require.NotEqual(t, 2, cmd.ProcessState.ExitCode(), "%s", out)
	cmd = exec.CommandContext(t.Context(), root+"/build/reproduced/watchingcat", "load", "--no-such-flag")
	_ = cmd.Run()
	require.Equal(t, 2, cmd.ProcessState.ExitCode(), "a mistake in the flags has another code")
}

// TestComposeConfigurations: variables of the Collectors' configurations are set by their services, what pipelines name exists, and
// Prometheus finds its rules and targets.
func TestComposeConfigurations(t *testing.T) {
	p := compose(t, "all", nil)
	for name, service := range map[string]string{"collector": "collector", "stores": "stores"} {
		text, err := os.ReadFile("../compose/" + name + ".yaml")
		require.NoError(t, err)
		set := p.Services[service].Environment
		for _, m := range regexp.MustCompile(`\$\{env:([A-Z_]+)`).FindAllStringSubmatch(string(text), -1) {
			require.Contains(t, set, m[1], name)
		}
		for variable := range set {
			require.Contains(t, string(text), "${env:"+variable, name)
		}
		var c struct {
			Receivers, Processors, Exporters, Extensions map[string]any
			Service                                      struct {
				Extensions []string
				Pipelines  map[string]struct{ Receivers, Processors, Exporters []string }
			}
		}
		require.NoError(t, yaml.Unmarshal(text, &c))
		require.Equal(t, []string{"logs", "metrics", "traces"}, slices.Sorted(maps.Keys(c.Service.Pipelines)))
		for _, pipeline := range c.Service.Pipelines {
			require.Subset(t, slices.Collect(maps.Keys(c.Receivers)), pipeline.Receivers)
			require.Subset(t, slices.Collect(maps.Keys(c.Processors)), pipeline.Processors)
			require.Subset(t, slices.Collect(maps.Keys(c.Exporters)), pipeline.Exporters)
		}
		require.ElementsMatch(t, slices.Collect(maps.Keys(c.Extensions)), c.Service.Extensions)
	}
	text, err := os.ReadFile("../compose/prometheus.yml")
	require.NoError(t, err)
	var prometheus struct {
		RuleFiles []string `json:"rule_files"`
		Scrapes   []struct {
			Static []struct{ Targets []string } `json:"static_configs"`
		} `json:"scrape_configs"`
	}
	require.NoError(t, yaml.Unmarshal(text, &prometheus))
	var mounted []string
	for _, v := range p.Services["prometheus"].Volumes {
		mounted = append(mounted, v.Target)
	}
	require.Subset(t, mounted, prometheus.RuleFiles)
	for _, s := range prometheus.Scrapes {
		for _, target := range s.Static[0].Targets {
			u, err := url.Parse("http://" + target)
			require.NoError(t, err)
			require.Contains(t, p.ServiceNames(), u.Hostname())
		}
	}
}

// TestComposeIsDocumented: the commands in the head of the file start the profiles that it has.
func TestComposeIsDocumented(t *testing.T) {
	text, err := os.ReadFile(root + "/docker-compose.yml")
	require.NoError(t, err)
	head, _, _ := strings.Cut(string(text), "\nname:")
	for profile, services := range profiles {
		command := "docker compose up --build"
		if profile != "" {
			command = fmt.Sprintf("docker compose --profile %s up --build", profile)
		}
		if slices.Contains(services, "stores") {
			command = fmt.Sprintf("docker compose --env-file deploy/compose/stores.env --profile %s up --build", profile)
		}
		require.Contains(t, head, command)
	}
}
