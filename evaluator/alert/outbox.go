package alert

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/gaurav/watchingcat/storage"
)

// OutboxEntry is what one evaluation wants notified. It stays until Done, so that a crash between deciding and notifying loses nothing.
type OutboxEntry struct {
	Seq    uint64    `json:"-"`
	At     time.Time `json:"at"` // wall clock of the evaluation
	Alerts []Alert   `json:"alerts"`
}

// Outbox is the queue between rules and notifications, kept in the store.
type Outbox struct {
	// Changed is sent after an entry was committed.
	Changed Signal

	kv   storage.KV
	mu   sync.Mutex
	next uint64
}

// OpenOutbox opens the outbox that kv holds.
func OpenOutbox(kv storage.KV) (*Outbox, error) {
	o := &Outbox{kv: kv, next: 1}
	pending, err := o.Pending()
	if n := len(pending); n > 0 {
		o.next = pending[n-1].Seq + 1
	}
	return o, err
}

// The value of TableOutbox is an OutboxEntry as JSON.
func outboxKey(seq uint64) []byte {
	return storage.Key(0, 0, storage.TableOutbox, binary.BigEndian.AppendUint64(nil, seq)...)
}

// Pending returns the entries that are not done, oldest first.
func (o *Outbox) Pending() ([]OutboxEntry, error) {
	var out []OutboxEntry
	prefix := storage.Key(0, 0, storage.TableOutbox)
	err := o.kv.Scan(prefix, storage.PrefixEnd(prefix), func(key, value []byte) error {
		if len(key) != storage.KeyPrefixLen+8 {
			return fmt.Errorf("evaluator: outbox key %x has an unknown form", key)
		}
		e := OutboxEntry{Seq: binary.BigEndian.Uint64(key[storage.KeyPrefixLen:])}
		if err := json.Unmarshal(value, &e); err != nil {
			return fmt.Errorf("evaluator: outbox entry %d: %w", e.Seq, err)
		}
		out = append(out, e)
		return nil
	})
	return out, err
}

// Done forgets entries that have been notified.
func (o *Outbox) Done(seqs ...uint64) error {
	if len(seqs) == 0 {
		return nil
	}
	entries := make([]storage.Entry, len(seqs))
	for i, s := range seqs {
		entries[i].Key = outboxKey(s)
	}
	return o.kv.Commit(storage.Commit{Entries: entries})
}

// Entry makes the write of a new entry; the caller commits it together with the state that it notifies, then sends Changed.
func (o *Outbox) Entry(at time.Time, alerts []Alert) (storage.Entry, error) {
	value, err := json.Marshal(OutboxEntry{At: at, Alerts: alerts})
	if err != nil {
		return storage.Entry{}, fmt.Errorf("evaluator: outbox entry: %w", err)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	e := storage.Entry{Key: outboxKey(o.next), Value: value}
	o.next++
	return e, nil
}

var (
	descOutbox = prometheus.NewDesc("watchingcat_outbox_entries",
		"Evaluations whose alerts are not yet passed to notification routing, or whose resolved alerts are not yet notified.", nil, nil)
	descOutboxAge = prometheus.NewDesc("watchingcat_outbox_oldest_age_seconds",
		"Age of the oldest of them; resolved alerts stay for their group_interval.", nil, nil)
)

// Describe implements prometheus.Collector.
func (*Outbox) Describe(ch chan<- *prometheus.Desc) { ch <- descOutbox; ch <- descOutboxAge }

// Collect exposes what waits.
func (o *Outbox) Collect(ch chan<- prometheus.Metric) {
	pending, err := o.Pending()
	if err != nil {
		ch <- prometheus.NewInvalidMetric(descOutbox, err)
		return
	}
	age := time.Duration(0)
	if len(pending) > 0 {
		age = max(0, time.Since(pending[0].At))
	}
	ch <- prometheus.MustNewConstMetric(descOutbox, prometheus.GaugeValue, float64(len(pending)))
	ch <- prometheus.MustNewConstMetric(descOutboxAge, prometheus.GaugeValue, age.Seconds())
}
