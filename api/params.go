package api

import (
	"encoding/base64"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/storage"
)

const (
	timeAdvice     = "Give RFC 3339 (2026-11-23T10:00:00Z, + escaped as %2B) or Unix seconds."
	durationAdvice = "Give a Go duration (150ms, 1m30s) or microseconds."
	positionAdvice = "Give topic/partition/offset, several separated by commas."
	maxUnixSeconds = 253402300799 // the end of year 9999, the last that RFC 3339 can write
	maxPositions   = 10_000
)

// ParseTime reads a time as the API does: RFC 3339 or Unix seconds.
func ParseTime(v string) (time.Time, error) { return timeParam("time", v) }

// timeParam reads RFC 3339 or Unix seconds; the latter exactly to the nanosecond, which a float64 could not hold.
func timeParam(name, v string) (time.Time, error) {
	bad := func() (time.Time, error) {
		return time.Time{}, advise(problemf(errBadRequest, "invalid_time", "%s: %q is no time", name, v), timeAdvice)
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		whole, frac, _ := strings.Cut(v, ".")
		sec, err := strconv.ParseUint(whole, 10, 63)
		if err != nil || len(frac) > 18 || strings.Trim(frac, "0123456789") != "" {
			return bad()
		}
		nanos, _ := strconv.ParseUint((frac + "000000000")[:9], 10, 63)
		if sec > maxUnixSeconds {
			return bad()
		}
		t = time.Unix(int64(sec), int64(nanos))
	}
	if t.Unix() < 0 || t.Unix() > maxUnixSeconds {
		return bad()
	}
	return t.UTC(), nil
}

// parseDuration reads Go syntax or bare microseconds; it must be positive.
func parseDuration(name, v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if us, ferr := strconv.ParseFloat(v, 64); err != nil && ferr == nil && us < math.MaxInt64/1e3 {
		d, err = time.Duration(us*1e3), nil
	}
	if err != nil || d <= 0 {
		return 0, advise(problemf(errBadRequest, "invalid_duration", "%s: %q is not a duration above zero", name, v), durationAdvice)
	}
	return d, nil
}

// parsePositions reads topic/partition/offset,…; Offset is that of the record required.
func parsePositions(v string) ([]storage.Position, error) {
	var out []storage.Position
	for part := range strings.SplitSeq(v, ",") {
		f := strings.Split(part, "/")
		var n, offset uint64
		ok := len(f) == 3 && f[0] != "" && len(out) < maxPositions
		if ok {
			var err1, err2 error
			n, err1 = strconv.ParseUint(f[1], 10, 31)
			offset, err2 = strconv.ParseUint(f[2], 10, 63)
			ok = err1 == nil && err2 == nil
		}
		if !ok {
			return nil, advise(problemf(errBadRequest, "invalid_position", "min_position: %q is not a position", part), positionAdvice)
		}
		out = append(out, storage.Position{Topic: f[0], Partition: int32(n), Offset: int64(offset)})
	}
	return out, nil
}

// page cuts a list that is ordered by key to what follows the token next, at most limit (0: all). The token is the key of the
// last item before, so that items which come or go between two requests move nothing else.
func page[T any](items []T, limit int, next *string, key func(T) string) (out []T, token *string, err error) {
	if next != nil {
		b, err := base64.RawURLEncoding.DecodeString(*next)
		if err != nil {
			return nil, nil, badToken(*next)
		}
		i := slices.IndexFunc(items, func(it T) bool { return key(it) > string(b) })
		if i < 0 {
			i = len(items)
		}
		items = items[i:]
	}
	out, token = cut(items, limit, key)
	return out, token, nil
}

func cut[T any](items []T, limit int, key func(T) string) (out []T, token *string) {
	if limit > 0 && len(items) > limit {
		items = items[:limit]
		t := base64.RawURLEncoding.EncodeToString([]byte(key(items[limit-1])))
		token = &t
	}
	return items, token
}

func badToken(token string) error {
	return advise(problemf(errBadRequest, "invalid_next", "next: %q is not a page token of this list", token),
		"Use the next of the previous answer, or omit it to start at the first page.")
}

func value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// orNil is t for JSON: the zero time means not known.
func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func textOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// millis is a duration in milliseconds, to the microsecond.
func millis(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1e3 }

// valid is text that JSON can hold: a cut may have split a character.
func valid(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }
