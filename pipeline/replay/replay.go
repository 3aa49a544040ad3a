package replay

import (
	"cmp"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// State is what a replay does.
type State string

// The states of a replay.
const (
	Running  State = "running"
	Paused   State = "paused"
	Swapped  State = "swapped" // the new version is read
	Canceled State = "canceled"
	Failed   State = "failed"
)

// active reports whether the replay has not ended.
func (s State) active() bool { return s == Running || s == Paused }

// Request says what to rebuild.
//
// A replay reads every view anew into a new version, from the records with a timestamp from From on (zero: all that the topics
// hold). Without To it catches up, and then the new version goes on with the topics in the place of the live one. With To it reads
// up to the records of that time, the new version answers for the whole hours between From and To, and the live one goes on.
//
// Views are those whose past is taken from the new version (none: all). Of the others the past stays as it was: the new version has
// them from the last full hour before the swap on.
type Request struct {
	Views    []string
	From, To time.Time
	Keep     bool // the version that is replaced, though nothing is read from it any more
}

// Replay is a replay's own state, as it is stored.
type Replay struct {
	ID      string      `json:"id"`
	State   State       `json:"state"`
	Views   []string    `json:"views,omitempty"`
	From    time.Time   `json:"from,omitzero"`
	To      time.Time   `json:"to,omitzero"`
	Keep    bool        `json:"keep,omitempty"`
	Version uint32      `json:"version"`         // that it builds; 0: not placed yet
	Floor   int64       `json:"floor,omitempty"` // the new version holds what ended from here on, Unix seconds; 0: all
	Parts   []Partition `json:"partitions,omitempty"`
	Kept    []uint32    `json:"kept,omitempty"`    // versions that are not read and were not dropped
	Metrics bool        `json:"metrics,omitempty"` // it rebuilds the samples of OTLP metrics too
	// SamplesFloor is the floor of the samples, Unix seconds; 0: all that the topic held is in the new version.
	SamplesFloor int64     `json:"samples_floor,omitempty"`
	Error        string    `json:"error,omitempty"`
	Created      time.Time `json:"created"`
	Updated      time.Time `json:"updated"`
}

// Partition is where a replay begins and what it has to reach.
type Partition struct {
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Start     int64  `json:"start"`
	End       int64  `json:"end"`
}

// Progress is how far a replay is.
type Progress struct {
	Replay
	Done      float64       // 0 to 1
	Rate      float64       // records a second
	ETA       time.Duration // negative: not known
	Records   int64         // read so far
	Waiting   bool          // for the live views, which lag
	Positions []int64       // of Parts
}

// Errors of replays that callers distinguish.
var (
	ErrNoReplay = errors.New("pipeline: no such replay")
	ErrActive   = errors.New("pipeline: another replay has not ended")
	ErrState    = errors.New("pipeline: the replay is in no state for that")
	ErrBad      = errors.New("pipeline: the replay cannot be")
)

const replayTag = 'r'

func (r *Replay) entry() (storage.Entry, error) {
	n, err := strconv.ParseUint(r.ID, 10, 64)
	if err != nil {
		return storage.Entry{}, fmt.Errorf("pipeline: replay id %q: %w", r.ID, err)
	}
	v, err := json.Marshal(r)
	if err != nil {
		return storage.Entry{}, fmt.Errorf("pipeline: replay %s: %w", r.ID, err)
	}
	return storage.Entry{Key: storage.Key(0, 0, storage.TableReplay, binary.BigEndian.AppendUint64([]byte{replayTag}, n)...), Value: v}, nil
}

// Load returns the replays that are remembered, oldest first.
func Load(kv storage.KV) ([]*Replay, error) {
	var list []*Replay
	prefix := storage.Key(0, 0, storage.TableReplay, replayTag)
	err := kv.Scan(prefix, storage.PrefixEnd(prefix), func(_, v []byte) error {
		r := &Replay{}
		list = append(list, r)
		return json.Unmarshal(v, r)
	})
	if err != nil {
		return nil, fmt.Errorf("pipeline: read replays: %w", err)
	}
	return list, nil
}

// hour is the widest bucket: an edge there tears none.
const hour = 3600

func ceilTo(t, width int64) int64 { return (t + width - 1) / width * width }

func (q *Request) check(now time.Time) error {
	for _, v := range q.Views {
		if v != model.ViewMetrics && !slices.Contains(model.ViewNames(), v) {
			return fmt.Errorf("%w: there is no view %q", ErrBad, v)
		}
	}
	switch {
	case q.To.IsZero():
	case q.To.After(now):
		return fmt.Errorf("%w: to lies in the future; omit it to replay to the end of the topics", ErrBad)
	case !q.From.Before(q.To):
		return fmt.Errorf("%w: to is not after from", ErrBad)
	case !q.From.IsZero() && ceilTo(q.From.Unix(), hour) >= q.To.Unix()/hour*hour:
		return fmt.Errorf("%w: there is no whole hour between from and to, and the live version keeps wider buckets only of times long past", ErrBad)
	}
	return nil
}

// next is the layout after the swap of a replay, given what is live now: head is the newest event time that the new version holds.
func (r *Replay) next(l model.Layout, live model.Frontier, head time.Time) (model.Layout, error) {
	from, to := r.Floor, int64(0)
	if r.To.IsZero() {
		if from != 0 && from < live.Levels[0].Since.Unix() {
			from = ceilTo(from, hour) // the old version has no fine bucket there any more
		}
	} else {
		from, to = ceilTo(from, hour), r.To.Unix()/hour*hour
		if from >= to {
			return l, fmt.Errorf("%w: the topics hold no whole hour before to", ErrBad)
		}
	}
	if !live.Since.IsZero() && from <= live.Since.Unix() && to == 0 {
		from = 0 // nothing is older
	}
	out := l
	out.Version = r.Version
	if to == 0 {
		out.Live = r.Version
	}
	for _, view := range model.ViewNames() {
		at := from
		if len(r.Views) > 0 && !slices.Contains(r.Views, view) {
			if to != 0 {
				continue // stays with the version that goes on
			}
			at = max(from, head.Unix()/hour*hour)
			if at == from && from == 0 && head.IsZero() {
				at = 0
			}
		}
		// what a view was read from is looked up in the layout of before: there Live was another
		before := model.Layout{Live: l.Live, Views: out.Views}
		out.Views = before.With(view, r.Version, at, to).Views
	}
	if r.Metrics {
		start := r.SamplesFloor
		if to != 0 {
			start = max(from, ceilTo(start, hour))
		}
		if to == 0 || start < to {
			out = out.WithSamples(r.Version, start, to)
		}
	}
	return out, nil
}

// progressOf sums up how far positions are.
func progressOf(r *Replay, at map[source.PartitionID]int64) Progress {
	p := Progress{Replay: *r, ETA: -1}
	p.Parts = slices.Clone(r.Parts)
	slices.SortFunc(p.Parts, func(a, b Partition) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition))
	})
	var done, all int64
	for i := range p.Parts {
		part := &p.Parts[i]
		pos := max(part.Start, at[source.PartitionID{Topic: part.Topic, Partition: part.Partition}])
		p.Positions = append(p.Positions, pos)
		p.Records += pos - part.Start
		done += min(pos, part.End) - part.Start
		all += part.End - part.Start
	}
	switch {
	case r.State == Swapped:
		p.Done, p.ETA = 1, 0
	case r.Version == 0:
	case all > 0:
		p.Done = float64(done) / float64(all)
	}
	return p
}
