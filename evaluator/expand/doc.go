// Package expand bounds what templates of alerts and of notifications may do: steps, queries, regular expressions and the text that they
// make.
//
// Prometheus and Alertmanager expand templates without a bound. Alerts expands the templates of a rule under an account before Prometheus
// does; Expansion has the functions for templates that Alertmanager expands, and Accounted makes a parsed template call them.
//
// Rule: an account counts before a function does something. What goes beyond a bound is an error that wraps ErrBound.
package expand
