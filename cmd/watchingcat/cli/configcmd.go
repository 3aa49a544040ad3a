package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"strings"

	"github.com/spf13/cobra"
	"go.yaml.in/yaml/v3"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Print or check the settings", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	printing := &cobra.Command{
		Use: "print", Short: "Print every setting with its value, meaning, default and origin", Args: noArgs,
		Long: "Print every setting, by group: its value in effect, what it does, its kind or unit, its default, its environment variable and the " +
			"origin of the value. The output is YAML that --config reads. Secrets, and URLs with a password, are not printed.",
		Example: "  watchingcat config print\n  watchingcat config print --config old.yml --limit-services 20000 > new.yml",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			return printConfig(cfg, c.OutOrStdout())
		},
	}
	checking := &cobra.Command{
		Use: "check", Short: "Check the settings, the rule files and alertmanager.yml without starting", Args: noArgs,
		Long: "Check the settings and the files that they name: the certificates of Kafka, the rule files, alertmanager.yml, the file of alertmanager_send_config and the selectors of remote_write_match. Nothing " +
			"is started and no other process is contacted. Exit code 2 reports a mistake.",
		Example: "  watchingcat config check --config watchingcat.yml",
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if err := checkFiles(cfg.Config); err != nil {
				return err
			}
			fmt.Fprintln(c.OutOrStdout(), "settings are valid")
			return nil
		},
	}
	config.AddSettings(printing, config.NoneShown)
	config.AddSettings(checking, config.NoneShown)
	c.AddCommand(printing, checking)
	return c
}

// print writes the settings as a file that --config reads. What must not be shown, and what is not set, is a comment.
func printConfig(l *config.Loaded, out io.Writer) error {
	w := bufio.NewWriter(out)
	fmt.Fprint(w, "# Settings of WatchingCat, by group. --config reads this file. An environment variable takes precedence over the\n"+
		"# file, a flag (--kafka-brokers for kafka_brokers) over both.\n")
	defaults := config.Default()
	config.ByGroup(config.Settings(), func(title string, of []config.Setting) {
		fmt.Fprintf(w, "\n# ---- %s ----\n", title)
		for _, s := range of {
			about := []string{s.Arg}
			if d := defaultOf(defaults, s); d != "" {
				about = append(about, strings.Trim(d, " ()"))
			}
			about = append(about, s.Env(), "origin: "+cmp.Or(l.Origin[s.Name], "default"))
			fmt.Fprintf(w, "\n%s\n# %s\n", wrapText(s.Help, "# "), strings.Join(about, "; "))
			if text, ok := yamlOf(l, s); ok {
				fmt.Fprintf(w, "%s: %s\n", s.Name, text)
			} else {
				fmt.Fprintf(w, "#%s: %s\n", s.Name, text)
			}
		}
	})
	return w.Flush()
}

// yaml is a setting's value as YAML on one line, and whether it can be read back.
func yamlOf(l *config.Loaded, s config.Setting) (text string, ok bool) {
	v := reflect.ValueOf(l.Config).Field(s.Index)
	if v.Kind() == reflect.Pointer && !v.IsNil() {
		v = v.Elem()
	}
	if masked := shown(l.Config, s); s.Secret || v.Kind() == reflect.Pointer || masked != fmt.Sprint(v.Interface()) {
		return cmp.Or(masked, "(not set)"), false
	}
	switch v.Kind() {
	case reflect.Bool, reflect.Int, reflect.Uint64, reflect.Float64:
		return fmt.Sprint(v.Interface()), true
	case reflect.Slice:
		if v.Len() == 0 {
			return "[]", true
		}
		b, err := json.Marshal(v.Interface()) // a list on one line, whatever its texts hold
		return string(b), err == nil
	}
	b, err := yaml.Marshal(settingText(v))
	if text = strings.TrimSpace(string(b)); strings.Contains(text, "\n") {
		b, err = json.Marshal(settingText(v))
		text = string(b)
	}
	return text, err == nil
}

// shown is a setting's value as text, without secrets.
func shown(c config.Config, s config.Setting) string {
	v := reflect.ValueOf(c).Field(s.Index)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "(not set)"
		}
		v = v.Elem()
	}
	if list, ok := v.Interface().([]string); ok {
		masked := make([]string, len(list))
		for i, text := range list {
			masked[i] = redacted(text)
		}
		return fmt.Sprint(masked)
	}
	return redacted(fmt.Sprint(v.Interface()))
}

// redacted is a text without the password that it has if it is a URL.
func redacted(text string) string {
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}
