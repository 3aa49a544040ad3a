package views

import (
	"encoding/binary"
	"fmt"
	"time"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/dedup"
	"github.com/gaurav/watchingcat/views/drain"
	"github.com/gaurav/watchingcat/views/intake"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// tracesView keeps the summaries of traces.
type tracesView struct {
	part
	store *traces.Store
}

// collect gives the raw blocks that summaries refer to their numbers among those of the checkpoint.
func (v *tracesView) collect(c *Checkpoint) {
	base := uint32(0)
	for _, t := range c.taken {
		for i := range t.Traces.Parts {
			for k := range t.Traces.Parts[i].Raw {
				r := &t.Traces.Parts[i].Raw[k]
				r.Seq, r.N = c.next.seq, r.N+base
			}
		}
		base += uint32(len(t.Raw[intake.RawSpans].Blocks))
	}
}

// encode: how many, the time that theirs are relative to, each.
func (v *tracesView) encode(b []byte, c *Checkpoint) []byte {
	n := 0
	for _, t := range c.taken {
		n += len(t.Traces.Parts)
	}
	b = binary.AppendUvarint(b, uint64(n))
	b = binary.AppendUvarint(b, c.next.head)
	for _, t := range c.taken {
		for i := range t.Traces.Parts {
			b = t.Traces.Parts[i].Append(b, c.next.head, c.next.seq)
		}
	}
	return b
}

func (v *tracesView) decode(d *model.Decoder, c *Checkpoint) {
	n, base := d.Count(), d.Uvarint()
	parts := &c.taken[0].Traces.Parts
	for range n {
		var t traces.Trace
		t.Decode(d, base, c.next.seq)
		*parts = append(*parts, t)
	}
}

func (v *tracesView) install(c *Checkpoint, in *installing) error {
	for _, t := range c.taken {
		for i := range t.Traces.Parts {
			if err := v.store.Install(in.kv, &t.Traces.Parts[i]); err != nil {
				return err
			}
		}
	}
	return nil
}

func (v *tracesView) fold(f *folding) error {
	f.entries = v.store.Fold(f.kv.Keyspace, f.seq, f.head, f.traces, f.then, f.entries)
	return nil
}

func (v *tracesView) restore(kv model.State) error {
	if err := v.store.Restore(kv); err != nil {
		return fmt.Errorf("read blocks of traces: %w", err)
	}
	return nil
}

// patternsView keeps the clusters of log lines. The table of patterns counts under their ids.
type patternsView struct {
	part
	store   *drain.Store
	counted *cells.Dict
}

// encode: the clusters of each partition that has any; then 0.
func (v *patternsView) encode(b []byte, c *Checkpoint) []byte {
	for _, t := range c.taken {
		b = t.Patterns.Append(b)
	}
	return append(b, 0)
}

func (v *patternsView) decode(d *model.Decoder, c *Checkpoint) {
	for p := new(drain.Batch); p.Decode(d); p = new(drain.Batch) {
		c.taken = append(c.taken, &intake.Batch{Patterns: *p})
	}
}

func (v *patternsView) install(c *Checkpoint, _ *installing) error {
	for _, t := range c.taken {
		v.store.Install(&t.Patterns)
	}
	return nil
}

func (v *patternsView) fold(f *folding) error {
	f.entries = v.store.Fold(f.kv.Keyspace, v.clusters, f.then, f.entries)
	return nil
}

// clusters are those that the table counts under.
func (v *patternsView) clusters() map[drain.ClusterID]bool {
	out := map[drain.ClusterID]bool{}
	v.counted.EachKey(func(key string) {
		if l := cells.SplitLabels(key); len(l) > 1 {
			if id, ok := drain.ParseClusterID(l[1]); ok {
				out[id] = true
			}
		}
	})
	return out
}

func (v *patternsView) restore(kv model.State) error { return v.store.Restore(kv) }

// rawView keeps the records of one kind as they came, in blocks that are stored with their checkpoint.
type rawView struct {
	part
	store *traces.RawStore
	kind  int
}

func (v *rawView) collect(c *Checkpoint) {
	batches := make([]*traces.RawBatch, len(c.taken))
	for i, t := range c.taken {
		batches[i] = &t.Raw[v.kind]
	}
	var entries []storage.Entry
	entries, c.raw[v.kind] = v.store.Collect(c.keyspace(), c.next.seq, batches)
	c.ahead(entries)
}

func (v *rawView) install(c *Checkpoint, _ *installing) error {
	v.store.Install(c.raw[v.kind])
	return nil
}

func (v *rawView) fold(f *folding) error {
	since := f.traces
	if v.kind == intake.RawLogs {
		since = f.logs
	}
	f.entries = v.store.Fold(f.kv.Keyspace, since, f.then, f.entries)
	return nil
}

func (v *rawView) resume(kv model.State, seq uint64, _ *model.Counters) error {
	return v.store.Restore(kv, seq)
}

// recordsView keeps the hashes of records, to know those that are sent again.
type recordsView struct {
	part
	seen *dedup.Records
}

func (v *recordsView) collect(c *Checkpoint) {
	var hashes []dedup.Seen
	for _, t := range c.taken {
		hashes = append(hashes, t.Hashes...)
	}
	c.Commit.Entries = v.seen.Store(c.keyspace(), c.next.seq, hashes, c.Commit.Entries)
}

func (v *recordsView) fold(f *folding) error {
	f.last = v.seen.Forget(f.kv.Keyspace, f.records, f.last)
	return nil
}

func (v *recordsView) resume(kv model.State, _ uint64, _ *model.Counters) error {
	if err := v.seen.Restore(kv); err != nil {
		return fmt.Errorf("read record hashes: %w", err)
	}
	return nil
}

// spansView keeps the keys of spans, to know those that are sent again in other records.
type spansView struct {
	part
	seen   *dedup.Spans // nil: spans are not de-duplicated
	window time.Duration
}

func (v *spansView) collect(c *Checkpoint) {
	keys := make([][]dedup.SpanKey, len(c.taken))
	for i, t := range c.taken {
		keys[i] = t.SpanKeys
	}
	c.Commit.Entries = v.seen.Store(c.keyspace(), c.next.seq, keys, &c.next.counters, c.Commit.Entries)
}

func (v *spansView) fold(f *folding) error {
	f.last = v.seen.Forget(f.kv.Keyspace, f.records+v.window.Milliseconds(), f.last)
	return nil
}

func (v *spansView) resume(kv model.State, _ uint64, c *model.Counters) error {
	if err := v.seen.Restore(kv, c); err != nil {
		return fmt.Errorf("read spans seen: %w", err)
	}
	return nil
}
