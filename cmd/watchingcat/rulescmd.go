package main

import (
	"fmt"
	"log/slog"

	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/evaluator"
	"github.com/gaurav/watchingcat/notify"
)

func rulesCommand() *cobra.Command {
	c := &cobra.Command{Use: "rules", Short: "Work with Prometheus rule files", Args: cobra.NoArgs, RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(&cobra.Command{
		Use: "check FILE...", Short: "Check rule files and say when each rule is told", Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			sources, err := evaluator.LoadFiles(args, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			for _, s := range sources {
				n := 0
				for _, g := range s.Groups {
					n += len(g.Rules)
				}
				fmt.Fprintf(c.OutOrStdout(), "%s: %d groups, %d rules\n", s.Name, len(s.Groups), n)
			}
			return nil
		},
	})
	return c
}

// checkFiles reads every file that the settings name.
func checkFiles(c Config) error {
	if _, err := evaluator.LoadFiles(c.RuleFiles, slog.New(slog.DiscardHandler)); err != nil {
		return usage("%sRULE_FILES: %v", envPrefix, err)
	}
	if c.AlertmanagerConfig == "" {
		return nil
	}
	if _, err := notify.LoadConfig(c.AlertmanagerConfig); err != nil {
		return usage("%sALERTMANAGER_CONFIG: %v", envPrefix, err)
	}
	return nil
}
