package config

import (
	"fmt"
	"strings"
	"time"

	"github.com/docker/go-units"
	"github.com/prometheus/common/model"

	viewmodel "github.com/gaurav/watchingcat/views/model"
)

// days is a duration that may be written in days, as Prometheus writes them: 400d.
type days time.Duration

// UnmarshalText reads 400d, 72h or 1h30m.
func (d *days) UnmarshalText(b []byte) error {
	v, err := parseAge(string(b))
	*d = days(v)
	return err
}

func (d days) String() string { return model.Duration(d).String() }

// MarshalText writes what UnmarshalText reads.
func (d days) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

func parseAge(s string) (time.Duration, error) {
	if d, err := time.ParseDuration(s); err == nil {
		return d, nil
	}
	d, err := model.ParseDuration(s)
	if err != nil {
		return 0, fmt.Errorf("%q is no duration: give 400d, 72h or 1h30m", s)
	}
	return time.Duration(d), nil
}

// retention bounds something by age and by size.
type retention struct {
	age   time.Duration
	Bytes int64
}

// UnmarshalText reads an age, a size, or both with a comma between; what is left out stays as it is.
func (r *retention) UnmarshalText(b []byte) error {
	for part := range strings.SplitSeq(string(b), ",") {
		part = strings.TrimSpace(part)
		if age, err := parseAge(part); err == nil {
			r.age = age
			continue
		}
		size, err := units.RAMInBytes(part)
		if err != nil {
			return fmt.Errorf("%q is neither an age (1h) nor a size (4GiB)", part)
		}
		r.Bytes = size
	}
	return nil
}

func (r retention) String() string {
	return days(r.age).String() + "," + sizeText(r.Bytes)
}

// MarshalText writes what UnmarshalText reads.
func (r retention) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// sizeText is a size with the unit that shows it without loss.
func sizeText(n int64) string {
	text := units.BytesSize(float64(n))
	if back, err := units.RAMInBytes(text); err != nil || back != n {
		return fmt.Sprintf("%dB", n)
	}
	return text
}

// Kept is the age as the views take it: negative for nothing.
func (r retention) Kept() time.Duration {
	if r.age == 0 {
		return -1
	}
	return r.age
}

// TraceKeep says whose raw spans are kept; nil: everybody's.
func (c *Config) TraceKeep() *viewmodel.Keep {
	if c.TracesKeep == "all" {
		return nil
	}
	return &viewmodel.Keep{Slow: c.TracesSlow, Sample: c.TracesSample}
}

// ByteSize is a size that may be written with a unit: 1GiB, 512MiB. 0 is chosen by the program.
type ByteSize int64

// UnmarshalText reads 1GiB, 512MB or a number of bytes.
func (s *ByteSize) UnmarshalText(b []byte) error {
	n, err := units.RAMInBytes(string(b))
	if err != nil {
		return fmt.Errorf("%q is not a size: give 1GiB, 512MiB or a number of bytes", b)
	}
	*s = ByteSize(n)
	return nil
}

func (s ByteSize) String() string { return sizeText(int64(s)) }

// MarshalText writes what UnmarshalText reads.
func (s ByteSize) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MinMemory is the least memory limit with which the views work.
const MinMemory = 256 << 20
