package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/gaurav/watchingcat/storage"
)

// A Layout says which versions of the views answer for which time: the pointer that a replay swaps. It is one stored value, so a swap
// is one write.
//
// The simple case is one version for all time. After a replay of a topic that no longer holds all history the new version answers
// from an edge on, and the old one, which is not written any more, for what was before it. An edge is the start of a bucket: of the
// finest level if the old version holds 10 s buckets there, else of the widest, so that no bucket is torn.
type Layout struct {
	Version uint32 `json:"version"` // of the answers: the newest that was swapped in
	Live    uint32 `json:"live"`    // version that goes on with the topic
	Next    uint32 `json:"next"`    // version of the next replay; never used before
	// Views are the stretches of each view by its name, ascending and without gaps between the first and the last. A view that is not
	// here is read from Live alone.
	Views map[string][]Stretch `json:"views,omitempty"`
	// Samples are the stretches of the samples of OTLP metrics; the version of the last goes on with the topic. Empty: it is version 0,
	// for all time.
	Samples []Stretch `json:"samples,omitempty"`
}

// Stretch is the time that a version answers for: From inclusive, To exclusive, Unix seconds; 0 is open.
type Stretch struct {
	Version uint32 `json:"version"`
	From    int64  `json:"from,omitempty"`
	To      int64  `json:"to,omitempty"`
}

// Names of views that a replay can be asked for, beside those of the tables.
const (
	ViewRED        = "red"
	ViewServiceMap = "servicemap"
	ViewTraces     = "traces"
	ViewMetrics    = "metrics" // the samples of OTLP metrics; not among ViewNames, see Layout.Samples
)

// ViewNames are the views that a Layout distinguishes. Log lines and patterns go with "logs".
func ViewNames() []string {
	names := []string{ViewRED, ViewServiceMap, ViewTraces}
	for t := range Tables {
		if t != TablePatterns {
			names = append(names, t.String())
		}
	}
	return names
}

// Of returns the stretches of a view.
func (l *Layout) Of(view string) []Stretch {
	if s := l.Views[view]; len(s) > 0 {
		return s
	}
	return []Stretch{{Version: l.Live}}
}

// With returns the layout in which version answers for the view from from to to, and what answered before for the rest.
func (l Layout) With(view string, version uint32, from, to int64) Layout {
	list := replace(l.Of(view), version, from, to)
	l.Views = maps.Clone(l.Views)
	if l.Views == nil {
		l.Views = map[string][]Stretch{}
	}
	l.Views[view] = list
	return l
}

// Without returns the layout in which nothing is read from version, which must not be Live: its time has passed.
func (l Layout) Without(version uint32) Layout {
	was := l.Views
	l.Views = map[string][]Stretch{}
	for view, list := range was {
		list = slices.DeleteFunc(slices.Clone(list), func(s Stretch) bool { return s.Version == version })
		if len(list) > 0 {
			l.Views[view] = list
		}
	}
	return l
}

// OfSamples returns the stretches of the samples of OTLP metrics.
func (l *Layout) OfSamples() []Stretch {
	if len(l.Samples) > 0 {
		return l.Samples
	}
	return []Stretch{{}}
}

// LiveSamples is the version that goes on with the metrics topic.
func (l *Layout) LiveSamples() uint32 {
	list := l.OfSamples()
	return list[len(list)-1].Version
}

// WithSamples is With for the samples.
func (l Layout) WithSamples(version uint32, from, to int64) Layout {
	l.Samples = replace(l.OfSamples(), version, from, to)
	return l
}

// WithoutSamples is Without for the samples; version must not be LiveSamples.
func (l Layout) WithoutSamples(version uint32) Layout {
	l.Samples = slices.DeleteFunc(slices.Clone(l.Samples), func(s Stretch) bool { return s.Version == version })
	return l
}

// SampleVersions are all versions that samples are read from, ascending.
func (l *Layout) SampleVersions() (list []uint32) {
	for _, s := range l.OfSamples() {
		list = append(list, s.Version)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// replace puts version in the place of what was read between from and to.
func replace(was []Stretch, version uint32, from, to int64) (list []Stretch) {
	if from != 0 {
		list = clip(was, 0, from)
	}
	list = append(list, Stretch{version, from, to})
	if to != 0 {
		list = append(list, clip(was, to, 0)...)
	}
	return list
}

// clip keeps what of the stretches lies between from and to; 0 is open.
func clip(list []Stretch, from, to int64) (out []Stretch) {
	for _, s := range list {
		s.From = max(s.From, from)
		if to != 0 && (s.To == 0 || s.To > to) {
			s.To = to
		}
		if s.To == 0 || s.From < s.To {
			out = append(out, s)
		}
	}
	return out
}

// Versions are all versions that something is read from, ascending.
func (l *Layout) Versions() []uint32 {
	list := []uint32{l.Live}
	for _, view := range l.Views {
		for _, s := range view {
			list = append(list, s.Version)
		}
	}
	slices.Sort(list)
	return slices.Compact(list)
}

func layoutKey() []byte { return storage.Key(0, 0, storage.TableReplay, 'p') }

// ReadLayout returns the stored layout; without one it is version 0 for all time.
func ReadLayout(kv storage.KV) (Layout, error) {
	l := Layout{Next: 1}
	v, err := kv.Get(layoutKey())
	if errors.Is(err, storage.ErrNotFound) {
		return l, nil
	}
	if err == nil {
		err = json.Unmarshal(v, &l)
	}
	if err != nil {
		return l, fmt.Errorf("views: read which version is live: %w", err)
	}
	return l, nil
}

// Entry is the layout as it is stored.
func (l Layout) Entry() (storage.Entry, error) {
	v, err := json.Marshal(l)
	if err != nil {
		return storage.Entry{}, fmt.Errorf("views: %w", err)
	}
	return storage.Entry{Key: layoutKey(), Value: v}, nil
}
