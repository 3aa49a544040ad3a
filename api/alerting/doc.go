// Package alerting answers the part of REST about rules, objectives, alerts and their notifications, and evaluates rules over the past.
package alerting
