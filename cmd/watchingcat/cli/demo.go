package cli

import (
	"cmp"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/gaurav/watchingcat/api/auth"
	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/pipeline/broker"
	"github.com/gaurav/watchingcat/pipeline/receiver"
)

//go:embed demo/rules.yml
var demoRules string

//go:embed demo/alertmanager.yml
var demoAlertmanager string

const (
	// demoKeep is how long the demo's broker keeps records.
	demoKeep = 30 * time.Minute
	// demoGRPC and demoHTTP are the addresses of the demo's OTLP receivers, if none are set.
	demoGRPC, demoHTTP = "127.0.0.1:4317", "127.0.0.1:4318"
)

func demoCommand() *cobra.Command {
	var faults []string
	var empty bool
	c := &cobra.Command{
		Use:   "demo",
		Short: "Run a broker, a simulated shop and WatchingCat in one process; needs no Kafka",
		Long: "Run an in-process Kafka broker, a simulated shop and OTLP receivers that write to it, and WatchingCat itself. The state is kept in the " +
			"folder demo of data_dir; the next start continues from there. The page is at http_addr.",
		Example: "  watchingcat demo\n  watchingcat demo --data-dir /tmp/watchingcat --http-addr 127.0.0.1:9090\n" +
			"  watchingcat demo --faults database,pod",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if cfg.Origin["log_format"] == "" {
				cfg.LogFormat = "console"
			}
			if cfg.Origin["log_level"] == "" {
				cfg.LogLevel = "warn"
			}
			if len(cfg.KafkaBrokers) > 0 {
				return config.Usage("%sKAFKA_BROKERS is set, but the demo brings its own broker; `watchingcat serve` reads yours",
					config.EnvPrefix)
			}
			if err := cfg.Written(); err != nil {
				return err
			}
			turns, err := faultsNamed(faults)
			if err != nil {
				return err
			}
			return runDemo(c.Context(), cfg, turns, empty, c.OutOrStdout(), c.ErrOrStderr())
		},
	}
	config.AddSettings(c, "The demo uses the other settings of the server too, except those of the brokers. `watchingcat serve --help` lists them.",
		"data_dir", "http_addr", "otlp_grpc_addr", "otlp_http_addr", "rule_files", "alertmanager_config", "memory_limit", "log_level",
		"log_format")
	c.Flags().StringSliceVar(&faults, "faults", demoFaultNames(), "`kinds` of faults that come in turn: "+strings.Join(demoFaultNames(), ", ")+"; none: nothing breaks")
	c.Flags().BoolVar(&empty, "empty", false, "run without the simulated shop: only your own applications send, through the OTLP receivers")
	return c
}

// demoReceivers takes the addresses of the OTLP receivers out of the settings: in the demo a port that is taken is a warning.
func demoReceivers(cfg *config.Config) (grpc, http string) {
	grpc, http = cmp.Or(cfg.OTLPGRPCAddr, demoGRPC), cmp.Or(cfg.OTLPHTTPAddr, demoHTTP)
	cfg.OTLPGRPCAddr, cfg.OTLPHTTPAddr = "", ""
	return grpc, http
}

func runDemo(ctx context.Context, cfg *config.Loaded, faults faultTurns, empty bool, out, logs io.Writer) (err error) {
	dir := filepath.Join(cfg.DataDir, "demo")
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	log := app.NewLogger(cfg.Config, app.LogFormat(cfg.Config, logs))
	cfg.DataDir = filepath.Join(dir, "state")
	_, err = os.Stat(cfg.DataDir)
	first := errors.Is(err, os.ErrNotExist)
	in := app.NewInbox(out)
	inAddr, err := in.Listen("127.0.0.1:8091")
	if err != nil {
		return err
	}
	if err := demoFiles(dir, &cfg.Config, inAddr); err != nil {
		return err
	}
	port, err := freeport.Programs.Port()
	if err != nil {
		return err
	}
	grpcAddr, httpAddr := demoReceivers(&cfg.Config)
	// The app opens first: it holds the folder, so a second demo ends here and not in the broker's files.
	cfg.KafkaBrokers = []string{fmt.Sprintf("127.0.0.1:%d", port)}
	a, err := app.Open(ctx, cfg.Config, log)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	a.OnNoAdmin(func(ctx context.Context, accounts *auth.Auth) error { // only this process reaches its broker
		password := rand.Text()
		if _, err := accounts.CreateUser(ctx, "demo", "admin", password, auth.Admin, time.Now()); err != nil {
			return fmt.Errorf("make the demo's first admin: %w", err)
		}
		fmt.Fprintf(out, "\nAuthentication is on: log in as admin with the password %s\n", password)
		return nil
	})
	if first { // later starts keep what became of it
		a.OnSLOsRead(makeDemoSLO)
	}
	own, err := broker.Open(broker.Config{Dir: filepath.Join(dir, "broker"), Addr: cfg.KafkaBrokers[0], Keep: demoKeep,
		Topics: []string{cfg.KafkaTracesTopic, cfg.KafkaMetricsTopic, cfg.KafkaLogsTopic, cfg.KafkaDeadLetterTopic}})
	if err != nil {
		return err
	}
	defer own.Close()
	recv := &receiver.Receiver{Kafka: cfg.Kafka(), GRPCAddr: grpcAddr, HTTPAddr: httpAddr,
		TracesTopic: cfg.KafkaTracesTopic, MetricsTopic: cfg.KafkaMetricsTopic, LogsTopic: cfg.KafkaLogsTopic, Logger: log}
	load := &loader{kafka: cfg.Kafka(), topic: cfg.KafkaTracesTopic, logs: cfg.KafkaLogsTopic, metrics: cfg.KafkaMetricsTopic,
		seed: uint64(time.Now().UnixNano()), rate: demoRate, requests: 4, faults: faults.at,
		staging: demoStaging}

	// The broker outlives what writes to it and what reads from it.
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Run(gctx) })
	g.Go(func() error { return in.Serve(gctx) })
	g.Go(func() error { return recv.Run(gctx) })
	if !empty {
		g.Go(func() error { return load.run(gctx) })
	}
	g.Go(func() error { return own.Run(gctx) })
	fmt.Fprint(out, demoText(a.Addr(), inAddr, httpAddr, faults, dir))
	err = g.Wait()
	if ctx.Err() != nil {
		fmt.Fprintln(out, "\nStopped. `make demo` continues from here; delete", dir, "to start over.")
		return nil
	}
	return err
}

// demoFiles writes the demo's rules and notification settings where they can be edited, unless the user named own ones.
func demoFiles(dir string, cfg *config.Config, inbox string) error {
	write := func(name, text string) (string, error) {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return "", fmt.Errorf("write the demo's %s: %w", name, err)
		}
		return file, nil
	}
	var err error
	if len(cfg.RuleFiles) == 0 {
		var file string
		if file, err = write("rules.yml", demoRules); err != nil {
			return err
		}
		cfg.RuleFiles = []string{file}
	}
	if cfg.AlertmanagerConfig == "" {
		cfg.AlertmanagerConfig, err = write("alertmanager.yml", strings.ReplaceAll(demoAlertmanager, "INBOX", inbox))
	}
	return err
}

func demoText(addr, inbox, otlp string, faults faultTurns, dir string) string {
	_, httpPort, _ := net.SplitHostPort(otlp)
	return fmt.Sprintf(`WatchingCat demo: a shop of about twenty services writes %d spans a second.

  Page           http://%[2]s/
  Webhook inbox  http://%[3]s/          notifications arrive here, and in this terminal

%[6]s

Try:
  curl -s http://%[2]s/api/v1/services
  curl -s http://%[2]s/api/v1/servicemap
  curl -s http://%[2]s/prometheus/api/v1/query --data-urlencode 'query=sum by (service_name) (rate(traces_span_metrics_calls_total[1m]))'
  curl -s http://%[2]s/prometheus/api/v1/query --data-urlencode 'query=sum by (service_name) (rate(shop_orders_placed_total[1m]))'
  OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:%[4]s OTEL_EXPORTER_OTLP_PROTOCOL=http/protobuf  your-own-service
  Grafana: add a Prometheus data source with URL http://%[2]s/prometheus
  Edit %[5]s and send this process SIGHUP.

Ctrl-C stops it; the next start continues from there.

`, demoRate, addr, inbox, httpPort, filepath.Join(dir, "rules.yml"), faults.text())
}
