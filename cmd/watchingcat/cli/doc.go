// Package cli is the command line: commands, their help, exit codes, and the demo. What a command does it does through the running server's
// API, or through package app.
package cli
