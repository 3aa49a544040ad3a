// Package mcp serves the Model Context Protocol under /mcp: assistants ask what an SRE asks, with the tools listed in tools.go.
//
// Each tool is one request to the HTTP API, made in the process with the caller's credential: roles, limits, validation, warnings and freshness
// are those of the API. What it answers is shortened to what an assistant can read (shorten.go).
package mcp
