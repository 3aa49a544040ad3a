package progress

import (
	"errors"
	"testing"
	"time"
)

func TestBehind(t *testing.T) {
	now := time.Unix(1000, 0)
	for want, p := range map[string]Partition{
		"the topic is gone":                 {Err: errors.New("the topic is gone"), Idle: true},
		"nothing read yet, 7 records to go": {Lag: 7},
		"nothing read yet, 0 records to go": {Lag: -1}, // the broker has not answered
		"1m0s behind, 3 records to go":      {Lag: 3, Watermark: now.Add(-time.Minute)},
		"":                                  {Lag: 3, Watermark: now.Add(-10 * time.Second)},
	} {
		if got := p.Behind(now, 10*time.Second); got != want {
			t.Errorf("%+v: %q, want %q", p, got, want)
		}
	}
	for _, p := range []Partition{{Lag: 0}, {Lag: 3, Idle: true}} {
		if got := p.Behind(now, 0); got != "" {
			t.Errorf("%+v: %q", p, got)
		}
	}
}

func TestBeginningSince(t *testing.T) {
	views, latest := time.Unix(100, 0), time.Unix(200, 0)
	for _, c := range []struct {
		b    Beginning
		want time.Time
	}{{Beginning{}, time.Time{}}, {Beginning{Trimmed: true}, views}, {Beginning{Latest: latest}, latest},
		{Beginning{Latest: latest}.Later(Beginning{Trimmed: true}), latest},
		{Beginning{Trimmed: true}.Later(Beginning{Latest: latest}), latest}} {
		if at, why := c.b.Since(views); !at.Equal(c.want) || (why == "") != at.IsZero() {
			t.Errorf("%+v: %v %q", c.b, at, why)
		}
	}
}
