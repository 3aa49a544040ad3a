// Package otlp reads OTLP spans off the wire in place, and turns OTLP in JSON into protobuf.
package otlp
