// Package live pushes views to clients as they change: over WebSockets, as event streams, and log lines as a tail.
//
// A Hub computes each view and filter once for all clients that look at it. A client that does not keep up is cut off, never waited for.
package live
