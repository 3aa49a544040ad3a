package answer

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestParseTime(t *testing.T) {
	f := func(v string, want time.Time) {
		t.Helper()
		got, err := ParseTime("start", v)
		require.NoError(t, err)
		require.True(t, want.Equal(got), "%s: %s", v, got)
	}
	f("1795428000", time.Unix(1795428000, 0))
	f("1795428000.123456789", time.Unix(1795428000, 123456789)) // a float64 would say .123456717
	f("1795428000.5", time.Unix(1795428000, 500_000_000))
	f("2026-11-23T10:00:00+02:00", time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC))
	f("2026-11-23T10:00:00.25Z", time.Date(2026, 11, 23, 10, 0, 0, 250_000_000, time.UTC))
	for _, v := range []string{"", "now", "1e9", "-5", "1.2.3", "1.x", "253402300800", "1969-12-31T23:59:59Z", "2026-11-23",
		"2026-11-23T10:00:00 02:00", "NaN", "0x10"} {
		_, err := ParseTime("start", v)
		require.ErrorIs(t, err, ErrBadRequest, v)
	}
}

func TestParseDuration(t *testing.T) {
	f := func(v string, want time.Duration) {
		t.Helper()
		got, err := ParseDuration("step", v)
		require.NoError(t, err)
		require.Equal(t, want, got, v)
	}
	f("150ms", 150*time.Millisecond)
	f("1m30s", 90*time.Second)
	f("1000000", time.Second)
	f("1.5", 1500*time.Nanosecond)
	for _, v := range []string{"", "0", "-1s", "-3", "soon", "1e300", "NaN", "Inf", "0s"} {
		_, err := ParseDuration("step", v)
		require.ErrorIs(t, err, ErrBadRequest, v)
	}
}
