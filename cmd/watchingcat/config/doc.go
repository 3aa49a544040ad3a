// Package config holds the settings: their names, defaults and bounds, and how file, environment and flags are put together.
package config
