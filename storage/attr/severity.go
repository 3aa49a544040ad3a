package attr

import (
	"maps"
	"slices"
	"strings"
)

// severityNumbers are OpenTelemetry's severity numbers of the texts by which logging libraries name severities, in upper case: the short
// names of the log data model, the columns of its appendix B (syslog, Windows event log, ETW, Log4j, Zap, java.util.logging,
// Microsoft.Extensions.Logging), and usual short forms. Where columns disagree (CRITICAL), syslog and the event log decide.
var severityNumbers = map[string]int32{
	"TRC": 1, "FINEST": 1, "ALL": 1, "T": 1,
	"DBG": 5, "VERBOSE": 5, "FINER": 5, "D": 5, "V": 5, "FINE": 6, "CONFIG": 7,
	"INF": 9, "INFORMATION": 9, "INFORMATIONAL": 9, "I": 9, "NOTICE": 10,
	"WARNING": 13, "WRN": 13, "W": 13,
	"ERR": 17, "SEVERE": 17, "E": 17, "CRITICAL": 18, "CRIT": 18, "DPANIC": 18, "ALERT": 19, "PANIC": 19,
	"EMERGENCY": 21, "EMERG": 21, "FTL": 21, "F": 21,
}

// severityBegins are looked at where a text is none of severityNumbers.
var severityBegins = []struct {
	begin  string
	number int32
}{{"WARN", 13}, {"ERR", 17}, {"CRIT", 18}, {"INFO", 9}, {"EMERG", 21}, {"FATAL", 21}, {"DEBUG", 5}, {"TRACE", 1}}

func init() {
	for i, name := range []string{"TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"} {
		for n, suffix := range []string{"", "2", "3", "4"} {
			severityNumbers[name+suffix] = int32(4*i + n + 1)
		}
	}
}

// SeverityNumber is the severity number that a text stands for, whatever its case; 0: none.
func SeverityNumber(text string) int32 {
	t := strings.ToUpper(strings.TrimSpace(text))
	t = strings.TrimPrefix(t, "LOGLEVEL.")
	if n, ok := severityNumbers[t]; ok {
		return n
	}
	for _, b := range severityBegins {
		if strings.HasPrefix(t, b.begin) {
			return b.number
		}
	}
	return 0
}

// Severity is the severity number of a log record: the one that was sent, else that of its text; 0: neither is known.
func Severity(number int32, text string) int32 {
	if number > 0 {
		return number
	}
	return SeverityNumber(text)
}

// SeverityTexts are the texts, in upper case, that stand for at least a severity number.
func SeverityTexts(from int32) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(severityNumbers)), func(t string) bool { return severityNumbers[t] < from })
}
