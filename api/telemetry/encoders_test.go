package telemetry

import (
	"encoding/json"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/api/apitest"
	"github.com/gaurav/watchingcat/storage/attr"
	"github.com/gaurav/watchingcat/views"
)

// FuzzTraceTokens: tokens of pages of traces that are understood mean the same when they are written again.
func FuzzTraceTokens(f *testing.F) {
	sum := views.TraceSummary{ID: [16]byte{1}, Start: time.Unix(1, 0), End: time.Unix(60, 0)}
	for _, v := range []string{traceToken(&sum), "eyJ2aWV3Ijp7fX0", "A", "YQ"} {
		f.Add(v)
	}
	f.Fuzz(func(t *testing.T, v string) {
		if place, err := parseTraceToken(&v); err != nil {
			apitest.Refused(t, err, "invalid_next")
		} else {
			token := traceToken(place)
			again, err := parseTraceToken(&token)
			require.NoError(t, err)
			require.Equal(t, place, again)
		}
	})
}

// FuzzLineEncoders shows lines of any OTLP bytes.
func FuzzLineEncoders(f *testing.F) {
	f.Add(apitest.OddLines(f))
	f.Fuzz(func(t *testing.T, value []byte) {
		var u plog.ProtoUnmarshaler
		ld, err := u.UnmarshalLogs(value)
		if err != nil {
			return
		}
		for _, rl := range ld.ResourceLogs().All() {
			for _, sl := range rl.ScopeLogs().All() {
				for _, l := range sl.LogRecords().All() {
					line := LogLine(&views.LogLine{Body: attr.Text(l.Body()), Attributes: attr.Map(l.Attributes()),
						Resource: attr.Map(rl.Resource().Attributes())})
					out, err := json.Marshal(line)
					require.NoError(t, err)
					require.True(t, utf8.Valid(out) && !strings.Contains(string(out), "\n"), "%q", out)
				}
			}
		}
	})
}
