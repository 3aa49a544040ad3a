package verify

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.opentelemetry.io/collector/pdata/plog"
	"go.opentelemetry.io/collector/pdata/ptrace"

	"github.com/gaurav/watchingcat/pipeline/encoding"
	"github.com/gaurav/watchingcat/pipeline/progress"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// Result is what the comparison of one window found.
type Result struct {
	Window
	// Cells were compared. Uncertain ones were not: the order of arrival may decide how they count, or there are too many calls.
	Cells, Uncertain int
	Differing        []progress.Difference
	Records          int64 // that were read
	Busy             time.Duration
	Calls            bool // they were compared
}

const (
	// around is how far from a window, by their records' timestamps, the sides of its calls are looked for at first.
	around = 15 * time.Second
	// compensated is how far before it they are looked for in the end.
	compensated = 15 * time.Minute
	// latest bounds how late spans are expected to come. What comes later is found by the second reading.
	latest = time.Hour
)

// errSwapped says that a replay put other views in place of those that were compared.
var errSwapped = errors.New("a replay has swapped the views meanwhile")

// check counts one window again and compares it. A first reading takes the records written about then. If cells differ, records may have
// come late: a second one takes all until now, and only what differs then too is a difference.
func (v *Verifier) check(ctx context.Context, w Window, pace *pacer) (Result, error) {
	began := time.Now()
	c := checking{v: v, w: w, pace: pace, rules: v.c.Rules()}
	if err := c.hold(); err != nil {
		return Result{Window: w}, err
	}
	c.busy += time.Since(began)
	first, err := c.recount(ctx, w.From.Add(-around), w.To.Add(v.slack()), nil)
	if err != nil {
		return c.result(comparison{}, first), err
	}
	of := first.pair()
	found := c.compare(first)
	v.came(first.late)
	if len(found.differing) == 0 {
		return c.result(found, first), nil
	}
	second, err := c.recount(ctx, w.From.Add(-compensated), time.Time{}, of)
	if err != nil {
		return c.result(comparison{}, second), err
	}
	second.pair()
	found = c.compare(second)
	v.came(second.late)
	return c.result(found, second), nil
}

// checking is the state of one check.
type checking struct {
	v             *Verifier
	w             Window
	width         time.Duration
	rules         Rules
	pace          *pacer
	before, after map[source.PartitionID]Position // positions, before and after the views were read
	held          held
	busy          time.Duration
	records       int64
}

// hold reads the views.
func (c *checking) hold() error {
	r, release := c.v.c.Views()
	defer release()
	c.before = c.v.c.Positions()
	f := r.Frontier()
	c.width = f.WidthAt(c.w.From)
	if c.width > step {
		return fmt.Errorf("%s: the views hold only buckets of %v of that time", c.w, c.width)
	}
	var err error
	if c.held, err = hold(r, c.w, c.width); err != nil {
		return err
	}
	c.after = c.v.c.Positions()
	now, done := c.v.c.Views()
	defer done()
	if now.Frontier().Version != f.Version {
		return errSwapped
	}
	return nil
}

// recount reads the records with timestamps of a range; without an end, all that the views may hold.
func (c *checking) recount(ctx context.Context, from, to time.Time, only map[callID]bool) (*recount, error) {
	n := newRecount(c.rules, c.w, c.width, only)
	until := c.before
	if to.IsZero() {
		until = c.after
	}
	cl, err := c.v.c.Kafka.Client()
	if err != nil {
		return n, err
	}
	of, err := place(ctx, cl, until, from, to)
	cl.Close()
	if err != nil {
		return n, err
	}
	var u decoder
	err = read(ctx, c.v.c.Kafka, of, func(r *kgo.Record) error {
		began := time.Now()
		at := arrival{ms: r.Timestamp.UnixMilli(), uncertain: r.Offset >= c.before[source.PartitionID{Topic: r.Topic, Partition: r.Partition}].Offset}
		u.count(n, r, c.v.c.Decoder(r.Topic), at)
		took := time.Since(began)
		c.busy += took
		c.records++
		if err := n.fits(); err != nil {
			return err
		}
		return c.rest(ctx, took)
	})
	return n, err
}

// rest waits as long as the share asks for.
func (c *checking) rest(ctx context.Context, took time.Duration) error {
	wait := c.pace.worked(took)
	if wait == 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

func (c *checking) compare(n *recount) (out comparison) {
	began := time.Now()
	out.add(compare("red", n.red, c.held.red))
	if c.held.operations != nil {
		out.add(compare("red by minute", operationsOf(n.red), c.held.operations))
	}
	if n.calls.over {
		out.uncertain += len(c.held.edges)
	} else {
		out.add(compare("servicemap", n.edges, c.held.edges))
	}
	out.add(compare("logs", n.lines, c.held.lines))
	c.busy += time.Since(began)
	return out
}

func (c *checking) result(found comparison, n *recount) Result {
	return Result{Window: c.w, Cells: found.compared, Uncertain: found.uncertain, Differing: found.differing, Records: c.records,
		Busy: c.busy, Calls: !n.calls.over}
}

// decoder decodes records. What cannot be decoded counts nothing: it is a dead letter.
type decoder struct {
	traces ptrace.ProtoUnmarshaler
	logs   plog.ProtoUnmarshaler
}

// maxRecord is the size from which on a record is a dead letter.
const maxRecord = 16 << 20

func (u *decoder) count(n *recount, r *kgo.Record, d encoding.Decoder, at arrival) {
	if len(r.Value) > maxRecord {
		return
	}
	defer func() { _ = recover() }() // a record that makes a decoder panic is a dead letter too
	_ = d.Apply(r, func(m encoding.Made) error {
		identity := m.Identity
		if identity == nil {
			identity = m.OTLP
		}
		if d.Signal == encoding.Logs {
			ld, err := u.logs.UnmarshalLogs(m.OTLP)
			if err == nil {
				n.logs(ld, identity, m.Line, at)
			}
			return err
		}
		td, err := u.traces.UnmarshalTraces(m.OTLP)
		if err == nil {
			n.traces(td, identity, at)
		}
		return err
	})
}
