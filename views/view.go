package views

import (
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/intake"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/traces"
)

// A view is one kind of thing that a Set keeps, with its part in checkpoints, folds and restarts. It knows the room that holds the thing,
// and neither the Set nor other views. Set.views lists all views in the order of their parts of a journal entry; a Set does everything by
// going through that list.
//
//	checkpoint   collect, encode; after the commit install
//	fold         fold
//	restart      restore, for each journal entry decode and install, then resume
//
// What a view takes from records is in the batches of a checkpoint; intake fills them.
type view interface {
	// collect makes ready what the batches hold, and stores with the checkpoint what does not go through the journal.
	collect(c *Checkpoint)
	// encode appends what the batches hold to the checkpoint's journal entry.
	encode(b []byte, c *Checkpoint) []byte
	// decode reads what encode wrote: the definitions at once, the rest into the batches.
	decode(d *model.Decoder, c *Checkpoint)
	// install adds the batches to what readers see.
	install(c *Checkpoint, in *installing) error
	// fold stores what changed since the last fold.
	fold(f *folding) error
	// restore reads what the last fold stored.
	restore(kv model.State) error
	// resume reads what checkpoints up to seq stored beside the journal.
	resume(kv model.State, seq uint64, c *model.Counters) error
}

// installing is what views need to install a checkpoint, and what they report of it.
type installing struct {
	kv       model.State
	seq      uint64
	since    model.Sinces
	counters *model.Counters
	red      []model.Touch
	edges    []model.Touch
	tables   model.TableSet
}

// folding is what views need to fold, and what they store.
type folding struct {
	kv        model.State
	seq, head uint64
	horizon   cells.Horizon
	traces    uint64 // spans that ended before, Unix nanoseconds, are no longer kept
	logs      uint64 // the same of log lines
	records   int64  // timestamp, Unix milliseconds, before which no record can be sent again
	then      *model.Later
	entries   []storage.Entry // may be committed before the checkpoint: each says itself up to which checkpoint it counts
	last      []storage.Entry // is committed with the checkpoint
}

// part is embedded by views: it does nothing where they have nothing to do.
type part struct{}

func (part) collect(*Checkpoint)                               {}
func (part) encode(b []byte, _ *Checkpoint) []byte             { return b }
func (part) decode(*model.Decoder, *Checkpoint)                {}
func (part) install(*Checkpoint, *installing) error            { return nil }
func (part) fold(*folding) error                               { return nil }
func (part) restore(model.State) error                         { return nil }
func (part) resume(model.State, uint64, *model.Counters) error { return nil }

// stateful is what keeps something in the state that a fold stores.
type stateful interface {
	AppendState(b []byte) []byte
	RestoreState(d *model.Decoder)
}

// A Checkpoint is what the views took between two commits.
type Checkpoint struct {
	// Before are to be committed first, in order: parts of a fold too large for one transaction. Each may be tried again as it is.
	Before []storage.Commit
	Commit storage.Commit // to be committed then; may be tried again as it is
	Spans  uint64
	Logs   uint64
	Bytes  int // of the journal entry

	records uint64 // bytes of the records
	from    []*intake.Accumulator
	taken   []*intake.Batch
	raw     [intake.RawKinds]traces.RawMeta
	limit   int // bytes of a transaction
	next    state
	marks   map[model.Partition]uint64
	gone    []model.Partition // see Mark.Gone
	sifted  int               // checkpoints whose raw blocks were sifted
	then    model.Later       // what a fold changes for readers once it is committed
}

func (c *Checkpoint) keyspace() model.Keyspace {
	return model.Keyspace{Version: c.Commit.Version, Shard: c.Commit.Shard}
}

// ahead commits entries before the checkpoint when they are many, in parts that fit a transaction, else with it.
func (c *Checkpoint) ahead(entries []storage.Entry) {
	size := 0
	for _, e := range entries {
		size += len(e.Value)
	}
	if size < c.limit/4 {
		c.Commit.Entries = append(c.Commit.Entries, entries...)
		return
	}
	c.before(entries)
}

// before puts entries into the checkpoint's commit, or into commits before it when they are many.
func (c *Checkpoint) before(entries []storage.Entry) {
	size := 0
	var part []storage.Entry
	for _, e := range entries {
		n := len(e.Key) + len(e.Value) + 32
		if size+n > c.limit && len(part) > 0 {
			c.Before = append(c.Before, storage.Commit{Version: c.Commit.Version, Shard: c.Commit.Shard, Entries: part})
			part, size = nil, 0
		}
		part, size = append(part, e), size+n
	}
	if size < c.limit/4 {
		c.Commit.Entries = append(c.Commit.Entries, part...)
		return
	}
	c.Before = append(c.Before, storage.Commit{Version: c.Commit.Version, Shard: c.Commit.Shard, Entries: part})
}
