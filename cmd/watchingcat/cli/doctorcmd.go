package cli

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/spf13/cobra"

	"github.com/gaurav/watchingcat/cmd/watchingcat/app"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/doctor"
)

func doctorCommand() *cobra.Command {
	var asJSON bool
	var records int
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at Kafka, its topics and newest records, and at this machine, and say what to change",
		Long: "Look at the brokers, the topics and their settings, the newest records, the lag and this machine, and say what to change, each with the " +
			"reason. The command changes nothing in Kafka: it creates no topic, joins no group and commits no offset. Exit code 1 reports a failure: " +
			"WatchingCat cannot read, or data is lost.",
		Example: "  watchingcat doctor --kafka-brokers kafka-1:9092\n" +
			"  watchingcat doctor --config watchingcat.yml --json",
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cfg, err := config.Load(c.Flags(), os.Environ())
			if err != nil {
				return err
			}
			if err := cfg.NeedBrokers(); err != nil {
				return err
			}
			if records < 1 || records > 100_000 {
				return config.Usage("--records must be between 1 and 100000")
			}
			var r doctor.Report
			examined := doctored(&cfg.Config)
			examined.SampleRecords = records
			if err := doctor.Examine(c.Context(), examined, &r); err != nil {
				return err
			}
			app.Machine(&cfg.Config).Examine(&r)
			if asJSON {
				e := json.NewEncoder(c.OutOrStdout())
				e.SetIndent("", "  ")
				e.SetEscapeHTML(false)
				err = e.Encode(&r)
			} else {
				err = r.Print(c.OutOrStdout())
			}
			if n := r.Count(doctor.Failure); n > 0 && err == nil {
				err = fmt.Errorf("failures: %d", n)
			}
			return err
		},
	}
	config.AddSettings(c, config.OthersUsed, append(config.BrokerSettings, "kafka_traces_topic", "kafka_metrics_topic", "kafka_logs_topic", "data_dir")...)
	c.Flags().BoolVar(&asJSON, "json", false, "print the findings as JSON")
	c.Flags().IntVar(&records, "records", 200, "look at this `number` of the newest records of each partition")
	return c
}

func doctored(c *config.Config) doctor.Config {
	d := doctor.Config{Kafka: c.Kafka(), DeadLetter: c.KafkaDeadLetterTopic, ConfigTopic: c.KafkaConfigTopic, Group: c.KafkaGroup,
		Dimensions: c.Dimensions, ReadyMaxLag: c.ReadyMaxLag, LimitOperations: c.LimitOperations}
	for _, t := range []doctor.Topic{{Name: c.KafkaTracesTopic, Signal: doctor.Spans, Encoding: c.KafkaTracesEncoding},
		{Name: c.KafkaMetricsTopic, Signal: doctor.Metrics, Encoding: c.KafkaMetricsEncoding},
		{Name: c.KafkaLogsTopic, Signal: doctor.Logs, Encoding: c.KafkaLogsEncoding}} {
		if t.Name != "" {
			d.Topics = append(d.Topics, t)
		}
	}
	if c.KafkaKeptTopic != "" {
		d.Kept = append(d.Kept, c.KafkaKeptTopic)
	}
	if c.RemoteWriteURL != "" {
		d.Queues = append(d.Queues, c.RemoteWriteTopic)
	}
	return d
}
