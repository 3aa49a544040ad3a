// Package jaeger answers Jaeger's HTTP APIs: the one without a version that its page uses, /api/v3, and the metrics of its Monitor tab.
package jaeger
