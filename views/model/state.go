package model

import "github.com/gaurav/watchingcat/storage"

// StateKey is where the state of a shard is stored: what the next checkpoint goes on from.
func StateKey(ks Keyspace) []byte { return ks.Key(storage.TableMeta, metaState) }

// Later is what a fold leaves to do until its checkpoint is installed.
// A fold reads while readers do; what they would notice is changed later, when what it stores can be read.
type Later []func()

// Do adds f.
func (l *Later) Do(f func()) { *l = append(*l, f) }

// Keyspace is where a Set's keys live.
type Keyspace struct {
	Version uint32
	Shard   uint16
}

// Key is a key of a table.
func (k Keyspace) Key(t storage.Table, rest ...byte) []byte {
	return storage.Key(k.Version, k.Shard, t, rest...)
}

// State is a keyspace that can be read.
type State struct {
	Keyspace
	KV storage.KV
}
