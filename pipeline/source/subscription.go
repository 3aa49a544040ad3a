package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/storage"
)

// subscription is one Subscribe: a client, a goroutine that polls it, one that looks after partitions, and one per partition
// that hands out.
//
// Whatever changes offsets in the client runs in the polling goroutine, between two polls. So no fetch from before a change is
// taken for one from after it.
type subscription struct {
	c      Config
	opts   []kgo.Opt
	cl     *kgo.Client
	adm    *kadm.Client
	topic  string
	ctx    context.Context
	cancel context.CancelFunc
	out    chan *message.Message
	log    zerolog.Logger
	kick   chan struct{} // tend looks now
	big    chan struct{} // held by the one that fetches an oversized batch
	wg     sync.WaitGroup

	count  atomic.Int32  // of parts
	topics *atomic.Int32 // that are read

	mu       sync.Mutex
	parts    map[int32]*partition
	seen     bool  // the topic's partitions have been listed once
	whole    bool  // parts has all that the topic had then
	err      error // of the topic as a whole
	missed   int   // answers of the broker, in a row, that there is no such topic
	commands []func()
	wake     context.CancelFunc // ends the running poll
}

func newSubscription(ctx context.Context, src *Source, cl *kgo.Client, topic string) *subscription {
	ctx, cancel := context.WithCancel(ctx)
	c := src.c
	return &subscription{
		c: c, opts: src.opts, big: src.big, topics: &src.topics, cl: cl, adm: kadm.NewClient(cl), topic: topic, ctx: ctx, cancel: cancel,
		out: make(chan *message.Message), kick: make(chan struct{}, 1),
		log:   c.Logger.With().Str("topic", topic).Logger(),
		parts: map[int32]*partition{},
	}
}

func (s *subscription) run() {
	defer close(s.out)
	defer s.cl.Close()
	s.wg.Go(s.tend)
	s.poll()
	s.cancel()
	s.wg.Wait()
}

// do runs fn in the polling goroutine.
func (s *subscription) do(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.commands = append(s.commands, fn)
	if s.wake != nil {
		s.wake()
	}
}

func (s *subscription) poll() {
	for s.ctx.Err() == nil {
		ctx, wake := context.WithCancel(s.ctx)
		s.mu.Lock()
		commands := s.commands
		s.commands, s.wake = nil, wake
		s.mu.Unlock()
		for _, fn := range commands {
			fn()
		}
		fetches := s.cl.PollRecords(ctx, 0)
		wake()
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachTopic(func(t kgo.FetchTopic) {
			if t.Topic != s.topic {
				return // an error that kgo made up to end the poll
			}
			for i := range t.Partitions {
				s.take(t.TopicID, &t.Partitions[i])
			}
		})
	}
}

// take hands what was fetched to its partition.
func (s *subscription) take(id [16]byte, f *kgo.FetchPartition) {
	s.mu.Lock()
	p := s.parts[f.Partition]
	s.mu.Unlock()
	if p == nil {
		return
	}
	if len(f.Records) > 0 {
		p.push(id, f)
	}
	if f.Err != nil {
		s.fetchFailed(p, f.Err)
	}
}

// fetchFailed receives errors that kgo does not retry. The partition stands still until it is placed anew.
func (s *subscription) fetchFailed(p *partition, err error) {
	var loss *kgo.ErrDataLoss
	var large *kgo.ErrDecompressTooLarge
	switch {
	case errors.As(err, &loss):
		s.report(p, loss.ConsumedTo, loss.ResetTo)
		p.restart(loss.ResetTo)
	case errors.As(err, &large):
		p.log.Warn().Int64("offset", large.Offset).Msg("record batch is too large when decompressed, fetching it alone")
		s.wg.Go(func() { s.oversized(p, large) })
		return
	case errors.Is(err, kerr.UnknownTopicID):
		// made anew under the same name: kgo wants to forget the old one
		s.cl.PurgeTopicsFromClient(s.topic)
		s.mu.Lock()
		for _, q := range s.parts {
			q.fail(err)
		}
		s.mu.Unlock()
	}
	s.cl.RemoveConsumePartitions(p.ids()) // or kgo might fetch the same error again at once
	if p.fail(err) && !errors.Is(err, kerr.OffsetOutOfRange) {
		p.log.Warn().Err(err).Msg("fetching the partition failed; retrying from the stored position")
	}
	s.kickTend()
}

func (s *subscription) report(p *partition, from, to int64) {
	p.log.Warn().Int64("from", from).Int64("to", to).Msg("the log no longer holds the position, records are missing")
	s.c.OnTruncated(s.topic, p.id, from, to)
}

func (s *subscription) kickTend() {
	select {
	case s.kick <- struct{}{}:
	default:
	}
}

// tend asks for end offsets every Refresh, and with them finds partitions and places those that do not run.
func (s *subscription) tend() {
	tick := time.NewTicker(s.c.Refresh)
	defer tick.Stop()
	for {
		if err := s.look(); s.ctx.Err() == nil {
			s.setErr(err)
		}
		select {
		case <-tick.C:
		case <-s.kick:
			// paces a partition that fails again at once
			select {
			case <-time.After(s.c.Refresh / 10):
			case <-s.ctx.Done():
				return
			}
		case <-s.ctx.Done():
			return
		}
	}
}

// setErr logs the beginning and the end of trouble, not its repetitions.
func (s *subscription) setErr(err error) {
	s.mu.Lock()
	old := s.err
	s.err = err
	s.mu.Unlock()
	switch {
	case err != nil && (old == nil || errors.Is(err, ErrNoTopic) != errors.Is(old, ErrNoTopic)):
		s.log.Warn().Err(err).Msg("reading the topic failed, retrying")
	case err == nil && old != nil:
		s.log.Info().Msg("reading the topic")
	}
}

// ErrNoTopic is the state of a topic that does not exist; it is looked for until it does.
var ErrNoTopic = errors.New("pipeline: topic does not exist yet")

var errNoPartition = errors.New("pipeline: the topic has fewer partitions now")

func (s *subscription) look() error {
	ctx, cancel := context.WithTimeout(s.ctx, max(5*time.Second, 2*s.c.Refresh))
	defer cancel()
	asked := time.Now() // what is written from now on the answer may not count
	ends, err := EndOffsets(ctx, s.adm, s.topic)
	if errors.Is(err, kerr.UnknownTopicOrPartition) {
		err = ErrNoTopic
	}
	s.mu.Lock()
	for id, p := range s.parts {
		end, ok := ends[PartitionID{s.topic, id}]
		switch {
		case ok:
			p.ended(end, asked)
		case errors.Is(err, ErrNoTopic) || err == nil:
			p.missing(cmp.Or(err, errNoPartition))
		case err != nil:
			p.unreachable(err)
		}
	}
	if errors.Is(err, ErrNoTopic) {
		s.missed++
	} else if err == nil {
		s.missed = 0
	}
	first := !s.seen && !errors.Is(err, ErrNoTopic)
	absent := !s.seen && errors.Is(err, ErrNoTopic)
	s.mu.Unlock()
	if absent && s.c.StartLatest && s.c.Begin != nil {
		if berr := s.c.Begin(s.topic, nil); berr != nil {
			return fmt.Errorf("pipeline: store that topic %s does not exist yet: %w", s.topic, berr)
		}
	}
	if len(ends) > 0 {
		if perr := s.place(ctx, ends, first && s.c.StartLatest && !s.known(ends)); perr != nil && err == nil {
			err = perr
		}
	}
	if errors.Is(err, ErrNoTopic) || len(ends) > 0 && err == nil {
		s.mu.Lock()
		s.seen = true // what appears from now on is new
		s.whole = s.whole || err == nil
		s.mu.Unlock()
	}
	return err
}

// place starts every listed partition that does not run, where it belongs.
func (s *subscription) place(ctx context.Context, ends map[PartitionID]int64, latest bool) error {
	var waiting []*partition
	s.mu.Lock()
	for id := range ends {
		p := s.parts[id.Partition]
		if p == nil {
			p = newPartition(s, id.Partition)
			s.parts[id.Partition] = p
			s.count.Store(int32(len(s.parts)))
			s.wg.Go(p.work)
		}
		if p.waits() {
			waiting = append(waiting, p)
		}
	}
	s.mu.Unlock()
	if len(waiting) == 0 {
		return nil
	}
	slices.SortFunc(waiting, func(a, b *partition) int { return int(a.id - b.id) })
	starts, err := StartOffsets(ctx, s.adm, s.topic)
	if err != nil {
		return err
	}
	topics, err := s.adm.ListTopics(ctx, s.topic)
	if err != nil {
		return fmt.Errorf("pipeline: describe topic %s: %w", s.topic, err)
	}
	id := [16]byte(topics[s.topic].ID)
	if latest {
		if err := s.begin(waiting, id, ends); err != nil {
			return err
		}
	}
	for _, p := range waiting {
		start, ok := starts[PartitionID{s.topic, p.id}]
		if !ok {
			continue
		}
		at, epoch := p.startAt(id, start, ends[PartitionID{s.topic, p.id}], latest)
		s.do(func() { p.start(at, epoch) })
	}
	return nil
}

// share is what one partition may have fetched ahead, in bytes.
func (s *subscription) share() int {
	return s.c.BufferBytes * 2 / int(max(2, s.topics.Load())) / int(max(1, s.count.Load()))
}

// begin stores that partitions start at their end. Resolved anew at the next start, the end would lie after records that came meanwhile.
func (s *subscription) begin(waiting []*partition, id [16]byte, ends map[PartitionID]int64) error {
	if s.c.Begin == nil {
		return nil
	}
	var list []storage.Position
	for _, p := range waiting {
		list = append(list, storage.Position{Topic: s.topic, Partition: p.id, Offset: ends[PartitionID{s.topic, p.id}], LeaderEpoch: -1,
			TopicID: id})
	}
	if err := s.c.Begin(s.topic, list); err != nil {
		return fmt.Errorf("pipeline: store where topic %s begins: %w", s.topic, err)
	}
	return nil
}

// known reports whether a position of the topic is stored: then a partition without one is new.
func (s *subscription) known(ends map[PartitionID]int64) bool {
	if s.c.Begun != nil && s.c.Begun(s.topic) {
		return true
	}
	for id := range ends {
		if _, ok := s.c.Position(s.topic, id.Partition); ok {
			return true
		}
	}
	return false
}

func (s *subscription) seek(id int32, offset int64) {
	s.mu.Lock()
	p := s.parts[id]
	s.mu.Unlock()
	if p != nil {
		p.restart(offset)
		s.do(func() { p.start(offset, -1) })
	}
}

func (s *subscription) states() []PartitionState {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := make([]PartitionState, 0, max(1, len(s.parts)))
	for _, p := range s.parts {
		if !p.gone() {
			st := p.state()
			st.Partial = !s.whole
			list = append(list, st)
		}
	}
	if len(list) == 0 {
		list = append(list, PartitionState{Topic: s.topic, Partition: -1, Err: s.err, Absent: s.missed >= goneAfter})
	}
	return list
}
