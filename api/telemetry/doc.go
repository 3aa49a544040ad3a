// Package telemetry answers the part of REST about what was observed: services and their map, what is derived from spans and logs, traces,
// log lines, and metrics.
package telemetry
