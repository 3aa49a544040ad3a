// Package health judges from numbers how a service is doing: its last minute against its baseline. It reads nothing and knows no clock
// and no rule.
package health
