package cells

import (
	"cmp"
	"encoding/binary"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// A table counts things under label values: exceptions, database calls, log lines. All tables work alike; what differs between
// them stands in tableDefs. A table is a store of tallies and a dictionary that gives each combination of label values an id.

// Tally is what a table keeps of one series.
type Tally struct {
	model.Counts
	Failed      uint64
	First, Last uint64 // event times of the first and the last, Unix nanoseconds
	// Latest is the newest with a trace id, Slowest the slowest.
	Slowest, Latest model.Exemplar
	// Text is a sample: of those with a text the newest.
	Text   string
	textAt uint64
}

// Tallied is one staged observation.
type Tallied struct {
	Cell   *Tally
	N      uint64
	Size   uint64
	Failed bool
	Timed  bool // has a duration
	Hist   uint16
	At     uint64
	Ex     model.Exemplar
	Text   string
}

// Observe counts one staged observation.
func (c *Tally) Observe(o *Tallied) {
	c.Calls += o.N
	c.Size += o.Size
	if o.Failed {
		c.Failed += o.N
	}
	if o.Timed {
		c.Sum.AddTimes(o.Ex.Duration, o.N)
		c.Hist.AddBucket(int(o.Hist), o.N)
	}
	c.Seen(o.At, o.At)
	if o.Ex.TraceID != ([16]byte{}) {
		c.Slowest.Slower(&o.Ex)
		c.Latest.Later(&o.Ex)
	}
	if o.Text != "" {
		c.sample(o.Text, o.At)
	}
}

// Seen widens the time over which something was seen, in Unix nanoseconds; first is 0: it is not known.
func (c *Tally) Seen(first, last uint64) {
	if first != 0 && (c.First == 0 || first < c.First) {
		c.First = first
	}
	c.Last = max(c.Last, last)
}

// sample keeps the newest text; of two at the same time the greater one, so that order does not matter.
func (c *Tally) sample(text string, at uint64) {
	if cmp.Or(cmp.Compare(at, c.textAt), cmp.Compare(text, c.Text)) > 0 {
		c.Text, c.textAt = text, at
	}
}

// Merge adds what o counted.
func (c *Tally) Merge(o *Tally) {
	c.Counts.Merge(&o.Counts)
	c.Failed += o.Failed
	c.Seen(o.First, o.Last)
	c.Slowest.Slower(&o.Slowest)
	c.Latest.Later(&o.Latest)
	if o.Text != "" {
		c.sample(o.Text, o.textAt)
	}
}

// Reset makes the tally zero and keeps the memory of its histogram.
func (c *Tally) Reset() {
	h := c.Hist
	h.Reset()
	*c = Tally{}
	c.Hist = h
}

// Append encodes the tally.
// A tally: counts, failed, first, last, slowest, latest, time of the text, text.
func (c *Tally) Append(b []byte) []byte {
	b = c.Counts.Append(b)
	b = binary.AppendUvarint(b, c.Failed)
	b = binary.AppendUvarint(b, c.First)
	b = binary.AppendUvarint(b, c.Last-c.First)
	b = c.Latest.Append(c.Slowest.Append(b))
	b = binary.AppendUvarint(b, c.textAt)
	return model.AppendString(b, c.Text)
}

// DecodeCounts is Decode without exemplars, which stay as they are.
func (c *Tally) DecodeCounts(d *model.Decoder) { c.Decode(d) }

// Decode reads what Append wrote.
func (c *Tally) Decode(d *model.Decoder) {
	c.Counts.Decode(d)
	c.Failed, c.First = d.Uvarint(), d.Uvarint()
	c.Last = c.First + d.Uvarint()
	c.Slowest.Decode(d)
	c.Latest.Decode(d)
	c.textAt, c.Text = d.Uvarint(), d.String()
}

// AppendLabel adds one label value to the key of a series.
func AppendLabel(key, v []byte) []byte {
	v = v[:min(len(v), model.MaxLabel)]
	return append(binary.AppendUvarint(key, uint64(len(v))), v...)
}

// AppendDims ends the key of a series: dimensions are its last value, and are never cut.
func AppendDims(key []byte, d model.Dims) []byte { return model.AppendString(key, string(d)) }

// labelKey is the key of a series without dimensions.
func labelKey(values ...[]byte) (key []byte) {
	for _, v := range values {
		key = AppendLabel(key, v)
	}
	return AppendDims(key, "")
}

// cleanKey is a key whose values are valid UTF-8.
func cleanKey(key []byte) string {
	if !slices.ContainsFunc(key, func(c byte) bool { return c >= utf8.RuneSelf }) {
		return string(key)
	}
	out := make([]byte, 0, len(key)+16)
	for d := (model.Decoder{B: key}); len(d.B) > 0 && d.Err == nil; {
		out = model.AppendString(out, model.CleanText(d.Bytes(int(d.Uvarint())), 1<<20))
	}
	return string(out)
}

// SplitLabels are the label values of a key.
func SplitLabels(key string) (values []string) {
	d := model.Decoder{B: []byte(key)}
	for len(d.B) > 0 && d.Err == nil {
		values = append(values, d.String())
	}
	return values
}

// Dict gives the label values of a table their ids. Appliers of all partitions share it; each remembers what it asked.
type Dict struct {
	mu     sync.Mutex
	ids    map[string]uint32
	keys   map[uint32]string
	next   uint32
	limit  int
	over   string // key of the overflow series
	fresh  []uint32
	stored []uint32      // defined by a journal entry, not by a fold yet
	gen    atomic.Uint32 // grows when ids are forgotten: what was remembered is then asked again
}

func newDict(def *model.TableDef, l *model.Limits) *Dict {
	other := make([][]byte, len(def.Labels))
	for i := range other {
		other[i] = []byte(model.Other)
	}
	return &Dict{ids: map[string]uint32{}, keys: map[uint32]string{}, limit: max(1, def.Limit(l)), over: string(labelKey(other...))}
}

// id returns the id of a key; above the limit that of the overflow series, and false.
func (d *Dict) id(key string) (uint32, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if id, ok := d.ids[key]; ok {
		return id, key != d.over
	}
	k, ok := key, true
	if len(d.ids) >= d.limit {
		k, ok = d.over, false
		if id, known := d.ids[k]; known {
			return id, false
		}
	}
	id := d.next
	d.add(id, k)
	d.fresh = append(d.fresh, id)
	return id, ok
}

func (d *Dict) add(id uint32, key string) {
	d.ids[key], d.keys[id] = id, key
	d.next = max(d.next, id+1)
}

// Key is the key of an id; "" if it is not known.
func (d *Dict) Key(id uint32) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[id]
}

// Again defines an id anew that was forgotten while a batch still used it.
func (d *Dict) Again(id uint32, key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys[id] == "" {
		d.add(id, key)
		d.fresh = append(d.fresh, id)
	}
}

func (d *Dict) forget(id uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, d.keys[id])
	delete(d.keys, id)
	d.gen.Add(1)
}

// AppendNew encodes the definitions since the last call: how many, then each id and key.
func (d *Dict) AppendNew(b []byte) []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	b = binary.AppendUvarint(b, uint64(len(d.fresh)))
	for _, id := range d.fresh {
		b = binary.AppendUvarint(b, uint64(id))
		b = model.AppendString(b, d.keys[id])
	}
	d.stored = append(d.stored, d.fresh...)
	d.fresh = d.fresh[:0]
	return b
}

// DecodeNew reads what AppendNew wrote.
func (d *Dict) DecodeNew(dec *model.Decoder) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for range min(dec.Uvarint(), 1<<24) {
		id, key := uint32(dec.Uvarint()), dec.String()
		if dec.Err != nil {
			return
		}
		d.add(id, key)
		d.stored = append(d.stored, id)
	}
}

// TableStore is one table's committed state.
type TableStore struct {
	Def *model.TableDef
	*Store[Tally, *Tally]
	Dict *Dict
}

// NewTables returns the tables, empty.
func NewTables(l *model.Limits) (ts [model.Tables]*TableStore) {
	for i := range ts {
		def := &model.TableDefs[i]
		ts[i] = &TableStore{Def: def, Store: NewStore[Tally](def.Letter), Dict: newDict(def, l)}
	}
	return ts
}

func (t *TableStore) dictKey(ks model.Keyspace, id uint32) []byte {
	return binary.BigEndian.AppendUint32(ks.Key(storage.TableMeta, model.MetaDict, t.Def.Letter), id)
}

// Fold stores what the last folds have not: definitions too, which go with their series.
func (t *TableStore) Fold(kv model.State, seq uint64, h Horizon, then *model.Later, entries []storage.Entry) ([]storage.Entry, error) {
	for id, se := range t.Series {
		if se.Last < h.Forget {
			then.Do(func() { t.Dict.forget(id) })
			entries = append(entries, storage.Entry{Key: t.dictKey(kv.Keyspace, id)})
		}
	}
	entries, err := t.Store.Fold(kv, seq, h, then, entries)
	t.Dict.mu.Lock()
	defer t.Dict.mu.Unlock()
	for _, id := range t.Dict.stored {
		if key := t.Dict.keys[id]; key != "" {
			entries = append(entries, storage.Entry{Key: t.dictKey(kv.Keyspace, id), Value: []byte(key)})
		}
	}
	t.Dict.stored = t.Dict.stored[:0]
	return entries, err
}

// Restore reads what folds stored.
func (t *TableStore) Restore(kv model.State) error {
	prefix := kv.Key(storage.TableMeta, model.MetaDict, t.Def.Letter)
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		t.Dict.add(binary.BigEndian.Uint32(k[len(prefix):]), string(v))
		return nil
	})
	if err != nil {
		return err
	}
	return t.Store.Restore(kv)
}

// TallyBatch is what one partition counted in a table between two checkpoints.
type TallyBatch struct {
	Batch[Tally, *Tally]
	known map[string]*BatchSeries[Tally] // by key as it came
	gen   uint32
}

// EachKey calls fn for each key, in no order.
func (d *Dict) EachKey(fn func(key string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.ids {
		fn(key)
	}
}

// Find returns the id of a key that is known.
func (d *Dict) Find(key string) (id uint32, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok = d.ids[key]
	return id, ok
}

// Cell returns the tally of a key in a bucket; over says that it is the overflow series.
func (b *TallyBatch) Cell(d *Dict, key []byte, start int64) (c *Tally, over bool) {
	if gen := d.gen.Load(); b.known == nil || gen != b.gen || len(b.known) > model.MaxLocalSeries && len(b.Dirty) == 0 {
		known := map[string]*BatchSeries[Tally]{}
		for _, s := range b.Dirty {
			known[s.Key] = s // their cells are referred to
		}
		b.known, b.gen = known, gen
	}
	s := b.known[string(key)]
	if s == nil {
		name := cleanKey(key)
		id, ok := d.id(name)
		s = &BatchSeries[Tally]{ID: id, Over: !ok, Key: name}
		b.known[string(key)] = s
	}
	return b.Batch.Cell(s, start), s.Over
}

// Install adds a batch to the table.
func (t *TableStore) Install(kv model.State, seq uint64, b *TallyBatch, since model.Sinces) error {
	for _, s := range b.Dirty {
		for _, cell := range s.Cells {
			if cell.C.Calls == 0 {
				continue
			}
			if _, err := t.Add(kv, seq, s.ID, cell.Start, cell.C, since); err != nil {
				return err
			}
		}
	}
	return nil
}

// LabelsKey is the key of label values, the last of which are the dimensions.
func LabelsKey(labels []string) string {
	var key []byte
	for i, l := range labels {
		if i == len(labels)-1 {
			return string(AppendDims(key, model.Dims(l)))
		}
		key = AppendLabel(key, []byte(l))
	}
	return string(key)
}
