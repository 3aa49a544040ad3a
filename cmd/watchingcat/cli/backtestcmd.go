package cli

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/evaluator/backtest"
	"github.com/gaurav/watchingcat/evaluator/rules"
)

// rulesTestCommand runs promtool's unit tests of rules.
func rulesTestCommand() *cobra.Command {
	return &cobra.Command{
		Use: "test FILE...", Short: "Run unit tests of rules in promtool's format", Args: needArgs("FILE..."),
		Long:    "Run unit test files as `promtool test rules` does, with the evaluator of live rules and a virtual clock.",
		Example: "  watchingcat rules test rules_test.yml",
		RunE: func(c *cobra.Command, args []string) error {
			failed := 0
			for _, f := range args {
				err := backtest.UnitTest(c.Context(), f)
				if err == nil {
					fmt.Fprintln(c.OutOrStdout(), f+": SUCCESS")
					continue
				}
				failed++
				fmt.Fprintf(c.OutOrStdout(), "%s: FAILED\n  %s\n", f, strings.ReplaceAll(err.Error(), "\n", "\n  "))
			}
			if failed > 0 {
				return fmt.Errorf("%d of %d files of tests failed", failed, len(args))
			}
			return nil
		},
	}
}

// trialFlags say over which past rules are evaluated.
type trialFlags struct {
	from, to, step, output string
	topics                 bool
	thresholds             []float64
	fors                   []string
}

func (t *trialFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVar(&t.from, "from", "", "start of the range: RFC 3339 `time`, Unix seconds, or -6h for six hours ago; default: six hours before --to")
	f.StringVar(&t.to, "to", "", "`time` of the end of the range, in the same formats as --from; default: now")
	f.StringVar(&t.step, "step", "", "`duration` between evaluations; default: the width of the buckets that are kept at --from")
	f.BoolVar(&t.topics, "topics", false,
		"read the records of the topics again and evaluate on each, as live rules are, instead of on the buckets of the views; slower")
	f.StringVarP(&t.output, "output", "o", "table", "output `format`: table or json")
}

func (t *trialFlags) check() error {
	if t.output != "table" && t.output != "json" {
		return config.Usage("--output: %q is neither table nor json", t.output)
	}
	if t.topics && t.step != "" {
		return config.Usage("--step has no meaning with --topics: rules are evaluated as records come")
	}
	return nil
}

func (t *trialFlags) variants() *[]rest.BacktestVariant {
	var out []rest.BacktestVariant
	for _, x := range t.thresholds {
		out = append(out, rest.BacktestVariant{Threshold: &x})
	}
	for _, x := range t.fors {
		out = append(out, rest.BacktestVariant{For: &x})
	}
	if len(out) == 0 {
		return nil
	}
	return &out
}

func (t *trialFlags) run(ctx context.Context, r *remote, file string, progress io.Writer) (*rest.BacktestAnswer, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	if _, err := rules.ParseSource(file, text, nil); err != nil {
		return nil, err
	}
	rules := string(text)
	in := rest.BacktestRequest{Yaml: &rules, Variants: t.variants()}
	from, to := timeAgo(t.from, time.Now()), timeAgo(t.to, time.Now())
	for _, x := range []struct {
		text string
		to   **string
	}{{from, &in.Start}, {to, &in.End}, {t.step, &in.Step}} {
		if x.text != "" {
			*x.to = &x.text
		}
	}
	if t.topics {
		return backtestTopics(ctx, r, in, progress)
	}
	out := &rest.BacktestAnswer{}
	return out, r.call(ctx, http.MethodPost, "/api/v1/alerts/backtest", in, out)
}

// timeAgo makes a time of a negative duration; everything else stays as it is.
func timeAgo(text string, now time.Time) string {
	if d, err := time.ParseDuration(text); err == nil && d < 0 {
		return now.Add(d).UTC().Format(time.RFC3339Nano)
	}
	return text
}

// remote checks the flags and is the server that holds the views: the running one, else this process on the data folder, until closed.
func (t *trialFlags) remote(c *cobra.Command) (*remote, func() error, error) {
	if err := t.check(); err != nil {
		return nil, nil, err
	}
	cfg, err := config.Load(c.Flags(), os.Environ())
	if err != nil {
		return nil, nil, err
	}
	if !serverAnswers(c.Context(), &cfg.Config) {
		return openLocalServer(c.Context(), cfg, c.ErrOrStderr())
	}
	r, err := remoteOf(cfg)
	return &r, func() error { return nil }, err
}

// backtestTopics starts a backtest over topics and waits for it. An interrupt cancels it.
func backtestTopics(ctx context.Context, r *remote, in rest.BacktestRequest, progress io.Writer) (*rest.BacktestAnswer, error) {
	const path = "/api/v1/alerts/backtests"
	var b rest.TopicBacktest
	if err := r.call(ctx, http.MethodPost, path, in, &b); err != nil {
		return nil, err
	}
	show := newReplayProgress(progress)
	defer show.close()
	t := time.NewTicker(300 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-ctx.Done():
			show.close()
			err := r.call(context.WithoutCancel(ctx), http.MethodDelete, path+"/"+b.Id, nil, nil)
			return nil, errors.Join(interruptedError{"the backtest is canceled"}, err)
		}
		if err := r.call(ctx, http.MethodGet, path+"/"+b.Id, nil, &b); err != nil {
			if ctx.Err() != nil {
				continue
			}
			return nil, err
		}
		switch b.State {
		case rest.TopicBacktestStateDone:
			return b.Result, nil
		case rest.TopicBacktestStateFailed:
			return nil, fmt.Errorf("the backtest over the topics failed: %s", value(b.Error))
		}
		show.one("records", b.Records, b.Total, topicLine(&b))
	}
}

func topicLine(b *rest.TopicBacktest) string {
	line := fmt.Sprintf("backtest over the topics: %.1f %%, %d of %d records, %.0f a second", 100*b.Progress, b.Records, b.Total, b.Rate)
	if b.EtaS != nil {
		line += fmt.Sprintf(", %v to go", seconds(*b.EtaS))
	}
	return line
}

func rulesBacktestCommand() *cobra.Command {
	var t trialFlags
	c := &cobra.Command{
		Use: "backtest FILE", Short: "Evaluate a rule file over the past and print the alerts and notifications it would have caused",
		Args: needArgs("FILE"), Long: "Evaluate a Prometheus rule file over the past with the evaluator of live rules. The command prints when alerts would have been pending " +
			"and firing, and which notifications would have been sent. --threshold and --for also try other values.\n\n" +
			"The running server does the work over the views that it keeps. If no server answers, the command uses the data folder itself.",
		Example: "  watchingcat rules backtest --from -6h rules.yml\n" +
			"  watchingcat rules backtest --topics --from -1h --threshold 0.02 --threshold 0.1 rules.yml",
		RunE: func(c *cobra.Command, args []string) (err error) {
			r, closed, err := t.remote(c)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closed()) }()
			a, err := t.run(c.Context(), r, args[0], c.ErrOrStderr())
			if err != nil {
				return err
			}
			if t.output == "json" {
				return writeJSON(c.OutOrStdout(), a)
			}
			return showBacktest(c.OutOrStdout(), a)
		},
	}
	config.AddSettings(c, config.LocalNote, slices.Concat(config.ServerSettings, []string{"data_dir"})...)
	t.add(c)
	c.Flags().Float64SliceVar(&t.thresholds, "threshold", nil,
		"also evaluate with this `number` as the threshold of each alert's condition; repeatable")
	c.Flags().StringSliceVar(&t.fors, "for", nil, "also evaluate with this `duration` as the 'for' of each alert; repeatable")
	return c
}

func rulesDiffCommand() *cobra.Command {
	var t trialFlags
	c := &cobra.Command{
		Use: "diff OLD NEW", Short: "Compare the alerts of two versions of a rule file over the past", Args: needArgs("OLD", "NEW"),
		Long: "Evaluate both files over the same past, as `watchingcat rules backtest` does, and list the alerts that would have fired differently. " +
			"Exit code 3 reports differences.",
		Example: "  watchingcat rules diff --from -6h old.yml new.yml",
		RunE: func(c *cobra.Command, args []string) (err error) {
			r, closed, err := t.remote(c)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closed()) }()
			before, err := t.run(c.Context(), r, args[0], c.ErrOrStderr())
			if err != nil {
				return err
			}
			if t.to == "" { // the same past for both, though time goes on
				t.to = before.End.Format(time.RFC3339Nano)
			}
			if t.from == "" {
				t.from = before.Start.Format(time.RFC3339Nano)
			}
			after, err := t.run(c.Context(), r, args[1], c.ErrOrStderr())
			if err != nil {
				return err
			}
			rows := diffBacktests(before, after)
			if t.output == "json" {
				err = writeJSON(c.OutOrStdout(), rows)
			} else {
				err = showDiff(c.OutOrStdout(), rows, before, after)
			}
			if err == nil && len(rows) > 0 {
				err = lintError{fmt.Sprintf("%d alerts differ", len(rows))}
			}
			return err
		},
	}
	config.AddSettings(c, config.LocalNote, slices.Concat(config.ServerSettings, []string{"data_dir"})...)
	t.add(c)
	return c
}

func writeJSON(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	return e.Encode(v)
}

func seconds(s float64) time.Duration {
	return time.Duration(s * float64(time.Second)).Round(time.Second)
}

func labelText(l map[string]string) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(l)) {
		if name != "alertname" {
			out = append(out, fmt.Sprintf("%s=%q", name, l[name]))
		}
	}
	return "{" + strings.Join(out, ", ") + "}"
}

func showBacktest(out io.Writer, a *rest.BacktestAnswer) error {
	fmt.Fprintf(out, "%s to %s, %d evaluations every %v\n", a.Start.Format(time.RFC3339), a.End.Format(time.RFC3339), a.Evaluations,
		time.Duration(a.StepS*float64(time.Second)).Round(time.Millisecond))
	fmt.Fprintf(out, "fired %d times for %v in total, longest %v; pending %v; flaps %d; notifications %d\n", a.Summary.Fired,
		seconds(a.Summary.FiringS), seconds(a.Summary.LongestS), seconds(a.Summary.PendingS), a.Summary.Flaps, len(a.Notifications))
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for i := range a.Series {
		s := &a.Series[i]
		fmt.Fprintf(w, "\n%s %s\n", s.Rule, labelText(s.Labels))
		for _, t := range s.Transitions {
			fmt.Fprintf(w, "  %s\t%s\t%.4g\n", t.Time.Format(time.RFC3339), t.To, float64(t.Value))
		}
	}
	if len(a.Notifications) > 0 {
		fmt.Fprintln(w, "\nNotifications")
	}
	for _, n := range a.Notifications {
		fmt.Fprintf(w, "  %s\t%s/%s\t%d firing, %d resolved\t%s\n", n.Time.Format(time.RFC3339), n.Receiver, n.Integration, len(n.Firing),
			len(n.Resolved), n.Reason)
	}
	if len(a.Variants) > 0 {
		fmt.Fprintln(w, "\nVariant\tfired\tfiring\tpending\tflaps\tnotifications")
	}
	for _, v := range a.Variants {
		name := "for " + value(v.For)
		if v.Threshold != nil {
			name = fmt.Sprintf("threshold %v", *v.Threshold)
		}
		fmt.Fprintf(w, "%s\t%d\t%v\t%v\t%d\t%d\n", name, v.Summary.Fired, seconds(v.Summary.FiringS), seconds(v.Summary.PendingS),
			v.Summary.Flaps, v.Notifications)
	}
	for _, x := range a.Meta.Warnings {
		fmt.Fprintln(w, "warning:", x)
	}
	return w.Flush()
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// ruleDifference is one alert that two versions of rules would have treated differently. nil: it would not have been.
type ruleDifference struct {
	Rule   string                `json:"rule"`
	Labels map[string]string     `json:"labels"`
	Before *rest.BacktestSummary `json:"before"`
	After  *rest.BacktestSummary `json:"after"`
}

// diffBacktests compares by rule and labels.
func diffBacktests(before, after *rest.BacktestAnswer) []ruleDifference {
	by := map[string]*ruleDifference{}
	at := func(s *rest.BacktestSeries) *ruleDifference {
		key := s.Rule + labelText(s.Labels)
		if by[key] == nil {
			by[key] = &ruleDifference{Rule: s.Rule, Labels: s.Labels}
		}
		return by[key]
	}
	for i := range before.Series {
		at(&before.Series[i]).Before = &before.Series[i].Summary
	}
	for i := range after.Series {
		at(&after.Series[i]).After = &after.Series[i].Summary
	}
	out := []ruleDifference{}
	for _, d := range by {
		if d.Before == nil || d.After == nil || *d.Before != *d.After {
			out = append(out, *d)
		}
	}
	slices.SortFunc(out, func(a, b ruleDifference) int {
		return cmp.Or(cmp.Compare(a.Rule, b.Rule), cmp.Compare(labelText(a.Labels), labelText(b.Labels)))
	})
	return out
}

func showDiff(out io.Writer, rows []ruleDifference, before, after *rest.BacktestAnswer) error {
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	text := func(s *rest.BacktestSummary) string {
		if s == nil {
			return "-"
		}
		return fmt.Sprintf("%d times, %v firing, %v pending", s.Fired, seconds(s.FiringS), seconds(s.PendingS))
	}
	for _, d := range rows {
		fmt.Fprintf(w, "%s %s\t%s\t->\t%s\n", d.Rule, labelText(d.Labels), text(d.Before), text(d.After))
	}
	fmt.Fprintf(w, "notifications\t%d\t->\t%d\n", len(before.Notifications), len(after.Notifications))
	return w.Flush()
}

// lintError ends the process with 3, as promtool's.
type lintError struct{ msg string }

func (e lintError) Error() string { return e.msg }
