// Package prom answers Prometheus' HTTP API over the views and samples, and Mimir's ruler API over the rules that users make.
package prom
