package kafka

import "github.com/twmb/franz-go/pkg/sasl"

// Mechanism is the SASL mechanism of the settings.
func Mechanism(c Config) (sasl.Mechanism, error) { return c.sasl() }
