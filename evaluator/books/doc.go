// Package books holds what users make over HTTP: rules, in groups as the ruler API has them, service level objectives, dashboards, and the
// views of pages that they save.
//
// RuleBook and SLOBook check, tag and store objects of the configuration topic, and give them as sources of rules. SLO makes the rules of
// an objective as Google's SRE workbook describes. Templates (NoData, Baseline) make rules of a few values.
//
// DashboardBook stores dashboards, which are documents: panels with PromQL. FromGrafana makes one of Grafana's JSON and lists what it could not take.
//
// Rule: a book refuses what could not be evaluated when it is saved; a change names the tag of the version that it replaces.
package books
