package app

import (
	"io"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/rs/zerolog/diode"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// NewLogger returns the logger of the settings that writes to w.
func NewLogger(c config.Config, w io.Writer) zerolog.Logger {
	zerolog.TimeFieldFormat = time.RFC3339Nano
	level, err := zerolog.ParseLevel(c.LogLevel)
	if err != nil {
		level = zerolog.InfoLevel
	}
	return zerolog.New(w).Level(level).With().Timestamp().Logger().Hook(traceHook{})
}

// LogFormat is a writer of lines as the settings want them to look.
func LogFormat(c config.Config, w io.Writer) io.Writer {
	if c.LogFormat == "console" {
		return zerolog.ConsoleWriter{Out: w, TimeFormat: "15:04:05.000"}
	}
	return w
}

// queuedLines is how many lines wait at most for whoever reads standard error.
const queuedLines = 8192

// linesDropped counts the process's log lines that could not be written.
var linesDropped = prometheus.NewCounter(prometheus.CounterOpts{Name: "watchingcat_log_lines_dropped_total",
	Help: "Log lines at info and below that were dropped because standard error was not read fast enough."})

// queuedLog writes lines at info and below behind a bounded queue: each request has one, and a reader of standard error that stands
// still must not make requests wait. Warnings and errors are written at once and are never dropped.
type queuedLog struct {
	io.Writer
	queue diode.Writer
}

// NewQueuedLog returns a queue before out.
func NewQueuedLog(w io.Writer) *queuedLog {
	open := struct{ io.Writer }{w} // closing the queue does not close it
	return &queuedLog{w, diode.NewWriter(open, queuedLines, 0, func(missed int) { linesDropped.Add(float64(missed)) })}
}

// WriteLevel is what zerolog calls.
func (l *queuedLog) WriteLevel(level zerolog.Level, line []byte) (int, error) {
	if level <= zerolog.InfoLevel {
		return l.queue.Write(line)
	}
	return l.Write(line)
}

// Close writes what waits.
func (l *queuedLog) Close() error { return l.queue.Close() }
