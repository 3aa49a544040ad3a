// Package caller is about who makes a request: credentials and roles (Gate), logins, users and tokens (Accounts), the audit trail (Trail,
// Auditor), connections (Connections), and the metrics, the span and the log line of each request (Requests).
//
// A Caller is in the context of each request from Requests.Observe on; Gate.Authorize fills in whose credential it has.
package caller
