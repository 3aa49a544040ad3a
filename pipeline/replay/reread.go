package replay

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/ingest"
	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/source"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// Reread reads what the topics hold of a past once more, into views of its own in memory, and stops at moments of it, so that rules can be
// evaluated as they were then.
//
// The simple version: partitions are read side by side, each up to the records of the moment; when all are there, a checkpoint is taken and
// Stop is called, then the next moment comes. Between moments the views are what the live ones were: a function of the records read.
type Reread struct {
	Set *views.Set
	// Since is from when on the topics hold every record; zero: they never lost any.
	Since time.Time

	c      RereadConfig
	ingest *ingest.Ingest
	ingest.Intake
	first time.Time // timestamp of the oldest record

	mu     sync.Mutex
	turn   *sync.Cond // the moment or a partition changed
	moment Moment
	parts  map[source.PartitionID]*rereadPart
	begun  time.Time
	moved  int64 // records that were read
	over   bool
}

// RereadConfig is what OpenReread needs. To and Stop are required.
type RereadConfig struct {
	Kafka kafka.Config
	Views model.Config // raw records are not kept
	// Spans and Logs are the topics that are read.
	Spans, Logs kafka.Topics
	Encodings   ingest.Encodings
	// Lateness is how far behind the clock the watermark of a partition stays that has nothing to read.
	Lateness time.Duration
	// From and To are timestamps of records; zero From: from the oldest on.
	From, To time.Time
	// Interval is between two moments (0: 250 ms). Moments, if given, are stopped at in their place.
	Interval time.Duration
	Moments  []Moment
	// MaxRecords is how many records are read at most (0: 20,000,000); more are refused at once.
	MaxRecords int64
	Stop       func(ctx context.Context, now time.Time) error
	Opened     func(r *Reread)        // once it is known where the topics begin; may be nil
	Progress   func(progress.Reading) // now and then; may be nil
	Logger     zerolog.Logger
}

// A Moment is what the live views held when they were looked at.
type Moment struct {
	Now       time.Time                    // by the clock
	Positions map[source.PartitionID]int64 // read up to, exclusive; nil: every record with a timestamp up to Now
	Complete  time.Time                    // the complete frontier; zero: as if there had been no lag
}

// rereadPart is one partition.
type rereadPart struct {
	start, end int64
	position   int64       // next record to be applied
	at         *kgo.Record // waits for its moment; nil: none does
}

func (p *rereadPart) done() bool { return p.position >= p.end }

// Errors of a Reread that callers distinguish.
var (
	// ErrRereadSize is wrapped when there are more records than may be read.
	ErrRereadSize = errors.New("pipeline: too many records to read again")
	// ErrRereadEmpty is wrapped when the topics hold nothing of the time.
	ErrRereadEmpty = errors.New("pipeline: the topics hold no record of that time")

	errRereadOver = errors.New("pipeline: everything was read")
)

// OpenReread asks the brokers where to begin and makes the views.
func OpenReread(ctx context.Context, c RereadConfig) (*Reread, error) {
	c.Interval, c.MaxRecords = cmp.Or(c.Interval, 250*time.Millisecond), cmp.Or(c.MaxRecords, 20_000_000)
	c.Views.Version, c.Views.TraceRetention, c.Views.LogRetention = 0, -1, -1
	r := &Reread{c: c, parts: map[source.PartitionID]*rereadPart{}}
	r.turn = sync.NewCond(&r.mu)
	if err := r.place(ctx); err != nil {
		return nil, err
	}
	kv := storage.NewMem(storage.MemOptions{})
	set, err := views.Open(kv, c.Views)
	if err != nil {
		return nil, err
	}
	r.Set = set
	var positions []storage.Position
	for id, p := range r.parts {
		set.Partition(id.Topic, id.Partition) // the frontier waits for what was not read yet
		positions = append(positions, storage.Position{Topic: id.Topic, Partition: id.Partition, Offset: p.start, LeaderEpoch: -1})
	}
	r.ingest = ingest.New(ingest.Config{Set: set, KV: kv, Logs: c.Logs, Encodings: c.Encodings, Lateness: c.Lateness, States: r.idle, MaxPending: 1 << 62,
		DeadLetter: func(context.Context, *kgo.Record, string) error { return nil }, // the live views delivered it
		Logger:     zerolog.Nop()})
	r.Intake = ingest.Intake{Topics: []kafka.Topics{kafka.TopicsOf(r.topics()...)}, KV: kv, Log: c.Logger, Take: r.handle, Commit: r.moments,
		Lost: func(string, int32, int64) {}}
	if err := r.Open(source.Config{Kafka: c.Kafka, DeadLetter: r.ingest.Config.DeadLetter}, positions, ingest.Telemetry{}); err != nil {
		return nil, err
	}
	if c.Opened != nil {
		c.Opened(r)
	}
	return r, nil
}

// topics are those of the partitions.
func (r *Reread) topics() (list []string) {
	for id := range r.parts {
		list = append(list, id.Topic)
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// findTopics are the topics of signals: those that are named, and those that match a pattern now.
func findTopics(ctx context.Context, adm *kadm.Client, of ...kafka.Topics) (list []string, err error) {
	for _, t := range of {
		found, err := t.Find(ctx, adm)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	slices.Sort(list)
	return slices.Compact(list), nil
}

// place finds where each partition begins and ends.
func (r *Reread) place(ctx context.Context) error {
	cl, err := r.c.Kafka.Client()
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	from := r.c.From
	if from.IsZero() {
		from = time.Unix(0, 0)
	}
	var total int64
	topics, err := findTopics(ctx, adm, r.c.Spans, r.c.Logs)
	if err != nil {
		return err
	}
	for _, topic := range topics {
		starts, err := source.StartOffsets(ctx, adm, topic)
		if errors.Is(err, kerr.UnknownTopicOrPartition) {
			continue
		}
		if err != nil {
			return err
		}
		begin, err := source.OffsetsFrom(ctx, adm, from, topic)
		if err != nil {
			return err
		}
		end, err := source.OffsetsFrom(ctx, adm, r.c.To.Add(time.Millisecond), topic)
		if err != nil {
			return err
		}
		for id, at := range begin {
			p := &rereadPart{start: at.Offset, position: at.Offset, end: end[id].Offset}
			r.parts[id] = p
			if p.done() {
				continue
			}
			total += p.end - p.start
			if r.first.IsZero() || at.First.Before(r.first) {
				r.first = at.First
			}
			if p.start == starts[id] && p.start > 0 && at.First.After(r.Since) {
				r.Since = at.First
			}
		}
	}
	switch {
	case total == 0:
		return fmt.Errorf("%w: %s to %s", ErrRereadEmpty, r.c.From.UTC().Format(time.RFC3339), r.c.To.UTC().Format(time.RFC3339))
	case total > r.c.MaxRecords:
		return fmt.Errorf("%w: %d, at most %d; take a shorter range", ErrRereadSize, total, r.c.MaxRecords)
	}
	return nil
}

// Run reads until To. Stop is called at each moment, from one goroutine.
func (r *Reread) Run(ctx context.Context) error {
	r.begun = time.Now()
	stop := context.AfterFunc(ctx, r.end)
	defer stop()
	err := r.Consume(ctx)
	if errors.Is(err, errRereadOver) {
		return nil
	}
	return cmp.Or(ctx.Err(), err)
}

// end lets those who wait for a moment go.
func (r *Reread) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.turn.Broadcast()
}

// wake lets those who wait look again.
func (r *Reread) wake() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turn.Broadcast()
}

// Close ends a Reread that is not run.
func (r *Reread) Close() error { return r.Source.Close() }

// handle applies a batch, record by record as their moments come.
func (r *Reread) handle(msg *message.Message) error {
	b, ok := source.BatchFrom(msg.Context())
	if !ok {
		return errors.New("pipeline: message without a batch: it does not come from a Source")
	}
	id := source.PartitionID{Topic: b.Topic, Partition: b.Partition}
	a := r.Set.Partition(b.Topic, b.Partition)
	stop := context.AfterFunc(msg.Context(), r.wake)
	defer stop()
	received := time.Now().UnixMilli()
	for _, rec := range b.Records {
		if rec.Attrs.IsControl() {
			continue
		}
		if err := r.wait(msg.Context(), id, rec); err != nil {
			return err
		}
		if err := r.ingest.Record(msg.Context(), a, rec, min(rec.Timestamp.UnixMilli(), received)); err != nil {
			return err
		}
		r.read(id, rec.Offset+1, 1)
	}
	a.Advance(b.Next, b.LeaderEpoch)
	r.read(id, b.Next, 0)
	return nil
}

// wait returns when the moment includes a record; what lies behind the end is never applied.
func (r *Reread) wait(ctx context.Context, id source.PartitionID, rec *kgo.Record) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.parts[id]
	p.position = max(p.position, rec.Offset)
	for {
		switch {
		case r.over || ctx.Err() != nil:
			return cmp.Or(ctx.Err(), context.Canceled)
		case !p.done() && r.moment.has(id, rec):
			p.at = nil
			return nil
		}
		if p.at != rec { // else those who wait would wake each other up for ever
			p.at = rec
			r.turn.Broadcast()
		}
		r.turn.Wait()
	}
}

func (m *Moment) has(id source.PartitionID, rec *kgo.Record) bool {
	if m.Positions != nil {
		return rec.Offset < m.Positions[id]
	}
	return !rec.Timestamp.After(m.Now)
}

func (r *Reread) read(id source.PartitionID, position, records int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.parts[id].position = max(r.parts[id].position, position)
	r.moved += records
	if r.parts[id].done() {
		r.turn.Broadcast()
	}
}

// idle are all partitions: when a checkpoint is taken at a moment, each has been read up to it.
func (r *Reread) idle() (list []source.PartitionState) {
	for id := range r.parts {
		list = append(list, source.PartitionState{Topic: id.Topic, Partition: id.Partition, Idle: true})
	}
	return list
}

// moments goes from moment to moment.
func (r *Reread) moments(ctx context.Context) error {
	defer r.end()
	stop := context.AfterFunc(ctx, r.end)
	defer stop()
	looking, ended := context.WithCancel(ctx)
	defer ended()
	go r.look(looking)
	reported := time.Time{}
	for m, ok := r.next(0); ok; m, ok = r.next(1) {
		if err := r.reach(ctx, m); err != nil {
			return err
		}
		r.ingest.Config.Lateness = r.c.Lateness
		if !m.Complete.IsZero() {
			r.ingest.Config.Lateness = m.Now.Sub(m.Complete)
		}
		if err := r.ingest.Checkpoint(ctx, m.Now); err != nil {
			return err
		}
		if err := r.c.Stop(ctx, m.Now); err != nil {
			return err
		}
		if now := time.Now(); r.c.Progress != nil && now.Sub(reported) > 200*time.Millisecond {
			reported = now
			r.c.Progress(r.reading())
		}
	}
	if r.c.Progress != nil {
		r.c.Progress(r.reading())
	}
	return errRereadOver
}

// next makes the next moment the one that handlers apply up to; by 0 it begins.
func (r *Reread) next(by int) (Moment, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	defer r.turn.Broadcast()
	if r.c.Moments != nil {
		r.c.Moments = r.c.Moments[min(by, len(r.c.Moments)):]
		if len(r.c.Moments) == 0 {
			return Moment{}, false
		}
		r.moment = r.c.Moments[0]
		return r.moment, true
	}
	if by == 0 {
		first := r.first
		if r.c.From.After(first) {
			first = r.c.From
		}
		r.moment = Moment{Now: first.Truncate(r.c.Interval)}
	}
	r.moment.Now = r.moment.Now.Add(r.c.Interval)
	return r.moment, !r.moment.Now.After(r.c.To.Add(r.c.Lateness + r.c.Interval))
}

// reach waits until every partition has been read up to the moment.
func (r *Reread) reach(ctx context.Context, m Moment) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		if r.over || ctx.Err() != nil {
			return cmp.Or(ctx.Err(), context.Canceled)
		}
		if r.there(m) {
			return nil
		}
		r.turn.Wait()
	}
}

func (r *Reread) there(m Moment) bool {
	for id, p := range r.parts {
		waits := p.at != nil && !m.has(id, p.at)
		if !p.done() && !waits && (m.Positions == nil || p.position < m.Positions[id]) {
			return false
		}
	}
	return true
}

// look asks the source about partitions that bring nothing until ctx ends: a log may end in offsets without records.
func (r *Reread) look(ctx context.Context) {
	t := time.NewTicker(200 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			r.skipEmpty()
		}
	}
}

func (r *Reread) skipEmpty() {
	states := r.Source.States()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range states {
		if p := r.parts[source.PartitionID{Topic: s.Topic, Partition: s.Partition}]; p != nil && s.Idle && s.Position > p.position {
			p.position = s.Position
		}
	}
	r.turn.Broadcast()
}

func (r *Reread) reading() progress.Reading {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := progress.Reading{At: r.moment.Now}
	for _, x := range r.parts {
		p.Total += max(0, x.end-x.start)
		p.Records += max(0, min(x.position, x.end)-x.start)
	}
	if d := time.Since(r.begun).Seconds(); d > 0 {
		p.Rate = float64(r.moved) / d
	}
	return p
}
