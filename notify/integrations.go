package notify

import amnotify "github.com/prometheus/alertmanager/notify"

// integrations are those of every receiver of the configuration in force, by its name.
type integrations struct {
	of   map[string][]amnotify.Integration
	used map[string]bool // receivers that a route names
}
