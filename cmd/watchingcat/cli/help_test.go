package cli

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

var update = flag.Bool("update", false, "write the help of every command into testdata")

// TestHelp holds the help of every command: testdata/help.txt shows it as users read it. A command's own flags come before settings, and no
// setting is shown twice.
func TestHelp(t *testing.T) {
	var text strings.Builder
	names := config.Names()
	flagLine := regexp.MustCompile(`(?m)^ {4,6}(?:-\w, )?--([a-z0-9-]+)`)
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		path := strings.Fields(c.CommandPath())[1:]
		var out bytes.Buffer
		if code := run(context.Background(), append(path, "--help"), &out, &out); code != exitOK {
			t.Errorf("%s --help: exit %d", c.CommandPath(), code)
		}
		help := out.String()
		own, shown, _ := strings.Cut(help, "\nSettings:\n")
		for _, m := range flagLine.FindAllStringSubmatch(own, -1) {
			if slices.Contains(names, strings.ReplaceAll(m[1], "-", "_")) {
				t.Errorf("%s --help shows the setting %s among the command's own flags", c.CommandPath(), m[1])
			}
		}
		for _, m := range flagLine.FindAllStringSubmatch(shown, -1) {
			if m[1] != "config" && !slices.Contains(names, strings.ReplaceAll(m[1], "-", "_")) {
				t.Errorf("%s --help shows the flag %s among the settings", c.CommandPath(), m[1])
			}
		}
		for _, s := range config.Settings() {
			n := len(regexp.MustCompile(`(?m)^    \S.* `+s.Env()+`$`).FindAllString(shown, -1))
			if n > 1 || n == 0 && c.Name() == "serve" {
				t.Errorf("%s --help shows %s %d times", c.CommandPath(), s.Env(), n)
			}
		}
		for _, name := range strings.Fields(c.Annotations[config.ShownSettings]) {
			if !slices.Contains(names, name) {
				t.Errorf("%s shows %s, which is not a setting", c.CommandPath(), name)
			}
		}
		if c.Runnable() && !c.HasSubCommands() && c.HasParent() && c.Parent().Name() != "completion" && c.Name() != "version" &&
			c.Example == "" {
			t.Errorf("%s has no example", c.CommandPath())
		}
		fmt.Fprintf(&text, "$ %s --help\n%s\n", c.CommandPath(), help)
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	root := rootCommand()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	walk(root)
	compareGolden(t, "help.txt", text.String())
}

// TestSettingsHaveAGroup holds that each setting is of one group that help shows, and that a kind or a unit of its value is named.
func TestSettingsHaveAGroup(t *testing.T) {
	seen := map[string]int{}
	config.ByGroup(config.Settings(), func(_ string, of []config.Setting) {
		for _, s := range of {
			seen[s.Name]++
		}
	})
	for _, s := range config.Settings() {
		if seen[s.Name] != 1 {
			t.Errorf("%s is in %d groups of settingGroups: its group tag is %q", s.Name, seen[s.Name], s.Group)
		}
		if s.Arg == "" || s.Help == "" {
			t.Errorf("%s has no help or no kind of value: give the tags help and arg", s.Name)
		}
	}
	keys := map[string]bool{}
	for _, g := range config.Groups {
		if keys[g.Key] {
			t.Errorf("group %s is listed twice", g.Key)
		}
		keys[g.Key] = true
	}
}

// TestConfigPrintIsReadBack holds that --config reads the output of `config print`, with the same values.
func TestConfigPrintIsReadBack(t *testing.T) {
	file := filepath.Join(t.TempDir(), "printed.yml")
	for name, args := range map[string][]string{
		"defaults": nil,
		"set": {"--kafka-brokers=a:1,b:2", "--kafka-metrics-topic=", "--rule-files=/etc/r: *.yml,#b", "--external-labels=a='b\"c",
			"--retention-1h=100h", "--retention-traces=90m,123456789B", "--memory-limit=1234567891", "--commit-interval=1s5ms",
			"--auth-enabled=false", "--dedup-spans", "--traces-sample=1e-7", "--dimensions=", "--kafka-group=true",
			"--kafka-sasl-username=07"},
	} {
		want, err := load(t, args, "WATCHINGCAT_TOKEN=wc_secret")
		require.NoError(t, err)
		var out bytes.Buffer
		require.NoError(t, printConfig(want, &out))
		if strings.Contains(out.String(), "wc_secret") {
			t.Errorf("%s: a secret is printed", name)
		}
		require.NoError(t, os.WriteFile(file, out.Bytes(), 0o600))
		got, err := load(t, []string{"--config", file})
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, out.String())
		}
		for _, s := range config.Settings() {
			if a, b := shown(want.Config, s), shown(got.Config, s); a != b && !s.Secret {
				t.Errorf("%s: %s was %q and is read back as %q", name, s.Name, a, b)
			}
			if n := strings.Count(out.String(), " "+s.Env()+";"); n != 1 {
				t.Errorf("%s: %s is printed %d times", name, s.Env(), n)
			}
		}
		if name == "defaults" {
			compareGolden(t, "config.yml", strings.ReplaceAll(out.String(), "origin: environment", "origin: default"))
		}
	}
	hidden, err := load(t, []string{"--elasticsearch-url=http://ann:hunter2@e:9200",
		"--alertmanager-urls=http://a:1,http://ann:hunter2@b:2"})
	require.NoError(t, err)
	var out bytes.Buffer
	if err := printConfig(hidden, &out); err != nil || strings.Contains(out.String(), "hunter2") {
		t.Errorf("passwords of URLs are printed: %v\n%s", err, out.String())
	}
}

// TestUnusedSettingsAreAccepted holds that one configuration serves every command: a flag of a setting that a command does not use is read,
// but not shown.
func TestUnusedSettingsAreAccepted(t *testing.T) {
	var out bytes.Buffer
	if code := run(context.Background(), strings.Fields("user add --retention-1h=7d --limit-edges=10"), &out, &out); code != exitUsage ||
		!strings.Contains(out.String(), "NAME is missing") {
		t.Errorf("exit %d: %s", code, out.String())
	}
	add, _, err := rootCommand().Find([]string{"user", "add"})
	if err != nil || !add.Flags().Lookup("retention-1h").Hidden || add.Flags().Lookup("kafka-brokers").Hidden {
		t.Errorf("flags that user add does not use are completed: %v", err)
	}
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		require.NoError(t, os.MkdirAll("testdata", 0o750))
		require.NoError(t, os.WriteFile(file, []byte(got), 0o600))
	}
	want, err := os.ReadFile(file)
	require.NoError(t, err)
	if got != string(want) {
		t.Errorf("%s differs; `go test ./cmd/watchingcat -update` writes it anew", file)
		a, b := strings.Split(string(want), "\n"), strings.Split(got, "\n")
		for i := range min(len(a), len(b)) {
			if a[i] != b[i] {
				t.Fatalf("line %d:\n  was %s\n  is  %s", i+1, a[i], b[i])
			}
		}
	}
}
