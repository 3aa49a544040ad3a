//go:build tools

// Package jaeger pins the version of Jaeger that setup.sh builds.
package jaeger

import (
	_ "github.com/jaegertracing/jaeger/cmd/jaeger"
)
