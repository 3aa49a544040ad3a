package cli

import (
	"fmt"
	"io"
	"log/slog"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/evaluator/query"
	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/notify"
)

func rulesCommand() *cobra.Command {
	c := &cobra.Command{Use: "rules", Short: "Check, test and backtest Prometheus rule files", Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() }}
	c.AddCommand(&cobra.Command{
		Use: "check FILE...", Short: "Check rule files and print when each rule is evaluated", Args: needArgs("FILE..."),
		Long: "Check the syntax of Prometheus rule files, and print for each rule whether it is evaluated at the newest event time or once the data " +
			"of every partition is complete, with the reason.",
		Example: "  watchingcat rules check rules/*.yml",
		RunE: func(c *cobra.Command, args []string) error {
			sources, err := rules.LoadFiles(args, slog.New(slog.DiscardHandler))
			if err != nil {
				return err
			}
			if err := rules.Check(sources); err != nil {
				return err
			}
			for _, s := range sources {
				if err := describe(c.OutOrStdout(), s); err != nil {
					return err
				}
			}
			return nil
		},
	}, rulesTestCommand(), rulesBacktestCommand(), rulesDiffCommand())
	return c
}

// describe says of each alert when it is notified: at the newest event time, or once every partition has been read to there.
func describe(out io.Writer, s rules.Source) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for _, g := range s.Groups {
		for _, r := range g.Rules {
			name, frontier, reason := r.Record, "complete", "recording rules wait until all data is there"
			if r.Alert != "" {
				expr, err := query.NewParser().ParseExpr(r.Expr)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", s.Name, r.Alert, err)
				}
				class := query.Classify(expr)
				name, frontier, reason = r.Alert, string(class.Frontier), class.Reason
			}
			fmt.Fprintf(w, "%s\t%s\t%s\tat %s: %s\n", s.Name, g.Name, name, frontier, reason)
		}
	}
	return w.Flush()
}

// checkFiles reads every file that the settings name.
func checkFiles(c config.Config) error {
	if err := c.Kafka().Check(); err != nil {
		return config.Usage("%v", err)
	}
	if _, err := rules.LoadFiles(c.RuleFiles, slog.New(slog.DiscardHandler)); err != nil {
		return config.Usage("%sRULE_FILES: %v", config.EnvPrefix, err)
	}
	if _, err := app.Forward(&c); err != nil {
		return err
	}
	if _, err := app.RemoteWrite(&c); err != nil {
		return err
	}
	if c.AlertmanagerConfig == "" {
		return nil
	}
	if _, err := notify.LoadConfig(c.AlertmanagerConfig); err != nil {
		return config.Usage("%sALERTMANAGER_CONFIG: %v", config.EnvPrefix, err)
	}
	return nil
}
