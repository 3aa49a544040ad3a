package ingest

import (
	"bytes"
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/collector/pdata/plog"

	"github.com/gaurav/watchingcat/views/logs"
	"github.com/gaurav/watchingcat/views/model"
)

func logsOf(t testing.TB, lines int) []byte {
	t.Helper()
	ld := plog.NewLogs()
	rl := ld.ResourceLogs().AppendEmpty()
	rl.Resource().Attributes().PutStr("service.name", "cart")
	sl := rl.ScopeLogs().AppendEmpty()
	for range lines {
		l := sl.LogRecords().AppendEmpty()
		l.SetTimestamp(17)
		l.SetSeverityText("warning")
		l.Body().SetEmptyMap().PutInt("n", 3)
		l.Attributes().PutStr("exception.message", "broken")
	}
	var m plog.ProtoMarshaler
	b, err := m.MarshalLogs(ld)
	require.NoError(t, err)
	return b
}

func TestDecodeLogs(t *testing.T) {
	n := 0
	err := DecodeLogs(logsOf(t, 3), nil, 3, func(r *model.Resource, l *logs.Record) {
		n++
		if string(r.Service) != "cart" || l.Time != 17 || l.Severity != logs.SeverityWarn || string(l.Body) != `{"n":3}` ||
			l.Exception == nil || string(l.Exception.Message) != "broken" {
			t.Errorf("got %s %+v", r.Service, l)
		}
	})
	if err != nil || n != 3 {
		t.Fatalf("%d lines, %v", n, err)
	}
	if err := DecodeLogs(logsOf(t, 4), nil, 3, nil); !errors.Is(err, ErrTooManyLogs) {
		t.Errorf("a record over the limit: %v", err)
	}
	if err := DecodeLogs(bytes.Repeat([]byte{10}, 30), nil, 3, nil); err == nil {
		t.Error("malformed bytes were taken")
	}
}

// FuzzDecodeLogs takes any bytes as an answer or as an error, never as a panic, and counts what it hands out.
func FuzzDecodeLogs(f *testing.F) {
	f.Add(logsOf(f, 2))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		n := 0
		if err := DecodeLogs(b, nil, 100, func(*model.Resource, *logs.Record) { n++ }); err == nil && n > 100 {
			t.Fatalf("%d lines of at most 100", n)
		}
	})
}
