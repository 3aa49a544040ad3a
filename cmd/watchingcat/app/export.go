package app

import (
	"cmp"
	"net/url"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/evaluator/export"
	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/kept"
)

// RemoteWrite is what is sent by remote write, as the settings say; nil: nothing.
func RemoteWrite(c *config.Config) (*export.Config, error) {
	if c.RemoteWriteURL == "" {
		return nil, nil
	}
	wrong := func(name string, err error) error {
		return config.Usage("%sREMOTE_WRITE_%s: %v", config.EnvPrefix, name, err)
	}
	x := &export.Config{Topic: c.RemoteWriteTopic, Group: c.KafkaGroup + "-remote-write", Interval: c.RemoteWriteInterval,
		Delay: export.DelayFor(c.PairingWindow), QueueBytes: int64(c.RemoteWriteQueue)}
	u, err := url.Parse(c.RemoteWriteURL)
	if err != nil {
		return nil, wrong("URL", err)
	}
	x.Receiver = &export.Receiver{URL: u, Username: c.RemoteWriteUsername, Password: string(c.RemoteWritePassword),
		Bearer: string(c.RemoteWriteBearer)}
	if x.Receiver.Headers, err = c.WriteHeaders(); err != nil {
		return nil, wrong("HEADERS", err)
	}
	if x.Receiver.Transport, err = c.Transport(); err != nil {
		return nil, err
	}
	if x.Match, err = export.ParseMatch(c.RemoteWriteMatch); err != nil {
		return nil, wrong("MATCH", err)
	}
	if x.Labels, err = c.SeriesLabels(); err != nil {
		return nil, wrong("LABELS", err)
	}
	return x, nil
}

// keptTraces is which traces are written to a topic; nil: none.
func keptTraces(c *config.Config) *kept.Config {
	if c.KafkaKeptTopic == "" {
		return nil
	}
	traces, _, _ := c.Topics()
	return &kept.Config{Topics: traces, Decode: encoding.Decoder{Signal: encoding.Spans, Encoding: c.KafkaTracesEncoding}, To: c.KafkaKeptTopic,
		Group: c.KafkaGroup + "-kept",
		Keep:  kept.Keep{Slow: c.TracesSlow, Sample: c.TracesSample, Wait: c.KafkaKeptWait, MaxBytes: int(cmp.Or(int64(c.KafkaKeptBuffer), memoryLimit(c).kept()))}}
}
