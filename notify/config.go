package notify

import (
	"log/slog"
	"sync"

	amconfig "github.com/prometheus/alertmanager/config"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/matcher/compat"
	"github.com/prometheus/alertmanager/timeinterval"
)

// intervalsOf are the named time intervals of a configuration.
func intervalsOf(am *amconfig.Config) map[string][]timeinterval.TimeInterval {
	out := map[string][]timeinterval.TimeInterval{}
	for _, t := range am.MuteTimeIntervals {
		out[t.Name] = t.TimeIntervals
	}
	for _, t := range am.TimeIntervals {
		out[t.Name] = t.TimeIntervals
	}
	return out
}

// initMatchers sets how Alertmanager parses matchers, which is global there.
var initMatchers sync.Once

// LoadConfig reads an alertmanager.yml.
func LoadConfig(file string) (*amconfig.Config, error) {
	initCompat(slog.New(slog.DiscardHandler))
	return amconfig.LoadFile(file)
}

// ParseConfig reads an alertmanager.yml from memory; paths in it are relative to the working directory.
func ParseConfig(text string) (*amconfig.Config, error) {
	initCompat(slog.New(slog.DiscardHandler))
	return amconfig.Load(text)
}

func initCompat(log *slog.Logger) {
	initMatchers.Do(func() { compat.InitFromFlags(log, featurecontrol.NoopFlags{}) })
}
