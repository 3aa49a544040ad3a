package answer

import (
	"encoding/base64"
	"encoding/hex"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-chi/chi/v5"

	"github.com/gaurav/watchingcat/storage"
)

// DefaultLimit is how many items a list has where the request names no limit.
const DefaultLimit = 20

// Each makes answers of what was found; never nil, which would be null.
func Each[T, U any](list []T, one func(T) U) []U {
	out := make([]U, 0, len(list))
	for _, x := range list {
		out = append(out, one(x))
	}
	return out
}

// PathParam is a part of the path of a request that chi has routed, unescaped.
func PathParam(r *http.Request, name string) string {
	v := chi.URLParam(r, name)
	if r.URL.RawPath != "" { // chi has matched the path as it was sent
		if u, err := url.PathUnescape(v); err == nil {
			return u
		}
	}
	return v
}

// HexOrEmpty is an id in hex; one of zeros is none.
func HexOrEmpty(id []byte) string {
	if !slices.ContainsFunc(id, func(b byte) bool { return b != 0 }) {
		return ""
	}
	return hex.EncodeToString(id)
}

// LimitOf is the limit of a list: the one that the request names, else DefaultLimit.
func LimitOf(asked *int) int { return Or(asked, DefaultLimit) }

// Or is a parameter, or what stands for one that was not given.
func Or[T any](asked *T, otherwise T) T {
	if asked != nil {
		return *asked
	}
	return otherwise
}

// Later is the later of two times.
func Later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

const (
	timeAdvice     = "Give RFC 3339 (2026-11-23T10:00:00Z, + escaped as %2B) or Unix seconds."
	durationAdvice = "Give a Go duration (150ms, 1m30s) or microseconds."
	positionAdvice = "Give topic/partition/offset, several separated by commas."
	// MaxUnixSeconds is the end of the year 9999, the last time that RFC 3339 can write.
	MaxUnixSeconds = 253402300799
	maxPositions   = 10_000
)

// ParseTime reads RFC 3339 or Unix seconds; the latter exactly to the nanosecond, which a float64 could not hold.
func ParseTime(name, v string) (time.Time, error) {
	bad := func() (time.Time, error) {
		return time.Time{}, Advise(Problemf(ErrBadRequest, "invalid_time", "%s: %q is no time", name, v), timeAdvice)
	}
	t, err := time.Parse(time.RFC3339Nano, v)
	if err != nil {
		whole, frac, _ := strings.Cut(v, ".")
		sec, err := strconv.ParseUint(whole, 10, 63)
		if err != nil || len(frac) > 18 || strings.Trim(frac, "0123456789") != "" {
			return bad()
		}
		nanos, _ := strconv.ParseUint((frac + "000000000")[:9], 10, 63)
		if sec > MaxUnixSeconds {
			return bad()
		}
		t = time.Unix(int64(sec), int64(nanos))
	}
	if t.Unix() < 0 || t.Unix() > MaxUnixSeconds {
		return bad()
	}
	return t.UTC(), nil
}

// ParseBaseline reads the range that r is compared with; nil: none is asked for. Without an end it ends where r begins.
func ParseBaseline(start, end *string, r Range) (*Range, error) {
	switch {
	case start == nil && end == nil:
		return nil, nil
	case start == nil:
		return nil, Advise(Problemf(ErrBadRequest, "invalid_range", "compare_end is given without compare_start"), "Give compare_start too.")
	}
	from, err := ParseTime("compare_start", *start)
	if err != nil {
		return nil, err
	}
	c := Range{Start: from, End: r.Start, Asked: true}
	if end != nil {
		if c.End, err = ParseTime("compare_end", *end); err != nil {
			return nil, err
		}
	}
	if !c.Start.Before(c.End) {
		return nil, Advise(Problemf(ErrBadRequest, "invalid_range", "the range to compare with is empty"),
			"Give a compare_start before compare_end.")
	}
	return &c, nil
}

// ParseDuration reads Go syntax or bare microseconds; it must be positive.
func ParseDuration(name, v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if us, ferr := strconv.ParseFloat(v, 64); err != nil && ferr == nil && us < math.MaxInt64/1e3 {
		d, err = time.Duration(us*1e3), nil
	}
	if err != nil || d <= 0 {
		return 0, Advise(Problemf(ErrBadRequest, "invalid_duration", "%s: %q is not a duration above zero", name, v), durationAdvice)
	}
	return d, nil
}

// ParsePositions reads topic/partition/offset,…; Offset is that of the record required.
func ParsePositions(v string) ([]storage.Position, error) {
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
			return nil, Advise(Problemf(ErrBadRequest, "invalid_position", "min_position: %q is not a position", part), positionAdvice)
		}
		out = append(out, storage.Position{Topic: f[0], Partition: int32(n), Offset: int64(offset)})
	}
	return out, nil
}

// Page cuts a list that is ordered by key to what follows the token next, at most limit (0: all). The token is the key of the
// last item before, so that items which come or go between two requests move nothing else.
func Page[T any](items []T, limit int, next *string, key func(T) string) (out []T, token *string, err error) {
	if next != nil {
		b, err := base64.RawURLEncoding.DecodeString(*next)
		if err != nil {
			return nil, nil, BadToken(*next)
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

// BadToken is the error for a page token that the list did not give.
func BadToken(token string) error {
	return Advise(Problemf(ErrBadRequest, "invalid_next", "next: %q is not a page token of this list", token),
		"Use the next of the previous answer, or omit it to start at the first page.")
}

// Value is what p points to; the zero value for nil.
func Value[T any](p *T) (v T) {
	if p != nil {
		v = *p
	}
	return v
}

// TimeOrNil is t for JSON: the zero time means not known.
func TimeOrNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

// TextOrNil is s for JSON; nil for an empty text.
func TextOrNil(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}

// Millis is a duration in milliseconds, to the microsecond.
func Millis(d time.Duration) float64 { return float64(d.Round(time.Microsecond).Microseconds()) / 1e3 }

// ValidText is text that JSON can hold: a cut may have split a character.
func ValidText(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// ParseTraceID reads 1 to 32 hex digits; shorter ones are the low part, as in Jaeger.
func ParseTraceID(v string) (id [16]byte, err error) {
	b, err := hex.DecodeString(strings.Repeat("0", max(0, 32-len(v))) + v)
	if err != nil || len(b) != 16 || len(v) == 0 {
		return id, Advise(Problemf(ErrBadRequest, "invalid_trace_id", "%q is no trace id", v), "Give 1 to 32 hex digits.")
	}
	return [16]byte(b), nil
}

// Earlier is the earlier of two times.
func Earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}
