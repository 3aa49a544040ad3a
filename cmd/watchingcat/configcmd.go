package main

import (
	"cmp"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"text/tabwriter"

	"github.com/spf13/cobra"
)

func configCommand() *cobra.Command {
	c := &cobra.Command{Use: "config", Short: "Print or check the settings", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	printing := &cobra.Command{
		Use: "print", Short: "Print every setting, its value, where it came from and what it does; secrets are masked", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(w, "SETTING\tVALUE\tFROM\tMEANING")
			for _, s := range settings() {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", s.env(), shown(cfg.Config, s), cmp.Or(cfg.origin[s.name], "default"), s.help)
			}
			return w.Flush()
		},
	}
	checking := &cobra.Command{
		Use: "check", Short: "Check the settings, the rule files and alertmanager.yml without starting", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := loadConfig(c.Flags(), os.Environ())
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
	addFlags(printing.Flags())
	addFlags(checking.Flags())
	c.AddCommand(printing, checking)
	return c
}

// shown is a setting's value as text, without secrets.
func shown(c Config, s setting) string {
	v := reflect.ValueOf(c).Field(s.index)
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			return "(not set)"
		}
		v = v.Elem()
	}
	text := fmt.Sprint(v.Interface())
	if u, err := url.Parse(text); err == nil && u.User != nil {
		return u.Redacted()
	}
	return text
}
