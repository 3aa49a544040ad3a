package app

import (
	"context"
	"fmt"
	"reflect"
	"time"

	"github.com/gaurav/watchingcat/api/status"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// installation is what the settings page shows of this process: no setting of its groups is secret.
func (a *App) installation() status.Installation {
	out := status.Installation{Started: time.Now()}
	now, first := reflect.ValueOf(a.cfg), reflect.ValueOf(config.Default())
	for _, s := range config.Settings() {
		if s.Secret || s.Name == "data_dir" || s.Group != "storage" && s.Group != "limits" {
			continue
		}
		value := func(of reflect.Value) string { return fmt.Sprint(of.Field(s.Index).Interface()) }
		out.Settings = append(out.Settings, status.Setting{Group: s.Group, Name: s.Env(), Value: value(now), Default: value(first), Help: s.Help})
	}
	add := func(name, address, setting string, probe func(ctx context.Context) error) {
		s := status.Store{Name: name, Setting: config.EnvPrefix + setting}
		if address != "" {
			s.Address, s.Probe = link(address), probe
		}
		out.Stores = append(out.Stores, s)
	}
	r := &a.stores
	add("jaeger", a.cfg.JaegerURL, "JAEGER_URL", func(ctx context.Context) error { return r.jaeger.Probe(ctx) })
	add("prometheus", a.cfg.PrometheusURL, "PROMETHEUS_URL", func(ctx context.Context) error { return r.prometheus.Probe(ctx) })
	add("elasticsearch", a.cfg.ElasticURL, "ELASTICSEARCH_URL", func(ctx context.Context) error { return r.elasticsearch.Probe(ctx) })
	return out
}
