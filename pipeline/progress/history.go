package progress

import (
	"cmp"
	"slices"
	"sync"
	"time"
)

// HistoryStep is how often a History gets a sample, HistoryLength how far back it goes: some 2 MB for four topics.
const (
	HistoryStep   = 10 * time.Second
	HistoryLength = 24 * time.Hour

	historySamples = int(HistoryLength / HistoryStep)
	historyTopics  = 16 // of a sample; what further topics show is not kept
)

// Sample is the state of the pipeline at a moment.
type Sample struct {
	At     time.Time // by the wall clock
	Topics []TopicState
	// Since the views began, of the version that answered at the moment.
	Spans, Lines, Points uint64
	DiskBytes            int64 // of the data folder; 0: unknown
}

// TopicState is how far the views hold a topic.
type TopicState struct {
	Topic  string
	Read   int64         // records that the views hold, as the sum of the positions of its partitions
	Lag    int64         // records that they do not hold yet
	Behind time.Duration // of the partition that is furthest behind in event time; 0 where all are at the end
}

// TopicsOf sums up partitions by topic.
func TopicsOf(parts []Partition, now time.Time) []TopicState {
	var out []TopicState
	for i := range parts {
		p := &parts[i]
		n := slices.IndexFunc(out, func(t TopicState) bool { return t.Topic == p.Topic })
		if n < 0 {
			if len(out) == historyTopics {
				continue
			}
			n, out = len(out), append(out, TopicState{Topic: p.Topic})
		}
		t := &out[n]
		t.Read += max(0, p.Position)
		t.Lag += max(0, p.Lag)
		if !p.Idle && p.Lag > 0 && !p.Watermark.IsZero() {
			t.Behind = max(t.Behind, now.Sub(p.Watermark))
		}
	}
	slices.SortFunc(out, func(a, b TopicState) int { return cmp.Compare(a.Topic, b.Topic) })
	return out
}

// History is the samples of the last HistoryLength, in memory. Its methods may be called concurrently.
type History struct {
	mu   sync.RWMutex
	ring []Sample
	next int // the place of the next one, and of the oldest once the ring is full
}

// Add keeps a sample; the oldest goes when there are too many.
func (h *History) Add(s Sample) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.ring) < historySamples {
		h.ring = append(h.ring, s)
		return
	}
	h.ring[h.next] = s
	h.next = (h.next + 1) % historySamples
}

// Between returns the samples from a time on and before another, the oldest first.
func (h *History) Between(from, to time.Time) (out []Sample) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, part := range [][]Sample{h.ring[h.next:], h.ring[:h.next]} {
		for i := range part {
			if at := part[i].At; !at.Before(from) && at.Before(to) {
				out = append(out, part[i])
			}
		}
	}
	return out
}
