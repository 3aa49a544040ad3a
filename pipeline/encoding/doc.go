// Package encoding turns the records of topics into OTLP protobuf, in whatever encoding they were written. It is a function of records.
package encoding
