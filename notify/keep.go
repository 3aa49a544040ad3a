package notify

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/nflog/nflogpb"
	"github.com/prometheus/alertmanager/silence/silencepb"
	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/protobuf/encoding/protodelim"

	"github.com/gaurav/watchingcat/storage"
)

// The kinds of TableNotify's entries. The value is the delimited message that Alertmanager would gossip; several one after
// another are a snapshot.
const (
	kindLog     byte = 'L' // id: group key, receiver: a nflogpb.MeshEntry
	kindSilence byte = 'S' // id: the silence's: a silencepb.MeshSilence
	kindNotice  byte = 'H' // id: number uint64 BE: a Notice as JSON
	// kindSuppressed: id: hash uint64 BE of an alert that fires, of which the notification log knows nothing because it is suppressed.
	kindSuppressed byte = 'M'
	kindForwarded  byte = 'F' // id: hash uint64 BE of an alert that was sent to Alertmanagers elsewhere: a forwarded as JSON
)

// keeper writes what Alertmanager broadcasts to the store. Alertmanager gives no way to report an error there, so a write that
// failed is kept and tried again.
type keeper struct {
	kv    storage.KV
	log   *slog.Logger
	fails prometheus.Counter

	mu     sync.Mutex
	unsent map[string][]byte
	// awaited are hashes of alerts whose notification is waited for.
	awaited map[uint64]bool // true once it was
	// unlogged are alerts that fire and are not in the notification log, by hash.
	unlogged map[uint64]*unlogged
}

func newKeeper(kv storage.KV, log *slog.Logger, fails prometheus.Counter) *keeper {
	return &keeper{kv: kv, log: log, fails: fails, unsent: map[string][]byte{}, awaited: map[uint64]bool{},
		unlogged: map[uint64]*unlogged{}}
}

// snapshot is everything kept of a kind.
func (k *keeper) snapshot(kind byte) ([]byte, error) {
	var out []byte
	prefix := storage.Key(0, 0, storage.TableNotify, kind)
	err := k.kv.Scan(prefix, storage.PrefixEnd(prefix), func(_, value []byte) error {
		out = append(out, value...)
		return nil
	})
	return out, err
}

// logged keeps an entry of the notification log, and notes which awaited alerts it is of.
func (k *keeper) logged(b []byte) {
	e, err := parseLog(b)
	if err != nil {
		k.log.Error("notification log entry not understood, not kept", "err", err)
		return
	}
	k.mu.Lock()
	for _, h := range e.Entry.FiringAlerts {
		k.close(h)
		if _, ok := k.awaited[h]; ok {
			k.awaited[h] = true
		}
	}
	k.mu.Unlock()
	r := e.Entry.Receiver
	k.put(storage.Key(0, 0, storage.TableNotify,
		fmt.Appendf([]byte{kindLog}, "%s:%s/%s/%d", e.Entry.GroupKey, r.GroupName, r.Integration, r.Idx)...), b)
}

func parseLog(b []byte) (*nflogpb.MeshEntry, error) {
	e := &nflogpb.MeshEntry{}
	if err := protodelim.UnmarshalFrom(bufio.NewReader(bytes.NewReader(b)), e); err != nil {
		return nil, err
	}
	if e.Entry == nil || e.Entry.Receiver == nil {
		return nil, fmt.Errorf("notify: log entry without receiver")
	}
	return e, nil
}

func (k *keeper) silenced(b []byte) {
	e := &silencepb.MeshSilence{}
	if err := protodelim.UnmarshalFrom(bufio.NewReader(bytes.NewReader(b)), e); err != nil || e.Silence == nil {
		k.log.Error("silence not understood, not kept", "err", err)
		return
	}
	k.put(storage.Key(0, 0, storage.TableNotify, append([]byte{kindSilence}, e.Silence.Id...)...), b)
}

func (k *keeper) put(key, value []byte) {
	k.stage(key, value)
	k.retry()
}

// stage is put with the next write; a nil value deletes.
func (k *keeper) stage(key, value []byte) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.unsent[string(key)] = bytes.Clone(value)
}

// retry writes what is not written yet.
func (k *keeper) retry() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if len(k.unsent) == 0 {
		return
	}
	var entries []storage.Entry
	for key, value := range k.unsent {
		entries = append(entries, storage.Entry{Key: []byte(key), Value: bytes.Clone(value)})
	}
	if err := k.kv.Commit(storage.Commit{Entries: entries}); err != nil {
		k.fails.Inc()
		k.log.Error("notification state not written, will be tried again", "entries", len(entries), "err", err)
		return
	}
	clear(k.unsent)
}

// forget deletes what expired before now.
func (k *keeper) forget(now time.Time) error {
	var entries []storage.Entry
	prefix := storage.Key(0, 0, storage.TableNotify)
	err := k.kv.Scan(prefix, storage.PrefixEnd(prefix), func(key, value []byte) error {
		var expires time.Time
		switch key[storage.KeyPrefixLen] {
		case kindLog:
			if e, err := parseLog(value); err == nil {
				expires = e.ExpiresAt.AsTime()
			}
		case kindSilence:
			e := &silencepb.MeshSilence{}
			if err := protodelim.UnmarshalFrom(bufio.NewReader(bytes.NewReader(value)), e); err == nil {
				expires = e.ExpiresAt.AsTime()
			}
		}
		if !expires.IsZero() && expires.Before(now) {
			entries = append(entries, storage.Entry{Key: bytes.Clone(key)})
		}
		return nil
	})
	if err != nil || len(entries) == 0 {
		return err
	}
	return k.kv.Commit(storage.Commit{Entries: entries})
}

// await begins to watch for the notification of an alert; notified ends it when it was sent.
func (k *keeper) await(hash uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.awaited[hash] = false
}

func (k *keeper) notified(hash uint64) bool {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.awaited[hash]
}

func (k *keeper) unawait(hash uint64) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.awaited, hash)
}

// logState is what the notification log says of alerts, by hash.
type logState struct {
	firing   map[uint64]bool
	resolved map[uint64]time.Time // when that was notified
}

func readLog(snapshot []byte) (logState, error) {
	out := logState{map[uint64]bool{}, map[uint64]time.Time{}}
	r := bufio.NewReader(bytes.NewReader(snapshot))
	for {
		if _, err := r.Peek(1); errors.Is(err, io.EOF) {
			return out, nil
		} else if err != nil {
			return out, fmt.Errorf("notify: notification log: %w", err)
		}
		e := &nflogpb.MeshEntry{}
		if err := protodelim.UnmarshalFrom(r, e); err != nil {
			return out, fmt.Errorf("notify: notification log: %w", err)
		}
		if e.Entry == nil {
			continue
		}
		for _, h := range e.Entry.FiringAlerts {
			out.firing[h] = true
		}
		for _, h := range e.Entry.ResolvedAlerts {
			if t := e.Entry.Timestamp.AsTime(); t.After(out.resolved[h]) {
				out.resolved[h] = t
			}
		}
	}
}

// knows reports whether some receiver was notified that the alert fires, or since its end that it has resolved.
func (l *logState) knows(hash uint64, ended time.Time) bool {
	t, ok := l.resolved[hash]
	return l.firing[hash] || ok && !t.Before(ended)
}
