package sums

import (
	"encoding/binary"

	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// Sum gathers RED over cells.
type Sum struct {
	calls, errors uint64
	hist          model.Histogram
}

// Add counts a cell of a series.
func (t *Sum) Add(k *model.REDKey, c *model.REDCounts) {
	t.calls += c.Calls
	if k.Status == model.StatusError {
		t.errors += c.Calls
	}
	t.hist.Merge(&c.Hist)
}

func (t *Sum) merge(o *Sum) {
	t.calls += o.calls
	t.errors += o.errors
	t.hist.Merge(&o.hist)
}

// RED is what was added up.
func (t *Sum) RED() model.RED {
	return model.RED{Calls: t.calls, Errors: t.errors, Latency: t.hist.Latency()}
}

func (t *Sum) counts() model.SpanCounts {
	return model.SpanCounts{Calls: t.calls, Errors: t.errors, Hist: t.hist}
}

func (t *Sum) append(b []byte) []byte {
	b = binary.AppendUvarint(b, t.calls)
	b = binary.AppendUvarint(b, t.errors)
	return t.hist.Append(b)
}

// AddFrom adds what append wrote; scratch is overwritten.
func (t *Sum) AddFrom(d *model.Decoder, scratch *Sum) {
	scratch.calls, scratch.errors = d.Uvarint(), d.Uvarint()
	scratch.hist.Decode(d)
	t.merge(scratch)
}

// Step is what a chart adds up in one of its steps.
type Step struct{ All, Entry Sum }

// Add counts a cell of a series.
func (t *Step) Add(k *model.REDKey, c *model.REDCounts) {
	t.All.Add(k, c)
	if k.Entry() {
		t.Entry.Add(k, c)
	}
}

// MinuteSums adds up the minutes of an hour.
type MinuteSums [60]Step

// Add counts a cell of a series in a bucket of the hour, which starts at hour, Unix seconds.
func (t *MinuteSums) Add(hour int64, k *model.REDKey, b cells.BucketAt, c *model.REDCounts) {
	t[(b.Start-hour)/model.LevelSeconds[1]].Add(k, c)
}

// Pack encodes the minutes that have any spans: number, all spans, entry spans.
func (t *MinuteSums) Pack() (packed []byte) {
	for i := range t {
		if m := &t[i]; m.All.calls > 0 {
			packed = binary.AppendUvarint(packed, uint64(i))
			packed = m.Entry.append(m.All.append(packed))
		}
	}
	return packed
}
