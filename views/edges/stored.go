package edges

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

// stored says how the groups are stored: by each fold as a whole, in chunks of a generation.
type stored struct {
	gen    uint32
	chunks int
	stray  [][]byte // keys of a generation that a crash kept from being finished
}

// maxChunk bounds one stored value of groups.
const maxChunk = 512 << 10

func waitingKey(ks model.Keyspace, gen uint32, n int) []byte {
	k := binary.BigEndian.AppendUint32(ks.Key(storage.TableWaiting), gen)
	return binary.BigEndian.AppendUint32(k, uint32(n))
}

// Fold stores the groups as a new generation, in entries. What is stored of others is deleted by last, which is to be committed after.
func (p *Pairing) Fold(ks model.Keyspace, entries, last []storage.Entry) (_, _ []storage.Entry) {
	for n := range p.stored.chunks {
		last = append(last, storage.Entry{Key: waitingKey(ks, p.stored.gen, n)})
	}
	p.stored.gen, p.stored.chunks = p.stored.gen+1, 0
	for _, k := range p.stored.stray {
		if gen := binary.BigEndian.Uint32(k[storage.KeyPrefixLen:]); gen != p.stored.gen {
			last = append(last, storage.Entry{Key: k})
		}
	}
	p.stored.stray = nil
	buf := []byte{}
	flush := func() {
		entries = append(entries, storage.Entry{Key: waitingKey(ks, p.stored.gen, p.stored.chunks), Value: buf})
		p.stored.chunks++
		buf = make([]byte, 0, maxChunk)
	}
	for i := range p.Groups.N {
		if p.Groups.At(i).Has&Alive == 0 {
			continue
		}
		if buf = p.appendGroup(buf, i); len(buf) >= maxChunk-4096 {
			flush()
		}
	}
	if len(buf) > 0 {
		flush()
	}
	return entries, last
}

// AppendState encodes which generation is stored, in how many chunks.
func (p *Pairing) AppendState(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, uint64(p.stored.gen)), uint64(p.stored.chunks))
}

// RestoreState reads what AppendState wrote.
func (p *Pairing) RestoreState(d *model.Decoder) {
	p.stored.gen, p.stored.chunks = uint32(d.Uvarint()), int(d.Uvarint())
}

// Restore reads the groups of the stored generation.
func (p *Pairing) Restore(kv model.State) error {
	prefix := kv.Key(storage.TableWaiting)
	err := kv.KV.Scan(prefix, storage.PrefixEnd(prefix), func(k, v []byte) error {
		if binary.BigEndian.Uint32(k[len(prefix):]) != p.stored.gen {
			p.stored.stray = append(p.stored.stray, bytes.Clone(k))
			return nil
		}
		return p.RestoreGroups(v)
	})
	if err != nil {
		return fmt.Errorf("read waiting span halves: %w", err)
	}
	return nil
}

// A group: key, flags, when it came, client, server, further parts.
func (p *Pairing) appendGroup(b []byte, i uint32) []byte {
	g := p.Groups.At(i)
	b = append(b, g.Key[:]...)
	flags := g.Has
	if g.Expired {
		flags |= 1 << 7
	}
	b = append(b, flags)
	b = binary.AppendUvarint(b, uint64(g.came))
	if g.Has&HasClient != 0 {
		b = g.Client.append(b, 0)
	}
	if g.Has&HasServer != 0 {
		b = g.Server.append(b, 0)
	}
	if g.Has&hasMore != 0 {
		b = binary.AppendUvarint(b, uint64(len(p.More[i])))
		for _, m := range p.More[i] {
			b = m.append(b, 0)
		}
	}
	return b
}

// append encodes a part; its end relative to base.
func (p *Part) append(b []byte, base uint64) []byte {
	b = append(b, p.Flags)
	b = binary.AppendVarint(b, int64(p.End-base))
	b = model.AppendUvarint(b, p.Dur)
	b = model.AppendUvarint(b, uint64(p.Svc))
	return model.AppendUvarint(b, uint64(p.Peer))
}

func (p *Part) decode(d *model.Decoder, base uint64) {
	p.Flags = d.Byte()
	p.End = base + uint64(d.Varint())
	p.Dur = d.Uvarint()
	p.Svc, p.Peer = uint32(d.Uvarint()), uint32(d.Uvarint())
}

// RestoreGroups reads one stored chunk of groups.
func (p *Pairing) RestoreGroups(v []byte) error {
	d := model.Decoder{B: v}
	for len(d.B) > 0 && d.Err == nil {
		i := p.Groups.add()
		g := p.Groups.At(i)
		copy(g.Key[:], d.Bytes(24))
		flags := d.Byte()
		g.Has, g.Expired, g.came = flags&^(1<<7), flags&(1<<7) != 0, uint32(d.Uvarint())
		if g.Has&HasClient != 0 {
			g.Client.decode(&d, 0)
		}
		if g.Has&HasServer != 0 {
			g.Server.decode(&d, 0)
		}
		if g.Has&hasMore != 0 {
			for range d.Count() {
				var m Part
				if m.decode(&d, 0); d.Err != nil {
					return d.Err
				}
				p.More[i] = append(p.More[i], m)
			}
		}
		p.index.add(&g.Key, i)
		p.schedule(i, p.until(i))
		if !g.Paired() && !g.Expired && !g.atOnce() {
			p.Waiting += 1 + len(p.More[i])
		}
	}
	return d.Err
}
