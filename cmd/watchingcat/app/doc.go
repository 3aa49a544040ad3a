// Package app wires state, views, pipeline, rules, notifications and the API into one process.
package app
