package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

func verifyCommand() *cobra.Command {
	var q verifyFlags
	c := &cobra.Command{
		Use:   "verify",
		Short: "Count a past range of the topics again and compare it with the views",
		Long: "Read the records of a past range from Kafka a second time, count them with code that shares nothing with the views but the counting rules, " +
			"and compare every cell of spans, calls and log lines. The running server does the work. The exit code is 1 if a cell differs.\n\n" +
			"With " + config.EnvPrefix + "VERIFY_SHARE the server compares past minutes all the time.",
		Example: "  watchingcat verify\n" +
			"  watchingcat verify --from -2h --to -1h",
		Args: noArgs,
		RunE: withServer(func(c *cobra.Command, server *remote, _ []string) error {
			return q.run(c.Context(), server, c.OutOrStdout())
		}),
	}
	config.AddSettings(c, config.LocalNote, config.ServerSettings...)
	f := c.Flags()
	f.StringVar(&q.from, "from", "", "start of the range: RFC 3339 `time`, Unix seconds, or -6h for six hours ago; default: 10 minutes before its end")
	f.StringVar(&q.to, "to", "", "end of the range, as --from; default: the newest `time` that can be verified")
	return c
}

type verifyFlags struct{ from, to string }

func (q *verifyFlags) run(ctx context.Context, server *remote, out io.Writer) error {
	in := rest.VerificationRequest{}
	if from := timeAgo(q.from, time.Now()); from != "" {
		in.From = &from
	}
	if to := timeAgo(q.to, time.Now()); to != "" {
		in.To = &to
	}
	var v rest.Verification
	if err := server.call(ctx, http.MethodPost, "/api/v1/verifications", &in, &v); err != nil {
		return err
	}
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for v.State == rest.VerificationStateRunning {
		select {
		case <-ctx.Done():
			err := server.call(context.WithoutCancel(ctx), http.MethodDelete, "/api/v1/verifications/"+v.Id, nil, nil)
			return errors.Join(fmt.Errorf("verification %s: %w", v.Id, ctx.Err()), err)
		case <-t.C:
		}
		if err := server.call(ctx, http.MethodGet, "/api/v1/verifications/"+v.Id, nil, &v); err != nil {
			return err
		}
	}
	return printVerification(out, &v)
}

func printVerification(out io.Writer, v *rest.Verification) error {
	if v.State == rest.VerificationStateFailed && v.Error != nil {
		return fmt.Errorf("the range could not be verified: %s", *v.Error)
	}
	if v.State == rest.VerificationStateCanceled {
		return fmt.Errorf("verification %s was canceled", v.Id)
	}
	if v.From != nil && v.To != nil {
		fmt.Fprintf(out, "event time  %s to %s\n", v.From.UTC().Format(time.RFC3339), v.To.UTC().Format(time.RFC3339))
	}
	fmt.Fprintf(out, "minutes     %d compared", v.Compared)
	if v.Skipped > 0 {
		fmt.Fprintf(out, ", %d skipped: the topics no longer hold every record of them", v.Skipped)
	}
	fmt.Fprintf(out, "\nrecords     %d read, %.1f s of work\n", v.Records, v.BusyS)
	fmt.Fprintf(out, "cells       %d compared, %d differ", v.Cells, v.Differing)
	if v.Uncertain > 0 {
		fmt.Fprintf(out, ", %d not compared: the order of arrival may decide how they count, or the calls exceed the memory", v.Uncertain)
	}
	fmt.Fprintln(out)
	for _, d := range v.Differences {
		fmt.Fprintf(out, "  %s  %s  %s: the topics have %s, the views %s\n", d.Bucket.UTC().Format(time.RFC3339), d.View, d.Series, d.Topics, d.Views)
	}
	if n := v.Differing - int64(len(v.Differences)); n > 0 {
		fmt.Fprintf(out, "  and %d more\n", n)
	}
	if v.Differing > 0 {
		return errors.New("the views differ from the topics")
	}
	return nil
}
