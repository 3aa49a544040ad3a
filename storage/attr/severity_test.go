package attr

import (
	"slices"
	"strings"
	"testing"
)

// TestSeverityNumber holds the table of the log data model's appendix B, and its 24 short names.
func TestSeverityNumber(t *testing.T) {
	const spaced = " warn "
	want := map[string]int32{
		// syslog
		"Debug": 5, "Informational": 9, "Notice": 10, "Warning": 13, "Error": 17, "Critical": 18, "Alert": 19, "Emergency": 21,
		"info": 9, "warn": 13, "err": 17, "crit": 18, "emerg": 21,
		// Windows event log, ETW
		"Verbose": 5, "Information": 9, "LOG_ALWAYS": 0,
		// Log4j, Zap
		"TRACE": 1, "FATAL": 21, "Dpanic": 18, "Panic": 19, "fatal": 21,
		// java.util.logging
		"FINEST": 1, "FINER": 5, "FINE": 6, "CONFIG": 7, "SEVERE": 17,
		// Microsoft.Extensions.Logging
		"LogLevel.Trace": 1, "LogLevel.Information": 9, "Trace": 1,
		"": 0, "nonsense": 0, spaced: 13, "INFO:": 9, "ERROR5": 17,
	}
	for i, name := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		for n, suffix := range []string{"", "2", "3", "4"} {
			want[name+suffix], want[strings.ToLower(name+suffix)] = int32(4*i+n+1), int32(4*i+n+1)
		}
	}
	for text, n := range want {
		if got := SeverityNumber(text); got != n {
			t.Errorf("%q is %d, want %d", text, got, n)
		}
	}
	if list := SeverityTexts(17); !slices.Contains(list, "SEVERE") || slices.Contains(list, "WARN4") || !slices.Contains(list, "FATAL4") {
		t.Error(list)
	}
}
