package config

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"
	"golang.org/x/net/http/httpguts"
)

// SeriesLabels are added to series that are sent by remote write.
func (c *Config) SeriesLabels() (labels.Labels, error) {
	return namedValues(c.RemoteWriteLabels, "every series has a name", "")
}

// WriteHeaders are further headers of remote write.
func (c *Config) WriteHeaders() (map[string]string, error) {
	out := map[string]string{}
	for text := range strings.SplitSeq(string(c.RemoteWriteHeaders), ",") {
		if text = strings.TrimSpace(text); text == "" {
			continue
		}
		name, value, ok := strings.Cut(text, "=")
		name = http.CanonicalHeaderKey(strings.TrimSpace(name))
		switch { // the values are secrets: no error has one
		case !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value):
			return nil, fmt.Errorf("header %d is not name=value", len(out)+1)
		case name == "Authorization":
			return nil, fmt.Errorf("set %sREMOTE_WRITE_BEARER_TOKEN, or _USERNAME and _PASSWORD, in place of the header Authorization", EnvPrefix)
		case strings.HasPrefix(name, "Content-") || name == "X-Prometheus-Remote-Write-Version":
			return nil, fmt.Errorf("the header %s is that of the protocol", name)
		}
		out[name] = strings.TrimSpace(value)
	}
	return out, nil
}

// checkExport refuses settings of remote write and of kept traces that cannot work.
func (c *Config) checkExport() error {
	var errs []error
	if c.KafkaKeptTopic != "" && (c.KafkaKeptWait < time.Second || c.KafkaKeptWait > 10*time.Minute) {
		errs = append(errs, fmt.Errorf("%sKAFKA_KEPT_WAIT: %v is not between 1s and 10m", EnvPrefix, c.KafkaKeptWait))
	}
	if c.KafkaKeptTopic != "" && c.KafkaKeptBuffer != 0 && c.KafkaKeptBuffer < 1<<20 {
		errs = append(errs, fmt.Errorf("%sKAFKA_KEPT_BUFFER: %v is less than 1MiB", EnvPrefix, c.KafkaKeptBuffer))
	}
	if c.RemoteWriteURL == "" {
		return errors.Join(errs...)
	}
	bad := func(ok bool, name, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf("%sREMOTE_WRITE_%s: %s", EnvPrefix, name, fmt.Sprintf(format, args...)))
		}
	}
	u, err := url.Parse(c.RemoteWriteURL)
	bad(err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "", "URL", "it is not an http or https URL")
	bad(err != nil || u.User == nil, "URL", "it has credentials: give them in _USERNAME and _PASSWORD, or in _BEARER_TOKEN")
	bad(c.RemoteWriteInterval >= 10*time.Second && c.RemoteWriteInterval%(10*time.Second) == 0, "INTERVAL", "%v is no multiple of 10s", c.RemoteWriteInterval)
	bad(c.RemoteWriteQueue >= 1<<20, "QUEUE", "%v is less than 1MiB", c.RemoteWriteQueue)
	bad(c.RemoteWriteBearer == "" || c.RemoteWriteUsername == "", "BEARER_TOKEN", "it and _USERNAME exclude each other: unset one")
	bad(c.RemoteWritePassword == "" || c.RemoteWriteUsername != "", "PASSWORD", "it is set and _USERNAME is not")
	_, err = c.SeriesLabels()
	bad(err == nil, "LABELS", "%v", err)
	_, err = c.WriteHeaders()
	bad(err == nil, "HEADERS", "%v", err)
	return errors.Join(errs...)
}
