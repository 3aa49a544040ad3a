package source

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// partition is one partition of a subscription: records that wait, and the goroutine that hands them out.
type partition struct {
	s   *subscription
	id  int32
	log zerolog.Logger
	new chan struct{} // there may be something to hand out

	mu      sync.Mutex
	pending []item // bounded: see full
	bytes   int    // of pending
	topicID [16]byte
	known   bool  // fetched and position are set
	fetched int64 // next offset that the client will bring
	// position is the next offset to hand out; what lies before is acknowledged.
	position int64
	out      bool          // a message is out
	moved    chan struct{} // closed when a restart makes what is out obsolete
	running  bool          // the client fetches it
	placing  bool          // a start is under way
	held     bool          // its oversized batch is being looked at
	paused   bool
	gaps     int64
	hw       int64
	asked    time.Time
	idle     bool
	missed   int // answers of the broker, in a row, without the partition
	err      error
}

// item is a record, or a step over offsets that bring none.
type item struct {
	r    *kgo.Record // nil: a step
	next int64
	// empty makes a step known to the handler, by a batch without records, so that the stored position gets over it.
	empty bool
	epoch int32
}

func newPartition(s *subscription, id int32) *partition {
	return &partition{
		s: s, id: id, log: s.log.With().Int32("partition", id).Logger(),
		new: make(chan struct{}, 1), moved: make(chan struct{}),
	}
}

// full is the bound of pending at which the client pauses: as much again may be on its way.
func (p *partition) full() bool {
	return p.bytes >= min(2*p.s.c.BatchBytes, p.s.share()) || len(p.pending) >= max(2*p.s.c.BatchRecords, 1000)
}

// push takes what was fetched.
func (p *partition) push(id [16]byte, f *kgo.FetchPartition) {
	p.reportLoss(f)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running {
		return // from before a restart
	}
	p.topicID, p.hw, p.asked, p.idle = id, f.HighWatermark, time.Now(), false
	for _, r := range f.Records {
		if r.Offset < p.fetched {
			continue // never seen; applying it twice would be worse than leaving it out
		}
		p.gaps += r.Offset - p.fetched
		p.fetched = r.Offset + 1
		it := item{next: p.fetched, epoch: r.LeaderEpoch}
		if r.Attrs.IsControl() {
			r.Recycle()
		} else {
			it.r = r
			p.bytes += len(r.Value)
		}
		p.pending = append(p.pending, it)
	}
	p.signal()
	if p.full() && !p.paused {
		p.paused = true // under the lock, or a resume could overtake it
		p.s.cl.PauseFetchPartitions(p.ids())
	}
}

// reportLoss looks at the offsets before the first record that the log does not have. Compaction and aborted transactions leave
// such gaps inside the log; before its start they are a loss.
func (p *partition) reportLoss(f *kgo.FetchPartition) {
	p.mu.Lock()
	from, to := p.fetched, min(f.Records[0].Offset, f.LogStartOffset)
	running := p.running
	p.mu.Unlock()
	if running && to > from {
		p.s.report(p, from, to)
	}
}

func (p *partition) ids() map[string][]int32 { return map[string][]int32{p.s.topic: {p.id}} }

func (p *partition) signal() {
	select {
	case p.new <- struct{}{}:
	default:
	}
}

// work hands out batch after batch.
func (p *partition) work() {
	for {
		b, moved, ok := p.next()
		if ok {
			if !p.deliver(b, moved) {
				return
			}
			continue
		}
		select {
		case <-p.new:
		case <-p.s.ctx.Done():
			return
		}
	}
}

// next takes a batch from pending. Steps alone are no batch, unless they must be known.
func (p *partition) next() (b Batch, moved chan struct{}, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	b = Batch{Topic: p.s.topic, Partition: p.id, TopicID: p.topicID, HighWatermark: p.hw}
	n, size, empty := 0, 0, false
	for _, it := range p.pending {
		if it.r != nil {
			if len(b.Records) == p.s.c.BatchRecords || len(b.Records) > 0 && size+len(it.r.Value) > p.s.c.BatchBytes {
				break
			}
			b.Records = append(b.Records, it.r)
			size += len(it.r.Value)
		}
		n++
		b.Next, b.LeaderEpoch, empty = it.next, it.epoch, empty || it.empty
	}
	clear(p.pending[:n])
	if p.pending = p.pending[n:]; len(p.pending) == 0 {
		p.pending = nil // lets go of the array
	}
	p.bytes -= size
	if p.paused && p.bytes < min(p.s.c.BatchBytes, p.s.share()/2+1) && len(p.pending) < p.s.c.BatchRecords {
		p.paused = false
		p.s.cl.ResumeFetchPartitions(p.ids())
	}
	if len(b.Records) == 0 && !empty {
		if n > 0 {
			p.position = b.Next
		}
		return b, nil, false
	}
	p.out = true
	return b, p.moved, true
}

// deliver hands b out until it is acknowledged or obsolete; false means that the subscription ended.
func (p *partition) deliver(b Batch, moved chan struct{}) bool {
	defer func() {
		p.mu.Lock()
		p.out = false
		p.mu.Unlock()
	}()
	for try := 0; ; try++ {
		ctx, cancel := context.WithCancel(ContextWithBatch(p.s.ctx, b))
		m := NewMessage(ctx, b)
		select {
		case p.s.out <- m:
		case <-moved:
			cancel()
			return true
		case <-ctx.Done():
			cancel()
			return false
		}
		select {
		case <-m.Acked():
			cancel()
			p.acked(b, moved)
			for _, r := range b.Records {
				r.Recycle() // only now: whoever got an obsolete message may still read it
			}
			return true
		case <-m.Nacked():
			cancel()
		case <-ctx.Done():
			cancel()
			return false
		}
		if !p.pause(try, moved) {
			return p.s.ctx.Err() == nil
		}
	}
}

// pause waits before a redelivery: not the first time, then longer and longer up to RedeliverMax.
func (p *partition) pause(try int, moved chan struct{}) bool {
	d := time.Duration(0)
	if try > 0 {
		d = min(p.s.c.RedeliverMax, 5*time.Millisecond<<min(try, 20))
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-moved:
		return false
	default:
	}
	select {
	case <-t.C:
		return true
	case <-moved:
	case <-p.s.ctx.Done():
	}
	return false
}

func (p *partition) acked(b Batch, moved chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.moved == moved {
		p.position = b.Next
	}
}

// UUIDHeader is where watermill's Kafka publishers put the message's id.
const UUIDHeader = "_watermill_message_uuid"

// NewMessage makes the message of a batch. A single record is an ordinary watermill message; more travel in the context only.
func NewMessage(ctx context.Context, b Batch) *message.Message {
	id := fmt.Sprintf("%s/%d/%d", b.Topic, b.Partition, b.Next)
	if len(b.Records) != 1 {
		m := message.NewMessage(id, nil)
		m.SetContext(ctx)
		return m
	}
	r := b.Records[0]
	m := message.NewMessage(id, r.Value)
	for _, h := range r.Headers {
		if h.Key == UUIDHeader {
			m.UUID = string(h.Value)
		} else {
			m.Metadata.Set(h.Key, string(h.Value))
		}
	}
	m.SetContext(ctx)
	return m
}

// waits says that the partition should be placed, and that the caller does it.
func (p *partition) waits() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.running && !p.placing && !p.held
}

// startAt decides where the partition goes on, given what the broker holds. It reports what is lost.
func (p *partition) startAt(id [16]byte, start, end int64, latest bool) (int64, int32) {
	p.mu.Lock()
	want, epoch, was := p.fetched, int32(-1), p.topicID
	known := p.known
	p.placing = true
	p.mu.Unlock()
	if !known {
		pos, ok := p.s.c.Position(p.s.topic, p.id)
		switch {
		case ok:
			want, epoch, was = pos.Offset, pos.LeaderEpoch, pos.TopicID
		case latest:
			want = end
		default:
			want = start
			if start > 0 && p.s.c.Lacks != nil {
				p.s.c.Lacks(p.s.topic)
			}
		}
	}
	none := [16]byte{}
	switch {
	case was != none && id != none && was != id:
		p.s.report(p, want, start)
		want, epoch = start, -1
	case want < start:
		p.s.report(p, want, start)
		want, epoch = start, -1
	case want > end:
		p.s.report(p, want, end)
		want, epoch = end, -1
	}
	p.move(want, known, id)
	return want, epoch
}

// move sets the offset that will be fetched next. Going back makes what was fetched obsolete. Going forward is reported to the
// handler after what was fetched, so that the stored position follows.
func (p *partition) move(want int64, known bool, id [16]byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.topicID = id
	switch {
	case !known:
		p.position = want
	case want < p.fetched:
		p.obsolete()
		p.pending, p.bytes, p.position = nil, 0, want
	case want > p.fetched:
		p.pending = append(p.pending, item{next: want, empty: true, epoch: -1})
		p.signal()
	}
	p.fetched, p.known = want, true
}

// start makes the client fetch from offset. It runs in the polling goroutine.
func (p *partition) start(offset int64, epoch int32) {
	p.mu.Lock()
	p.placing = false
	if p.fetched != offset || p.held {
		p.mu.Unlock()
		return // moved meanwhile; whoever did that starts it
	}
	p.running = true
	if p.paused {
		p.paused = false
		p.s.cl.ResumeFetchPartitions(p.ids())
	}
	p.mu.Unlock()
	p.s.cl.RemoveConsumePartitions(p.ids())
	at := kgo.NoResetOffset().At(offset).WithEpoch(epoch)
	p.s.cl.AddConsumePartitions(map[string]map[int32]kgo.Offset{p.s.topic: {p.id: at}})
}

// restart drops what is fetched; the next start is at offset.
func (p *partition) restart(offset int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.obsolete()
	p.pending, p.bytes = nil, 0
	p.fetched, p.position, p.known = offset, offset, true
	p.running, p.held, p.placing = false, false, false
	p.signal()
}

func (p *partition) obsolete() {
	close(p.moved)
	p.moved = make(chan struct{})
	p.idle = false
}

// fail says whether this is the first error since the partition ran.
func (p *partition) fail(err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	first := p.err == nil
	p.running, p.idle, p.err = false, false, err
	return first
}

// ended receives the high watermark that the broker, asked at a time, answered.
func (p *partition) ended(hw int64, asked time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hw, p.asked, p.missed = hw, asked, 0
	p.idle = p.running && !p.out && len(p.pending) == 0 && p.position == hw
	if p.running {
		p.err = nil
	}
}

// missing is called for an answer of the broker that lists other partitions only, or no topic. Metadata may be old, so one says little.
func (p *partition) missing(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.missed++
	p.idle, p.err = false, err
}

// goneAfter is how many answers in a row without a partition or topic mean that it is gone.
const goneAfter = 3

func (p *partition) gone() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.missed >= goneAfter
}

func (p *partition) unreachable(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle, p.err = false, err
}

func (p *partition) state() PartitionState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return PartitionState{
		Topic: p.s.topic, Partition: p.id, Position: p.position, HighWatermark: p.hw, LastFetch: p.asked, Idle: p.idle,
		Overdue: max(0, time.Since(p.asked)-p.s.c.Refresh), Gaps: p.gaps, Err: p.err,
	}
}
