package notify

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/prometheus/common/model"
	promconfig "github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery"
	"go.yaml.in/yaml/v3"
)

// Forward says where alerts are sent.
type Forward struct {
	Alerting promconfig.AlertingConfig
	// Transport is how those given by URL are reached; nil: http.DefaultTransport. Those of a file have TLS settings of their own.
	Transport http.RoundTripper
	byURL     map[string]bool // hosts
}

// LoadForward makes it of URLs of Alertmanagers, and of a file with what Prometheus has under alerting; both may be empty.
func LoadForward(urls []string, file string) (*Forward, error) {
	f := &Forward{byURL: map[string]bool{}}
	if file != "" {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		if f.Alerting, err = parseAlerting(b, filepath.Dir(file)); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	for _, text := range urls {
		c, err := alertmanagerAt(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		f.Alerting.AlertmanagerConfigs = append(f.Alerting.AlertmanagerConfigs, c)
		for _, d := range c.ServiceDiscoveryConfigs {
			for _, g := range d.(discovery.StaticConfig) {
				for _, target := range g.Targets {
					f.byURL[string(target[model.AddressLabel])] = true
				}
			}
		}
	}
	if len(f.Alerting.AlertmanagerConfigs) == 0 {
		return nil, nil //nolint:nilnil // nothing is to be sent
	}
	return f, nil
}

// parseAlerting reads an alerting section, or a file that has one.
func parseAlerting(b []byte, dir string) (promconfig.AlertingConfig, error) {
	var top map[string]any
	if err := yaml.Unmarshal(b, &top); err != nil {
		return promconfig.AlertingConfig{}, err
	}
	if _, ok := top["alerting"]; !ok {
		top = map[string]any{"alerting": top}
	}
	text, err := yaml.Marshal(map[string]any{"alerting": top["alerting"]})
	if err != nil {
		return promconfig.AlertingConfig{}, err
	}
	c, err := promconfig.Load(string(text), slog.New(slog.DiscardHandler))
	if err != nil {
		return promconfig.AlertingConfig{}, err
	}
	for _, am := range c.AlertingConfig.AlertmanagerConfigs {
		am.HTTPClientConfig.SetDirectory(dir)
		for _, d := range am.ServiceDiscoveryConfigs {
			if _, ok := d.(discovery.StaticConfig); !ok {
				return promconfig.AlertingConfig{},
					fmt.Errorf("%s_sd_configs are not read here: list the Alertmanagers in static_configs", d.Name())
			}
		}
	}
	return c.AlertingConfig, nil
}

func alertmanagerAt(text string) (*promconfig.AlertmanagerConfig, error) {
	u, err := url.Parse(text)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("%q is not an http or https URL of an Alertmanager", text)
	}
	c := promconfig.DefaultAlertmanagerConfig
	c.Scheme, c.PathPrefix = u.Scheme, u.Path
	if u.User != nil {
		return nil, fmt.Errorf("the URL of %s has credentials: give them in WATCHINGCAT_ALERTMANAGER_SEND_CONFIG, as basic_auth", u.Host)
	}
	host := u.Host
	if u.Port() == "" {
		host += map[string]string{"http": ":80", "https": ":443"}[u.Scheme]
	}
	c.ServiceDiscoveryConfigs = discovery.Configs{discovery.StaticConfig{{Targets: []model.LabelSet{{model.AddressLabel: model.LabelValue(host)}}}}}
	return &c, nil
}
