//go:build tools

// Package tools keeps Jaeger's HotROD in go.mod; setup.sh builds it.
package tools

import _ "github.com/jaegertracing/jaeger/examples/hotrod"
