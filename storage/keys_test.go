package storage

import (
	"bytes"
	"cmp"
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestKeyLayout(t *testing.T) {
	got := Key(0x01020304, 0x0506, TableCells, 7, 8)
	if want := []byte{1, 2, 3, 4, 5, 6, 'C', 7, 8}; !bytes.Equal(got, want) {
		t.Fatalf("key %x, want %x", got, want)
	}
}

func TestPrefixEnd(t *testing.T) {
	f := func(prefix, want []byte) {
		t.Helper()
		if got := PrefixEnd(prefix); !bytes.Equal(got, want) {
			t.Errorf("end of %x: %x, want %x", prefix, got, want)
		}
	}
	f([]byte{1, 2}, []byte{1, 3})
	f([]byte{1, 0xff}, []byte{2})
	f([]byte{0xff, 0xff}, nil)
	f(nil, nil)
}

// FuzzKeyOrder: keys sort as (version, shard, table, rest) does, and PrefixEnd closes a prefix off exactly.
func FuzzKeyOrder(f *testing.F) {
	f.Add(uint32(1), uint16(0), byte('M'), []byte("a"), uint32(1), uint16(0), byte('M'), []byte("ab"))
	f.Add(uint32(255), uint16(9), byte('C'), []byte{0xff}, uint32(256), uint16(0), byte('C'), []byte{})
	f.Fuzz(func(t *testing.T, v1 uint32, s1 uint16, t1 byte, r1 []byte, v2 uint32, s2 uint16, t2 byte, r2 []byte) {
		k1, k2 := Key(v1, s1, Table(t1), r1...), Key(v2, s2, Table(t2), r2...)
		want := cmp.Or(cmp.Compare(v1, v2), cmp.Compare(s1, s2), cmp.Compare(t1, t2), bytes.Compare(r1, r2))
		if got := bytes.Compare(k1, k2); got != want {
			t.Fatalf("%x and %x compare as %d, want %d", k1, k2, got, want)
		}
		end := PrefixEnd(k1)
		inside := bytes.HasPrefix(k2, k1)
		between := bytes.Compare(k2, k1) >= 0 && (end == nil || bytes.Compare(k2, end) < 0)
		if inside != between {
			t.Fatalf("%x under %x: prefix %v, range %v", k2, k1, inside, between)
		}
	})
}

// FuzzPosition: what is written is read back, and topic names do not mix with partition numbers.
func FuzzPosition(f *testing.F) {
	f.Add("otlp_spans", int32(3), int64(77), int32(5), []byte("0123456789abcdef"))
	f.Add("a", int32(0), int64(0), int32(-1), []byte{})
	f.Fuzz(func(t *testing.T, topic string, partition int32, offset int64, epoch int32, id []byte) {
		p := Position{Topic: topic, Partition: partition, Offset: offset, LeaderEpoch: epoch}
		copy(p.TopicID[:], id)
		got, err := parsePosition(positionKey(1, 2, topic, partition), encodePosition(p))
		if err != nil || got != p {
			t.Fatalf("%+v came back as %+v, %v", p, got, err)
		}
	})
}

func FuzzParsePosition(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x01\x00\x00Pt\x00\x00\x00\x00\x01"), make([]byte, positionLen))
	f.Fuzz(func(t *testing.T, key, value []byte) {
		if len(key) < KeyPrefixLen {
			return // every key is at least that long
		}
		if p, err := parsePosition(key, value); err == nil {
			if !bytes.Equal(positionKey(0, 0, p.Topic, p.Partition)[KeyPrefixLen:], key[KeyPrefixLen:]) || !bytes.Equal(encodePosition(p),
				value) {
				t.Fatalf("%x=%x parsed to %+v", key, value, p)
			}
		}
	})
}

// TestVersionsAndDrop: dropping version 0 takes the views of it alone, and what is left says which versions there are.
func TestVersionsAndDrop(t *testing.T) {
	type store interface {
		KV
		DropVersion(ctx context.Context, version uint32, shard uint16) error
	}
	db, err := Open(t.TempDir(), Options{MinFreeBytes: 1})
	require.NoError(t, err)
	defer db.Close()
	for name, kv := range map[string]store{"mem": NewMem(MemOptions{}), "badger": db} {
		put := func(version uint32, tables ...Table) {
			c := Commit{Version: version, Shard: 3, Positions: []Position{{Topic: "t"}}}
			for _, table := range tables {
				c.Entries = append(c.Entries, Entry{Key: Key(version, 3, table, 'x'), Value: []byte{1}})
			}
			require.NoError(t, kv.Commit(c))
		}
		versioned, others := VersionedTables()
		put(0, append(others, versioned...)...)
		put(2, versioned...)
		put(7, TableMeta)
		f := func(want ...uint32) {
			t.Helper()
			if got, err := Versions(kv); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%s: versions %v, %v; want %v", name, got, err, want)
			}
		}
		f(0, 2, 7)
		for _, v := range []uint32{0, 7} {
			require.NoError(t, kv.DropVersion(t.Context(), v, 3))
		}
		f(2)
		left := ""
		require.NoError(t, kv.Scan(nil, Key(1, 0, 0), func(k, _ []byte) error { left += string(k[KeyPrefixLen-1]); return nil }))
		if left != "AEINORUV" {
			t.Fatalf("%s: tables %q are left of version 0", name, left)
		}
	}
}

// TestTableLetters: each table that the source names is described in the key table, under a letter that no other has. (That two
// share one does not compile; that one is missing does.)
func TestTableLetters(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "keys.go", nil, 0)
	require.NoError(t, err)
	named := 0
	ast.Inspect(file, func(n ast.Node) bool {
		v, ok := n.(*ast.ValueSpec)
		if !ok || len(v.Values) != 1 {
			return true
		}
		if typ, ok := v.Type.(*ast.Ident); !ok || typ.Name != "Table" {
			return true
		}
		letter := v.Values[0].(*ast.BasicLit).Value
		named++
		if def := tables[letter[1]]; def.owner == "" || def.key == "" || def.value == "" {
			t.Errorf("%s has no description in the key table", v.Names[0].Name)
		}
		return true
	})
	described := 0
	for _, def := range tables {
		if def.owner != "" {
			described++
		}
	}
	if named == 0 || named != described {
		t.Errorf("%d tables are named, %d described", named, described)
	}
}
