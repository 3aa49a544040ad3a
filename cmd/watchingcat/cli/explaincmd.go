package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/evaluator/alert"
)

func explainCommand() *cobra.Command {
	var q explainFlags
	c := &cobra.Command{
		Use:   "explain [SERVICE]",
		Short: "Say why a service is worse than before",
		Long: "Compare what a service and everything below it did at a time with a time before, and list what may be at fault by all signals: calls, log " +
			"lines and metrics. Without SERVICE all calls from outside are looked at. The running server does the work.",
		Example: "  watchingcat explain frontend\n" +
			"  watchingcat explain frontend --at 2026-11-01T03:10:00Z --window 10m",
		Args: cobra.MaximumNArgs(1),
		RunE: withServer(func(c *cobra.Command, server *remote, args []string) error {
			if len(args) > 0 {
				q.service = args[0]
			}
			return q.run(c.Context(), server, c.OutOrStdout())
		}),
	}
	config.AddSettings(c, config.LocalNote, config.ServerSettings...)
	f := c.Flags()
	f.StringVar(&q.at, "at", "", "end of the time that is looked at: RFC 3339 `time`, Unix seconds, or -6h for six hours ago; default: the newest time of the views")
	f.DurationVar(&q.window, "window", 5*time.Minute, "`length` of the time that is looked at")
	f.DurationVar(&q.baseline, "baseline", 0, "`length` of the time before that it is compared with; default: the hour before, or the same hour of the day or the week before if that was calmer")
	return c
}

// baselineWords say how a baseline was chosen, where the user did not.
var baselineWords = map[string]string{alert.BaselineHourBefore: ", the hour before", alert.BaselineDayBefore: ", the same hour of the day before",
	alert.BaselineWeekBefore: ", the same hour of the week before"}

type explainFlags struct {
	service, at      string
	window, baseline time.Duration
}

func (q *explainFlags) run(ctx context.Context, server *remote, out io.Writer) error {
	if q.window <= 0 || q.baseline < 0 {
		return config.Usage("--window and --baseline must be longer than 0")
	}
	at, err := q.moment(ctx, server)
	if err != nil {
		return err
	}
	unix := func(t time.Time) string { return strconv.FormatFloat(float64(t.UnixMilli())/1e3, 'f', -1, 64) }
	from := at.Add(-q.window)
	p := url.Values{"end": {unix(at)}, "start": {unix(from)}}
	if q.baseline > 0 {
		p.Set("compare_start", unix(from.Add(-q.baseline)))
	}
	if q.service != "" {
		p.Set("service", q.service)
	}
	var e rest.Explanation
	if err := server.call(ctx, http.MethodGet, "/api/v1/explain?"+p.Encode(), nil, &e); err != nil {
		return err
	}
	return printEvidence(out, &e.Data)
}

// moment is the end of the time that is looked at.
func (q *explainFlags) moment(ctx context.Context, server *remote) (time.Time, error) {
	if q.at == "" {
		var list rest.ServiceList
		err := server.call(ctx, http.MethodGet, "/api/v1/services?limit=1", nil, &list)
		if err == nil && list.Meta.UpTo == nil {
			err = fmt.Errorf("the views hold nothing yet")
		}
		if err != nil {
			return time.Time{}, err
		}
		return *list.Meta.UpTo, nil
	}
	s := timeAgo(q.at, time.Now())
	if sec, err := strconv.ParseFloat(s, 64); err == nil {
		return time.UnixMilli(int64(sec * 1e3)), nil
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, config.Usage("--at: %q is no time: give RFC 3339, Unix seconds, or -6h for six hours ago", q.at)
	}
	return t, nil
}

// printEvidence prints the cause, and the candidates with their terms.
func printEvidence(out io.Writer, v *alert.Evidence) error {
	stamp := func(t time.Time) string { return t.UTC().Format(time.RFC3339) }
	switch {
	case v.Cause != nil:
		fmt.Fprintf(out, "%s (confidence %.0f %%)\n", v.Cause.Sentence(), v.Confidence*100)
	case len(v.Candidates) == 0:
		fmt.Fprintf(out, "Nothing at or below %s is worse than before.\n", cmp.Or(v.Service, "the calls from outside"))
	default:
		fmt.Fprintf(out, "No cause stands out (confidence %.0f %%): look at the service itself, or at its traffic.\n", v.Confidence*100)
	}
	fmt.Fprintf(out, "%s to %s, compared with %s to %s%s\n", stamp(v.From), stamp(v.At), stamp(v.Baseline), stamp(v.BaselineEnd),
		baselineWords[v.BaselineReason])
	w := tabwriter.NewWriter(out, 0, 4, 2, ' ', 0)
	for i, c := range v.Candidates {
		if i == 0 {
			fmt.Fprintf(w, "\ncandidate\tscore\tsignal\tbefore\tnow\tunit\tof\n")
		}
		for k, t := range c.Terms {
			name, score := "", ""
			if k == 0 {
				name, score = c.Name, strconv.FormatFloat(c.Score, 'f', 2, 64)
			}
			fmt.Fprintf(w, "%s\t%s\t%s\t%.3g\t%.3g\t%s\t%s\n", name, score, t.Signal, t.Before, t.Now, t.Unit, t.Subject)
		}
	}
	for _, m := range v.Missing {
		fmt.Fprintf(w, "missing: %s\n", m)
	}
	return w.Flush()
}
