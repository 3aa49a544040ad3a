// Package storagetest holds every storage.KV to the same behaviour.
package storagetest

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/gaurav/watchingcat/storage"
)

// Run checks the stores that open returns. open is called for each test and gives an empty store, which the test closes.
func Run(t *testing.T, open func(t *testing.T) storage.KV) {
	tests := []struct {
		name string
		run  func(t *testing.T, kv storage.KV)
	}{
		{"GetAndOverwrite", testGetAndOverwrite},
		{"Delete", testDelete},
		{"LastWriteOfACommitWins", testLastWriteWins},
		{"ScanOrderAndBounds", testScan},
		{"ScanEndsAtError", testScanError},
		{"ScanIsASnapshot", testSnapshot},
		{"CallbackMayReadAndWrite", testCallback},
		{"Positions", testPositions},
		{"LargeValues", testLargeValues},
		{"AgainstModel", testModel},
		{"Closed", testClosed},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			kv := open(t)
			t.Cleanup(func() {
				if err := kv.Close(); err != nil {
					t.Errorf("close: %v", err)
				}
			})
			tt.run(t, kv)
		})
	}
}

// Key is a key for tests.
func Key(name string) []byte { return storage.Key(1, 0, storage.TableMeta, []byte(name)...) }

// RawKey is a key whose large values stand in segments.
func RawKey(name string) []byte { return storage.Key(1, 0, storage.TableRaw, []byte(name)...) }

// Set is an entry for tests.
func Set(name, value string) storage.Entry {
	return storage.Entry{Key: Key(name), Value: []byte(value)}
}

// Commit commits entries or ends the test.
func Commit(t testing.TB, kv storage.KV, entries ...storage.Entry) {
	t.Helper()
	if err := kv.Commit(storage.Commit{Version: 1, Entries: entries}); err != nil {
		t.Fatalf("commit: %v", err)
	}
}

// Dump returns every entry as key=value, keys without the prefix that Key gives them.
func Dump(t testing.TB, kv storage.KV, from, to []byte) []string {
	t.Helper()
	var keys, alone [][]byte
	list := []string{}
	err := kv.Scan(from, to, func(k, v []byte) error {
		keys = append(keys, bytes.Clone(k))
		list = append(list, fmt.Sprintf("%s=%s", k[storage.KeyPrefixLen:], v))
		return nil
	})
	if err != nil {
		t.Fatalf("scan: %v", err)
	}
	if err := kv.Keys(from, to, func(k []byte) error { alone = append(alone, bytes.Clone(k)); return nil }); err != nil {
		t.Fatalf("keys: %v", err)
	}
	if !slices.EqualFunc(keys, alone, bytes.Equal) {
		t.Fatalf("keys with values %x, alone %x", keys, alone)
	}
	return list
}

func want(t *testing.T, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got %v, want %v", got, want)
	}
}

func testGetAndOverwrite(t *testing.T, kv storage.KV) {
	if _, err := kv.Get(Key("a")); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("get of a missing key: %v", err)
	}
	Commit(t, kv, Set("a", "1"), Set("empty", ""))
	Commit(t, kv, Set("a", "2"))
	v, err := kv.Get(Key("a"))
	if err != nil || string(v) != "2" {
		t.Fatalf("get: %q, %v", v, err)
	}
	v[0] = 'x' // a copy, so the store does not see this
	want(t, Dump(t, kv, nil, nil), []string{"a=2", "empty="})
}

func testDelete(t *testing.T, kv storage.KV) {
	Commit(t, kv, Set("a", "1"), Set("b", "1"))
	Commit(t, kv, storage.Entry{Key: Key("a")}, storage.Entry{Key: Key("never there")})
	want(t, Dump(t, kv, nil, nil), []string{"b=1"})
	if _, err := kv.Get(Key("a")); !errors.Is(err, storage.ErrNotFound) {
		t.Fatalf("get of a deleted key: %v", err)
	}
	Commit(t, kv, Set("a", "2"))
	want(t, Dump(t, kv, nil, nil), []string{"a=2", "b=1"})
}

func testLastWriteWins(t *testing.T, kv storage.KV) {
	Commit(t, kv, Set("a", "1"), Set("a", "2"), Set("b", "1"), storage.Entry{Key: Key("b")}, storage.Entry{Key: Key("c")}, Set("c", "3"))
	want(t, Dump(t, kv, nil, nil), []string{"a=2", "c=3"})
}

func testScan(t *testing.T, kv storage.KV) {
	names := []string{"", "\x00", "a", "aa", "b", "b\x00", "b\xff", "c"}
	for _, i := range []int{5, 2, 7, 0, 3, 6, 1, 4} {
		Commit(t, kv, Set(names[i], "v"))
	}
	all := []string{}
	for _, n := range names {
		all = append(all, n+"=v")
	}
	want(t, Dump(t, kv, nil, nil), all)
	want(t, Dump(t, kv, Key(""), storage.PrefixEnd(Key(""))), all)
	want(t, Dump(t, kv, Key("a"), Key("b")), all[2:4])
	want(t, Dump(t, kv, Key("b"), storage.PrefixEnd(Key("b"))), all[4:7])
	want(t, Dump(t, kv, Key("b\x01"), nil), all[6:])
	want(t, Dump(t, kv, Key("b"), Key("b")), []string{})
	want(t, Dump(t, kv, Key("c"), Key("a")), []string{})
	want(t, Dump(t, kv, Key("d"), nil), []string{})
}

func testScanError(t *testing.T, kv storage.KV) {
	Commit(t, kv, Set("a", "1"), Set("b", "2"))
	errStop, calls := errors.New("stop"), 0
	err := kv.Scan(nil, nil, func(_, _ []byte) error { calls++; return errStop })
	if !errors.Is(err, errStop) || calls != 1 {
		t.Fatalf("scan: %v after %d calls", err, calls)
	}
}

func testSnapshot(t *testing.T, kv storage.KV) {
	Commit(t, kv, Set("a", "1"), Set("b", "1"), Set("d", "1"))
	var seen []string
	err := kv.Scan(nil, nil, func(k, v []byte) error {
		if len(seen) == 0 {
			Commit(t, kv, Set("b", "2"), Set("c", "2"), storage.Entry{Key: Key("d")})
		}
		seen = append(seen, fmt.Sprintf("%s=%s", k[storage.KeyPrefixLen:], v))
		return nil
	})
	want(t, err, nil)
	want(t, seen, []string{"a=1", "b=1", "d=1"})
	want(t, Dump(t, kv, nil, nil), []string{"a=1", "b=2", "c=2"})
}

func testCallback(t *testing.T, kv storage.KV) {
	Commit(t, kv, Set("a", "1"), Set("b", "2"))
	err := kv.Scan(nil, nil, func(k, _ []byte) error {
		v, err := kv.Get(k)
		if err != nil {
			return err
		}
		return kv.Commit(storage.Commit{Entries: []storage.Entry{{Key: bytes.Clone(k), Value: append(v, '!')}}})
	})
	want(t, err, nil)
	want(t, Dump(t, kv, nil, nil), []string{"a=1!", "b=2!"})
}

func testPositions(t *testing.T, kv storage.KV) {
	got, err := kv.Positions(1, 0)
	if err != nil || len(got) != 0 {
		t.Fatalf("positions of an empty store: %v, %v", got, err)
	}
	p := func(topic string, partition int32, offset int64) storage.Position {
		return storage.Position{Topic: topic, Partition: partition, Offset: offset, LeaderEpoch: -1, TopicID: [16]byte{1, 15: 9}}
	}
	for _, c := range []storage.Commit{
		{Version: 1, Positions: []storage.Position{p("b", 0, 5), p("a", 300, 7), p("a", 2, 6), p("a.b", 0, 1)}},
		{Version: 1, Positions: []storage.Position{p("b", 0, 9)}, Entries: []storage.Entry{Set("x", "1")}},
		{Version: 1, Shard: 1, Positions: []storage.Position{p("a", 2, 60)}},
		{Version: 2, Positions: []storage.Position{p("a", 2, 600)}},
	} {
		want(t, kv.Commit(c), nil)
	}
	for _, tt := range []struct {
		version uint32
		shard   uint16
		want    []storage.Position
	}{
		{1, 0, []storage.Position{p("a", 2, 6), p("a", 300, 7), p("a.b", 0, 1), p("b", 0, 9)}},
		{1, 1, []storage.Position{p("a", 2, 60)}},
		{2, 0, []storage.Position{p("a", 2, 600)}},
	} {
		got, err := kv.Positions(tt.version, tt.shard)
		want(t, err, nil)
		want(t, got, tt.want)
	}
}

func testLargeValues(t *testing.T, kv storage.KV) {
	for _, n := range []int{300 << 10, 200 << 10, 100, 64 << 10, 64<<10 + 1, 400 << 10} {
		value := bytes.Repeat([]byte{byte(n), byte(n >> 8), 3}, n/3+1)[:n]
		Commit(t, kv, storage.Entry{Key: Key("big"), Value: slices.Clone(value)}, Set("after", "1"))
		got, err := kv.Get(Key("big"))
		if err != nil || !bytes.Equal(got, value) {
			t.Fatalf("get of %d bytes: %d bytes, %v", n, len(got), err)
		}
		count := 0
		err = kv.Scan(nil, nil, func(k, v []byte) error {
			if count++; bytes.Equal(k, Key("big")) && !bytes.Equal(v, value) {
				t.Errorf("scan of %d bytes gave %d", n, len(v))
			}
			return nil
		})
		want(t, err, nil)
		want(t, count, 2)
	}
	Commit(t, kv, storage.Entry{Key: Key("big")})
	want(t, Dump(t, kv, nil, nil), []string{"after=1"})
}

func testClosed(t *testing.T, kv storage.KV) {
	want(t, kv.Close(), nil)
	if err := kv.Commit(storage.Commit{}); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("commit: %v", err)
	}
	if _, err := kv.Get(Key("a")); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("get: %v", err)
	}
	if err := kv.Scan(nil, nil, nil); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("scan: %v", err)
	}
	if _, err := kv.Positions(1, 0); !errors.Is(err, storage.ErrClosed) {
		t.Errorf("positions: %v", err)
	}
}
