// Package views folds telemetry into materialized views and reads them back. It does no I/O but through the storage.KV handed
// in, starts no goroutine and never reads the clock: time enters with records and as arguments.
package views
