package model

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"time"
)

// Nanos is a sum of durations in nanoseconds, 128 bits wide. 64 bits hold 584 years: eleven spans that claim to start in 1970, or
// three weeks of 10,000 calls a second that take a second each. Sums that are taken back may be less than nothing in between: then
// they are negative in two's complement.
type Nanos struct{ Hi, Lo uint64 }

// NanosOf is a sum of one duration.
func NanosOf(d time.Duration) Nanos { return Nanos{Lo: uint64(max(0, d))} }

// AddTimes adds n durations of d nanoseconds.
func (s *Nanos) AddTimes(d, n uint64) {
	if n == 1 {
		s.add(0, d)
		return
	}
	s.add(bits.Mul64(d, n))
}

// Signed adds d, or with sign -1 takes it away.
func (s *Nanos) Signed(d, sign uint64) {
	if sign == ^uint64(0) {
		s.Sub(Nanos{Lo: d})
		return
	}
	s.AddTimes(d, sign)
}

// Add adds o.
func (s *Nanos) Add(o Nanos) { s.add(o.Hi, o.Lo) }

func (s *Nanos) add(hi, lo uint64) {
	var carry uint64
	s.Lo, carry = bits.Add64(s.Lo, lo, 0)
	s.Hi += hi + carry
}

// Sub takes o away.
func (s *Nanos) Sub(o Nanos) {
	var borrow uint64
	s.Lo, borrow = bits.Sub64(s.Lo, o.Lo, 0)
	s.Hi -= o.Hi + borrow
}

// Zero reports whether the sum is 0.
func (s Nanos) Zero() bool { return s == Nanos{} }

// Float is the sum in nanoseconds.
func (s Nanos) Float() float64 {
	if s.Hi>>63 != 0 {
		neg := Nanos{}
		neg.Sub(s)
		return -neg.Float()
	}
	return float64(s.Hi)*(1<<64) + float64(s.Lo)
}

// Seconds is the sum in seconds.
func (s Nanos) Seconds() float64 { return s.Float() / 1e9 }

// String is the sum as a duration where it fits one, else in seconds.
func (s Nanos) String() string {
	if s.Hi == 0 && s.Lo <= 1<<63-1 {
		return time.Duration(s.Lo).String()
	}
	return fmt.Sprintf("%gs", s.Seconds())
}

// A sum: its low and its high half.
func (s Nanos) append(b []byte) []byte {
	return AppendUvarint(binary.AppendUvarint(b, s.Lo), s.Hi)
}

func (s *Nanos) decode(d *Decoder) { s.Lo, s.Hi = d.Uvarint(), d.Uvarint() }
