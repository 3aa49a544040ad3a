// Package logs reads OTLP log records as the views need them: from Kafka records on their way in, and from the blocks in which
// records are kept on their way out. Both see the same time, severity and text of a line.
package logs
