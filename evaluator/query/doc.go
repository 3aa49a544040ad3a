// Package query answers PromQL from the views.
//
// Queryable shows the views as the counters and histograms that the collector's connectors would have exported (families.go has their
// names); Prometheus' own engine evaluates. Sources joins the views with samples of OTLP metrics and with an older Prometheus. NewEngine
// and NewParser bound what one query may cost (bounds.go). Classify says at which frontier an alert's condition is evaluated. Selector and
// Recent are what rules use: which series of the views a selector may select, and the newest part of those series, held between
// evaluations.
//
// Rule: each sample of an answer comes from one source, by its time, and one query reads one version of the views.
package query
