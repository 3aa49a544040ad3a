// Package lines decides which log lines a query selects.
package lines
