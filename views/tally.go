package views

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

// tallied is one staged observation.
type tallied struct {
	cell   *Tally
	n      uint64
	size   uint64
	failed bool
	timed  bool // has a duration
	hist   uint16
	at     uint64
	ex     model.Exemplar
	text   string
}

func (c *Tally) observe(o *tallied) {
	c.Calls += o.n
	c.Size += o.size
	if o.failed {
		c.Failed += o.n
	}
	if o.timed {
		c.Sum.AddTimes(o.ex.Duration, o.n)
		c.Hist.AddBucket(int(o.hist), o.n)
	}
	c.seen(o.at, o.at)
	if o.ex.TraceID != ([16]byte{}) {
		c.Slowest.Slower(&o.ex)
		c.Latest.Later(&o.ex)
	}
	if o.text != "" {
		c.sample(o.text, o.at)
	}
}

func (c *Tally) seen(first, last uint64) {
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

func (c *Tally) Merge(o *Tally) {
	c.Counts.Merge(&o.Counts)
	c.Failed += o.Failed
	c.seen(o.First, o.Last)
	c.Slowest.Slower(&o.Slowest)
	c.Latest.Later(&o.Latest)
	if o.Text != "" {
		c.sample(o.Text, o.textAt)
	}
}

func (c *Tally) reset() {
	h := c.Hist
	h.Reset()
	*c = Tally{}
	c.Hist = h
}

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

func (c *Tally) DecodeCounts(d *model.Decoder) { c.Decode(d) }

func (c *Tally) Decode(d *model.Decoder) {
	c.Counts.Decode(d)
	c.Failed, c.First = d.Uvarint(), d.Uvarint()
	c.Last = c.First + d.Uvarint()
	c.Slowest.Decode(d)
	c.Latest.Decode(d)
	c.textAt, c.Text = d.Uvarint(), d.String()
}

// appendLabel adds one label value to the key of a series.
func appendLabel(key, v []byte) []byte {
	v = v[:min(len(v), model.MaxLabel)]
	return append(binary.AppendUvarint(key, uint64(len(v))), v...)
}

// appendDims ends the key of a series: dimensions are its last value, and are never cut.
func appendDims(key []byte, d model.Dims) []byte { return model.AppendString(key, string(d)) }

// labelKey is the key of a series without dimensions.
func labelKey(values ...[]byte) (key []byte) {
	for _, v := range values {
		key = appendLabel(key, v)
	}
	return appendDims(key, "")
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

func splitLabels(key string) (values []string) {
	d := model.Decoder{B: []byte(key)}
	for len(d.B) > 0 && d.Err == nil {
		values = append(values, d.String())
	}
	return values
}

// dict gives the label values of a table their ids. Appliers of all partitions share it; each remembers what it asked.
type dict struct {
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

func newDict(def *model.TableDef, l *model.Limits) *dict {
	other := make([][]byte, len(def.Labels))
	for i := range other {
		other[i] = []byte(model.Other)
	}
	return &dict{ids: map[string]uint32{}, keys: map[uint32]string{}, limit: max(1, def.Limit(l)), over: string(labelKey(other...))}
}

// id returns the id of a key; above the limit that of the overflow series, and false.
func (d *dict) id(key string) (uint32, bool) {
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

func (d *dict) add(id uint32, key string) {
	d.ids[key], d.keys[id] = id, key
	d.next = max(d.next, id+1)
}

func (d *dict) key(id uint32) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.keys[id]
}

// again defines an id anew that was forgotten while a batch still used it.
func (d *dict) again(id uint32, key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.keys[id] == "" {
		d.add(id, key)
		d.fresh = append(d.fresh, id)
	}
}

func (d *dict) forget(id uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.ids, d.keys[id])
	delete(d.keys, id)
	d.gen.Add(1)
}

// appendNew encodes the definitions since the last call: how many, then each id and key.
func (d *dict) appendNew(b []byte) []byte {
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

func (d *dict) decodeNew(dec *model.Decoder) {
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

// table is one table's committed state.
type table struct {
	def *model.TableDef
	*store[Tally, *Tally]
	dict *dict
}

func newTables(l *model.Limits) (ts [model.Tables]*table) {
	for i := range ts {
		def := &model.TableDefs[i]
		ts[i] = &table{def: def, store: newStore[Tally](def.Letter), dict: newDict(def, l)}
	}
	return ts
}

func (t *table) dictKey(ks model.Keyspace, id uint32) []byte {
	return binary.BigEndian.AppendUint32(ks.Key(storage.TableMeta, model.MetaDict, t.def.Letter), id)
}

// fold stores what the last folds have not: definitions too, which go with their series.
func (t *table) fold(kv model.State, seq uint64, h horizon, then *model.Later, entries []storage.Entry) ([]storage.Entry, error) {
	for id, se := range t.series {
		if se.last < h.forget {
			then.Do(func() { t.dict.forget(id) })
			entries = append(entries, storage.Entry{Key: t.dictKey(kv.Keyspace, id)})
		}
	}
	entries, err := t.store.fold(kv, seq, h, then, entries)
	t.dict.mu.Lock()
	defer t.dict.mu.Unlock()
	for _, id := range t.dict.stored {
		if key := t.dict.keys[id]; key != "" {
			entries = append(entries, storage.Entry{Key: t.dictKey(kv.Keyspace, id), Value: []byte(key)})
		}
	}
	t.dict.stored = t.dict.stored[:0]
	return entries, err
}

func (t *table) restore(kv model.State) error {
	prefix := kv.Key(storage.TableMeta, model.MetaDict, t.def.Letter)
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		t.dict.add(binary.BigEndian.Uint32(k[len(prefix):]), string(v))
		return nil
	})
	if err != nil {
		return err
	}
	return t.store.restore(kv)
}

// tallyBatch is what one partition counted in a table between two checkpoints.
type tallyBatch struct {
	known map[string]*tallySeries
	gen   uint32
	dirty []*tallySeries
	free  []*Tally
}

// tallySeries is a series in a batch with the few buckets that the batch touched.
type tallySeries struct {
	id    uint32
	over  bool
	key   string
	cells []tallyCell
}

type tallyCell struct {
	start int64
	c     *Tally
}

// eachKey calls fn for each key, in no order.
func (d *dict) eachKey(fn func(key string)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for key := range d.ids {
		fn(key)
	}
}

// find returns the id of a key that is known.
func (d *dict) find(key string) (id uint32, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	id, ok = d.ids[key]
	return id, ok
}

// cell returns the tally of a key in a bucket; over says that it is the overflow series.
func (b *tallyBatch) cell(d *dict, key []byte, start int64) (c *Tally, over bool) {
	if gen := d.gen.Load(); b.known == nil || gen != b.gen || len(b.known) > maxLocalSeries && len(b.dirty) == 0 {
		known := map[string]*tallySeries{}
		for _, s := range b.dirty {
			known[s.key] = s // their cells are referred to
		}
		b.known, b.gen = known, gen
	}
	s := b.known[string(key)]
	if s == nil {
		name := cleanKey(key)
		id, ok := d.id(name)
		s = &tallySeries{id: id, over: !ok, key: name}
		b.known[string(key)] = s
	}
	for i := range s.cells {
		if s.cells[i].start == start {
			return s.cells[i].c, s.over
		}
	}
	if len(s.cells) == 0 {
		b.dirty = append(b.dirty, s)
	}
	if n := len(b.free); n > 0 {
		c, b.free = b.free[n-1], b.free[:n-1]
	} else {
		c = &Tally{}
	}
	s.cells = append(s.cells, tallyCell{start, c})
	return c, s.over
}

func (b *tallyBatch) reset() {
	for _, s := range b.dirty {
		for i := range s.cells {
			s.cells[i].c.reset()
			b.free = append(b.free, s.cells[i].c)
		}
		s.cells = s.cells[:0]
	}
	b.dirty = b.dirty[:0]
}

// appendTo encodes the cells of a batch: for each series id+1, number of buckets, each start and tally; then 0.
func (b *tallyBatch) appendTo(out []byte) []byte {
	for _, s := range b.dirty {
		out = binary.AppendUvarint(out, uint64(s.id)+1)
		out = binary.AppendUvarint(out, uint64(len(s.cells)))
		for _, cell := range s.cells {
			out = binary.AppendUvarint(out, uint64(cell.start))
			out = cell.c.Append(out)
		}
	}
	return out
}

func (b *tallyBatch) decode(d *model.Decoder) {
	for d.Err == nil {
		id := d.Uvarint()
		if id == 0 {
			return
		}
		s := &tallySeries{id: uint32(id - 1)}
		for range d.Count() {
			cell := tallyCell{start: int64(d.Uvarint()), c: &Tally{}}
			if cell.c.Decode(d); d.Err != nil {
				return
			}
			s.cells = append(s.cells, cell)
		}
		b.dirty = append(b.dirty, s)
	}
}

// install adds a batch to the table.
func (t *table) install(kv model.State, seq uint64, b *tallyBatch, since model.Sinces) error {
	for _, s := range b.dirty {
		for _, cell := range s.cells {
			if cell.c.Calls == 0 {
				continue
			}
			if _, err := t.add(kv, seq, s.id, cell.start, cell.c, since); err != nil {
				return err
			}
		}
	}
	return nil
}
