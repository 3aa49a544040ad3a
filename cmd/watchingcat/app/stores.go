package app

import (
	"net/url"

	"github.com/gaurav/watchingcat/api/older"
	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/storage/raw"
)

// rawStores are what answers for what the views do not hold; each is nil where it is not set up.
type rawStores struct {
	jaeger        *raw.Jaeger
	prometheus    *raw.Prometheus
	elasticsearch *raw.Elasticsearch
	cache         *raw.Cache
}

// openStores makes the readers of the stores. None is asked before a query needs it: one that is down delays no start.
func openStores(c *config.Config, m *raw.Metrics, room *raw.Room) (stores rawStores, err error) {
	if c.JaegerURL+c.PrometheusURL+c.ElasticURL == "" {
		return stores, nil
	}
	o := raw.Options{Metrics: m, Room: room}
	if o.Transport, err = c.Transport(); err != nil {
		return stores, err
	}
	if o.Cache, err = raw.NewCache(string(c.RedisURL), o.Metrics); err != nil {
		return stores, config.Usage("%sREDIS_URL: %v", config.EnvPrefix, err)
	}
	stores.cache = o.Cache
	if c.JaegerURL != "" {
		if stores.jaeger, err = raw.OpenJaeger(c.JaegerURL, o); err != nil {
			return stores, config.Usage("%sJAEGER_URL: %v", config.EnvPrefix, err)
		}
	}
	if c.PrometheusURL != "" {
		if stores.prometheus, err = raw.OpenPrometheus(c.PrometheusURL, o); err != nil {
			return stores, config.Usage("%sPROMETHEUS_URL: %v", config.EnvPrefix, err)
		}
	}
	if c.ElasticURL != "" {
		if stores.elasticsearch, err = raw.OpenElasticsearch(c.ElasticURL, c.ElasticIndex, o); err != nil {
			return stores, config.Usage("%sELASTICSEARCH_URL: %v", config.EnvPrefix, err)
		}
	}
	return stores, nil
}

// answers is what the API asks. A nil pointer must not become an interface that is not nil.
func (r *rawStores) answers() (s older.Stores) {
	if r.jaeger != nil {
		s.Traces = r.jaeger
	}
	if r.elasticsearch != nil {
		s.Logs = r.elasticsearch
	}
	s.Metrics = r.prometheus != nil
	s.States = r.states
	return s
}

func (r *rawStores) states() (list []raw.Status) {
	if r.jaeger != nil {
		list = append(list, r.jaeger.Status())
	}
	if r.prometheus != nil {
		list = append(list, r.prometheus.Status())
	}
	if r.elasticsearch != nil {
		list = append(list, r.elasticsearch.Status())
	}
	if s, ok := r.cache.Status(); ok {
		list = append(list, s)
	}
	return list
}

// link is an address for browsers: what it takes to ask a store is nothing that they may see.
func link(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	u.User = nil
	return u.String()
}
