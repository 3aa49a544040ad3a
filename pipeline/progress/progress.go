// Package progress has the one shape of how far the pipeline is: readiness, metrics, the API and replays say the same. It knows no Kafka
// client.
package progress

import (
	"fmt"
	"time"
)

// Partition is how far the views hold a partition.
type Partition struct {
	Topic     string
	Partition int32
	Position  int64     // offset of the next record that the views do not hold
	End       int64     // the broker's end offset, as it answered last
	Lag       int64     // records that the views do not hold yet; negative: unknown
	Watermark time.Time // event time up to which the views hold it; zero: unknown
	Idle      bool      // the broker said that there is nothing more
	Err       error     // why it is not read
	NoTopic   bool      // because its topic does not exist
}

// Behind says why a partition is not caught up, when it may lag by so much event time; "": it is.
func (p *Partition) Behind(now time.Time, most time.Duration) string {
	switch behind := now.Sub(p.Watermark); {
	case p.Err != nil:
		return p.Err.Error()
	case p.Idle || p.Lag == 0:
		return ""
	case p.Watermark.IsZero():
		return fmt.Sprintf("nothing read yet, %d records to go", max(0, p.Lag))
	case behind > most:
		return fmt.Sprintf("%v behind, %d records to go", behind.Round(time.Second), max(0, p.Lag))
	}
	return ""
}

// Check is one condition of being ready.
type Check struct {
	Name   string
	OK     bool
	Detail string
}

// Checkpoint is the last commit of the views.
type Checkpoint struct {
	At      time.Time // zero: there was none yet
	Entries int
	Bytes   int
	Err     error // why checkpoints are not committed at present
}

// Gap is a range of offsets of a partition that the brokers no longer had when it was to be read. What it held is missing from the views,
// and every answer says so until it is out of their range.
type Gap struct {
	Topic     string    `json:"topic"`
	Partition int32     `json:"partition"`
	From      int64     `json:"from"` // offset that was to be read next
	To        int64     `json:"to"`   // offset where the log begins now; below From: another log under the same name
	Found     time.Time `json:"found"`
}

func (g Gap) String() string {
	return fmt.Sprintf("records %d to %d of %s/%d were gone before they were read", g.From, g.To, g.Topic, g.Partition)
}

// Beginning says what was written before reading began, and was never read.
type Beginning struct {
	Latest  time.Time // when reading began at the end of a topic; zero: it began where the topics do
	Trimmed bool      // the topics had lost their oldest records by then
}

// Later joins what is known of two topics or versions.
func (b Beginning) Later(o Beginning) Beginning {
	if o.Latest.After(b.Latest) {
		b.Latest = o.Latest
	}
	b.Trimmed = b.Trimmed || o.Trimmed
	return b
}

// Since is from when on the views that begin at a time hold what happened, and why not what happened before; zero: they hold all.
func (b Beginning) Since(views time.Time) (at time.Time, why string) {
	switch {
	case !b.Latest.IsZero():
		return b.Latest, fmt.Sprintf("reading began at the end of the topics at %s: what was written before is not in this answer",
			b.Latest.UTC().Format(time.RFC3339))
	case b.Trimmed && !views.IsZero():
		return views, fmt.Sprintf("the topics had lost their oldest records when reading began: what happened before %s is not in this answer", views.UTC().Format(time.RFC3339))
	}
	return time.Time{}, ""
}

// Reading is how far a range of the topics has been read again.
type Reading struct {
	At             time.Time // event time reached
	Records, Total int64
	Rate           float64 // records a second
}
