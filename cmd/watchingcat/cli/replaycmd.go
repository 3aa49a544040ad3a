package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/replay"
	"github.com/gaurav/watchingcat/storage"
)

func replayCommand() *cobra.Command {
	var q replayFlags
	c := &cobra.Command{
		Use:   "replay",
		Short: "Rebuild the views from the topics while the server keeps answering",
		Long: "Read the topics again into a new version of the views, in parallel to the live one, and swap when the new version has caught up. Queries " +
			"are answered throughout. History older than the topics stays in the old version. With --to, the new version answers only for the whole " +
			"hours between --from and --to, and the live version stays in use.\n\n" +
			"The running server does the work. If no server answers, the command works on the data folder itself.",
		Example: "  watchingcat replay --from -6h\n" +
			"  watchingcat replay --from 2026-11-01T00:00:00Z --to 2026-11-02T00:00:00Z\n" +
			"  watchingcat replay --pause ID",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if err := q.check(); err != nil {
				return err
			}
			return q.run(c.Context(), cfg, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	config.AddSettings(c, config.LocalNote, slices.Concat(config.ServerSettings, []string{"data_dir"})...)
	f := c.Flags()
	f.StringVar(&q.from, "from", "", "start with records of this time: RFC 3339 `time`, Unix seconds, or -6h for six hours ago; default: the oldest record of the topics")
	f.StringVar(&q.to, "to", "", "end with records of this `time`; the live version stays in use")
	f.StringSliceVar(&q.views, "views", nil, "take only the past of these `views` from the new version, comma-separated; default: all")
	f.BoolVar(&q.keep, "keep", false, "keep the replaced version")
	f.StringVar(&q.pause, "pause", "", "pause the replay with this `ID`")
	f.StringVar(&q.resume, "resume", "", "resume the replay with this `ID`")
	f.StringVar(&q.cancel, "cancel", "", "cancel the replay with this `ID`, or delete the version that a finished replay kept")
	return c
}

type replayFlags struct {
	from, to, pause, resume, cancel string
	views                           []string
	keep                            bool
}

func (q *replayFlags) check() error {
	n := 0
	for _, id := range []string{q.pause, q.resume, q.cancel} {
		if id != "" {
			n++
		}
	}
	if n > 1 || n == 1 && (q.from != "" || q.to != "" || q.keep || len(q.views) > 0) {
		return config.Usage("--pause, --resume and --cancel cannot be combined with each other or with other flags of replay: give only one")
	}
	return nil
}

func (q *replayFlags) request() rest.ReplayRequest {
	r := rest.ReplayRequest{Keep: &q.keep}
	if from := timeAgo(q.from, time.Now()); from != "" {
		r.From = &from
	}
	if to := timeAgo(q.to, time.Now()); to != "" {
		r.To = &to
	}
	if len(q.views) > 0 {
		r.Views = &q.views
	}
	return r
}

// replayer does what the command asks for: the server, or this process on the data folder.
type replayer interface {
	begin(ctx context.Context, r rest.ReplayRequest) (rest.Replay, error)
	get(ctx context.Context, id string) (rest.Replay, error)
	do(ctx context.Context, what, id string) error // pause, resume or cancel
	// interrupted says what an interrupt left behind.
	interrupted(id string) string
}

func (q *replayFlags) run(ctx context.Context, cfg *config.Loaded, out, progress io.Writer) (err error) {
	server, err := remoteOf(cfg)
	if err != nil {
		return err
	}
	var w replayer = &remoteReplayer{server}
	if !serverAnswers(ctx, &cfg.Config) {
		local, err := openLocalReplayer(ctx, cfg, app.NewLogger(cfg.Config, app.LogFormat(cfg.Config, progress)).Level(zerolog.WarnLevel),
			false)
		if errors.Is(err, storage.ErrInUse) {
			return fmt.Errorf("%w, by a process that does not answer at %s (%sHTTP_ADDR)", err, cfg.HTTPAddr, config.EnvPrefix)
		}
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, local.close()) }()
		fmt.Fprintln(progress, "no server answers at", cfg.HTTPAddr+": working on the data folder", cfg.DataDir)
		w = local
	}
	switch {
	case q.pause != "":
		err = w.do(ctx, "pause", q.pause)
	case q.cancel != "":
		err = w.do(ctx, "cancel", q.cancel)
	case q.resume != "":
		if err = w.do(ctx, "resume", q.resume); err == nil {
			return watchReplay(ctx, w, q.resume, out, progress)
		}
	default:
		var r rest.Replay
		if r, err = w.begin(ctx, q.request()); err == nil {
			return watchReplay(ctx, w, r.Id, out, progress)
		}
	}
	if err == nil {
		fmt.Fprintf(out, "replay %s %sd\n", q.pause+q.cancel, map[bool]string{true: "pause", false: "cancele"}[q.pause != ""])
	}
	return err
}

// watchReplay shows a replay until it has ended. An interrupt ends the watching.
func watchReplay(ctx context.Context, w replayer, id string, out, progress io.Writer) error {
	show := newReplayProgress(progress)
	defer show.close()
	begun := time.Now()
	t := time.NewTicker(500 * time.Millisecond)
	defer t.Stop()
	for {
		r, err := w.get(ctx, id)
		if err != nil && ctx.Err() == nil {
			return err
		}
		if err == nil {
			show.update(&r)
			switch r.State {
			case rest.ReplayStateSwapped:
				show.close()
				fmt.Fprintf(out, "replay %s swapped in: %d records in %v, view version %d\n", id, r.Records,
					time.Since(begun).Round(100*time.Millisecond), *r.Version)
				return nil
			case rest.ReplayStateFailed:
				return fmt.Errorf("replay %s failed: %s", id, *r.Error)
			case rest.ReplayStateCanceled:
				return fmt.Errorf("replay %s was canceled", id)
			case rest.ReplayStatePaused:
				show.close()
				fmt.Fprintf(out, "replay %s is paused; `watchingcat replay --resume %s` continues it\n", id, id)
				return nil
			}
		}
		select {
		case <-t.C:
		case <-ctx.Done():
			show.close()
			return interruptedError{w.interrupted(id)}
		}
	}
}

// interruptedError ends the process with 130, as a shell does on SIGINT.
type interruptedError struct{ msg string }

func (e interruptedError) Error() string { return e.msg }

// remoteReplayer asks the running server.
type remoteReplayer struct{ remote }

const replaysPath = "/api/v1/replays"

func (r *remoteReplayer) begin(ctx context.Context, q rest.ReplayRequest) (out rest.Replay, err error) {
	return out, r.call(ctx, http.MethodPost, replaysPath, q, &out)
}

func (r *remoteReplayer) get(ctx context.Context, id string) (out rest.Replay, err error) {
	return out, r.call(ctx, http.MethodGet, replaysPath+"/"+id, nil, &out)
}

func (r *remoteReplayer) do(ctx context.Context, what, id string) error {
	if what == "cancel" {
		return r.call(ctx, http.MethodDelete, replaysPath+"/"+id, nil, nil)
	}
	return r.call(ctx, http.MethodPost, replaysPath+"/"+id+"/"+what, nil, nil)
}

func (r *remoteReplayer) interrupted(id string) string {
	return fmt.Sprintf("no longer watching; replay %[1]s continues in the server (`watchingcat replay --pause %[1]s` pauses it, --cancel drops it)", id)
}

// localReplayer works on the data folder itself.
type localReplayer struct {
	folder *app.ReplayFolder
	stop   context.CancelFunc
	done   chan error
}

// openLocalReplayer opens the data folder; blank opens it although the stored views cannot be read.
func openLocalReplayer(ctx context.Context, cfg *config.Loaded, log zerolog.Logger, blank bool) (*localReplayer, error) {
	f, err := app.OpenReplays(ctx, cfg.Config, log, blank)
	if err != nil {
		return nil, err
	}
	l := &localReplayer{folder: f, done: make(chan error, 1)}
	// An interrupt pauses the replay first, so that it does not go on by itself in the next process.
	run, stop := context.WithCancel(context.WithoutCancel(ctx))
	l.stop = stop
	go func() { l.done <- f.Generations.Run(run) }()
	return l, nil
}

func (l *localReplayer) begin(_ context.Context, q rest.ReplayRequest) (rest.Replay, error) {
	var r status.ReplayRequest
	for text, to := range map[*string]*time.Time{q.From: &r.From, q.To: &r.To} {
		if text == nil {
			continue
		}
		t, err := answer.ParseTime("time", *text)
		if err != nil {
			return rest.Replay{}, config.Usage("%v", err)
		}
		*to = t
	}
	if q.Views != nil {
		r.Views = *q.Views
	}
	r.Keep = q.Keep != nil && *q.Keep
	got, err := l.folder.Answers().Start(r)
	if errors.Is(err, status.ErrReplayInvalid) {
		err = config.Usage("%v", err)
	}
	return status.ReplayAnswer(got), err
}

func (l *localReplayer) get(_ context.Context, id string) (rest.Replay, error) {
	select {
	case err := <-l.done:
		l.done <- err
		return rest.Replay{}, cmpErr(err, "reading the topics ended")
	default:
	}
	r, err := l.folder.Answers().Get(id)
	return status.ReplayAnswer(r), err
}

func cmpErr(err error, otherwise string) error {
	if err != nil {
		return err
	}
	return errors.New(otherwise)
}

func (l *localReplayer) do(ctx context.Context, what, id string) error {
	r := l.folder.Answers()
	switch what {
	case "pause":
		return r.Pause(id)
	case "resume":
		if p, err := r.Get(id); err == nil && p.State == string(replay.Running) {
			return nil // a kill left it running, and opening the folder went on with it
		}
		return r.Resume(id)
	}
	return r.Cancel(ctx, id)
}

func (l *localReplayer) interrupted(id string) string {
	if err := l.folder.Generations.PauseReplay(id); err != nil {
		return fmt.Sprintf("interrupted; `watchingcat replay --resume %s` continues it (%v)", id, err)
	}
	return fmt.Sprintf("replay %[1]s is paused; `watchingcat replay --resume %[1]s` continues it", id)
}

func (l *localReplayer) close() error {
	l.stop()
	return errors.Join(<-l.done, l.folder.Close())
}

// replayProgress shows a replay: bars on a terminal, else a line now and then.
type replayProgress struct {
	w    io.Writer
	bars *mpb.Progress
	by   map[string]*mpb.Bar
	line atomic.Pointer[string]
	last time.Time
	over bool
}

// lineEvery is how often a line is written where bars cannot be drawn.
const lineEvery = 10 * time.Second

func newReplayProgress(w io.Writer) *replayProgress {
	p := &replayProgress{w: w, by: map[string]*mpb.Bar{}}
	if f, ok := w.(*os.File); ok && isatty.IsTerminal(f.Fd()) {
		p.bars = mpb.New(mpb.WithOutput(w), mpb.WithWidth(48), mpb.WithRefreshRate(250*time.Millisecond))
	}
	return p
}

func (p *replayProgress) update(r *rest.Replay) {
	if p.over {
		return
	}
	if p.bars == nil {
		p.plain(replayLine(r))
		return
	}
	for i := range r.Partitions {
		v := &r.Partitions[i]
		p.bar(fmt.Sprintf("%s/%d", v.Topic, v.Partition), min(v.Position, v.End)-v.Start, v.End-v.Start)
	}
	p.below(replayLine(r))
}

// one shows a single bar and a line below it; off a terminal the line alone.
func (p *replayProgress) one(name string, done, all int64, line string) {
	if p.over {
		return
	}
	if p.bars == nil {
		p.plain(line)
		return
	}
	if all > 0 {
		p.bar(name, min(done, all), all)
	}
	p.below(line)
}

// plain writes a line now and then.
func (p *replayProgress) plain(line string) {
	if now := time.Now(); now.Sub(p.last) >= lineEvery {
		p.last = now
		fmt.Fprintln(p.w, line)
	}
}

func (p *replayProgress) bar(name string, done, all int64) {
	bar := p.by[name]
	if bar == nil {
		bar = p.bars.AddBar(max(1, all), mpb.PrependDecorators(decor.Name(name, decor.WCSyncSpaceR)),
			mpb.AppendDecorators(decor.Percentage(decor.WCSyncSpace)))
		p.by[name] = bar
	}
	if all == 0 {
		done = 1
	}
	bar.SetCurrent(done)
}

func (p *replayProgress) below(line string) {
	p.line.Store(&line)
	if p.by[""] == nil {
		p.by[""] = p.bars.New(1, mpb.NopStyle(), mpb.BarPriority(1<<20),
			mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return *p.line.Load() })))
	}
}

func (p *replayProgress) close() {
	if p.over || p.bars == nil {
		p.over = true
		return
	}
	p.over = true
	for _, b := range p.by {
		b.Abort(false)
	}
	p.bars.Wait()
}

// replayLine is how far a replay is, in one line.
func replayLine(r *rest.Replay) string {
	var b strings.Builder
	fmt.Fprintf(&b, "replay %s %s: %.1f %%, %d records, %.0f a second", r.Id, r.State, 100*r.Progress, r.Records, r.Rate)
	if r.EtaS != nil && r.State == rest.ReplayStateRunning {
		fmt.Fprintf(&b, ", %v to go", (time.Duration(*r.EtaS*1000) * time.Millisecond).Round(time.Second))
	}
	if r.Waiting {
		b.WriteString(", waiting for the live views, which lag")
	}
	return b.String()
}
