package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/broker"
)

// Exit codes, as promtool's.
const (
	exitOK = iota
	exitFailure
	exitUsage
	exitLint

	exitInterrupted = 130 // as shells do on SIGINT
)

// exitCodes are the exit codes as the manual explains them.
var exitCodes = []struct {
	code    int
	meaning string
}{
	{exitOK, "Success"},
	{exitFailure, "The command failed"},
	{exitUsage, "The flags, the settings or the input are wrong"},
	{exitLint, "The comparison found differences"},
	{exitInterrupted, "The command was interrupted"},
}

// Main runs the command line of the process and returns its exit code. released is the version of a released binary.
func Main(released string) int {
	app.Release = released
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once, as a kill would: nothing is lost by it
	return run(ctx, os.Args[1:], os.Stdout, os.Stderr)
}

// run executes one command line and returns the exit code.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	return runWith(ctx, args, os.Stdin, stdout, stderr)
}

func runWith(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	root := rootCommand()
	root.SetArgs(args)
	root.SetIn(stdin)
	root.SetOut(stdout)
	root.SetErr(stderr)
	c, err := root.ExecuteContextC(ctx)
	var u config.UsageError
	var stopped interruptedError
	var lint lintError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &stopped):
		fmt.Fprintln(stderr, "watchingcat:", err)
		return exitInterrupted
	case errors.As(err, &lint):
		fmt.Fprintln(stderr, "watchingcat:", err)
		return exitLint
	case errors.As(err, &u):
		fmt.Fprintln(stderr, "watchingcat:", withHint(err.Error(), c))
		return exitUsage
	}
	fmt.Fprintln(stderr, "watchingcat:", err)
	return exitFailure
}

func rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "watchingcat",
		Short: "Live views, alerts and answers from the OpenTelemetry data in Kafka",
		Long: "WatchingCat reads the data that OpenTelemetry Collectors export to Kafka. It keeps exact live views of it (services, operations, the " +
			"service map), evaluates Prometheus rules on them as data arrives, and serves them over HTTP.",
		Example: "  watchingcat demo                                  everything in one process; needs no Kafka\n" +
			"  watchingcat serve --kafka-brokers kafka-1:9092    read from your Kafka\n" +
			"  watchingcat config print                          every setting with its value and meaning",
		SilenceUsage: true, SilenceErrors: true,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return config.Usage("%v", err) })
	root.SetHelpFunc(func(c *cobra.Command, _ []string) { writeHelp(c.OutOrStdout(), c) })
	root.SetHelpCommand(helpCommand())
	root.AddCommand(serveCommand(), demoCommand(), loadCommand(), replayCommand(), backupCommand(), restoreCommand(), migrateCommand(), rulesCommand(), explainCommand(), verifyCommand(),
		doctorCommand(), healthCommand(), tokenCommand(), userCommand(), configCommand(), manCommand(), versionCommand())
	return root
}

func versionCommand() *cobra.Command {
	return &cobra.Command{Use: "version", Short: "Print the version", Args: noArgs, RunE: func(c *cobra.Command, _ []string) error {
		fmt.Fprintln(c.OutOrStdout(), "watchingcat", app.Version())
		return nil
	}}
}

func serveCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "serve",
		Short: "Run the server: read Kafka, keep the views, evaluate rules, serve the API and the page",
		Long: "Run the server: read Kafka, keep the views, evaluate rules, send notifications, and serve the API and the page. On SIGHUP it reloads " +
			"the rule files, alertmanager.yml, the file of alertmanager_send_config and the certificate. On SIGTERM it finishes requests, commits " +
			"and exits.\n\nIf OTEL_EXPORTER_OTLP_ENDPOINT is set, the server exports spans of its own work by OTLP; the other OTEL_ variables of the SDK apply too.",
		Example: "  watchingcat serve --kafka-brokers kafka-1:9092,kafka-2:9092 --rule-files '/etc/watchingcat/rules/*.yml'\n" +
			"  watchingcat serve --config watchingcat.yml",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			lines := app.NewQueuedLog(app.LogFormat(cfg.Config, c.ErrOrStderr()))
			return errors.Join(serve(c.Context(), cfg, app.NewLogger(cfg.Config, lines)), lines.Close())
		},
	}
	config.AddSettings(c, config.AllShown, config.Names()...)
	return c
}

func serve(ctx context.Context, cfg *config.Loaded, log zerolog.Logger) (err error) {
	a, err := app.Open(ctx, cfg.Config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	run, closeBroker, err := withBroker(cfg, a.Run)
	if err != nil {
		return err
	}
	defer closeBroker()
	log.Info().Str("url", cfg.Scheme()+"://"+a.Addr()).Str("data", cfg.DataDir).Str("version", app.Version()).Msg("listening")
	giveUp := app.GiveUpAfter(ctx, cfg.ShutdownDelay+app.ShutdownTimeout, func() {
		log.Error().Dur("timeout", app.ShutdownTimeout).
			Msg("shutdown timed out; committed data is kept, the rest is read again at the next start")
		os.Exit(exitFailure)
	})
	defer giveUp()
	stop := onHangup(func() {
		if err := a.Reload(ctx); err != nil {
			log.Error().Err(err).Msg("reload failed; the previous version stays active")
			return
		}
		log.Info().Msg("rules, notification settings and certificate reloaded")
	})
	defer stop()
	go underSystemd(ctx, cfg.Scheme()+"://"+a.Addr(), log)
	if err := run(ctx); err != nil {
		return err
	}
	log.Info().Msg("stopped; everything read is committed")
	return nil
}

// withBroker opens the embedded broker where it is set. What it returns runs fn and the broker beside it; the broker outlives fn. The caller
// holds the data folder.
func withBroker(cfg *config.Loaded, fn func(context.Context) error) (run func(context.Context) error, end func(), err error) {
	if !cfg.Embedded {
		return fn, func() {}, nil
	}
	b, err := broker.Open(broker.Config{Dir: filepath.Join(cfg.DataDir, "broker"), Addr: cfg.EmbeddedAddr, Sync: true, Keep: cfg.EmbeddedKeep.Kept(),
		Bytes: cfg.EmbeddedKeep.Bytes, Topics: []string{cfg.KafkaTracesTopic, cfg.KafkaMetricsTopic, cfg.KafkaLogsTopic, cfg.KafkaDeadLetterTopic}})
	if err != nil {
		return nil, nil, fmt.Errorf("%w (%sEMBEDDED_ADDR chooses another address)", err, config.EnvPrefix)
	}
	return func(ctx context.Context) error {
		retaining, stop := context.WithCancel(context.WithoutCancel(ctx))
		done := make(chan error, 1)
		go func() { done <- b.Run(retaining) }()
		err := fn(ctx)
		stop()
		return errors.Join(err, <-done)
	}, b.Close, nil
}

// onHangup calls fn at each SIGHUP until the returned function is called.
func onHangup(fn func()) (stop func()) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	done := make(chan struct{})
	go func() {
		for {
			select {
			case <-hup:
				fn()
			case <-done:
				return
			}
		}
	}()
	return func() {
		signal.Stop(hup)
		close(done)
	}
}
