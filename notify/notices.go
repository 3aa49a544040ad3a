package notify

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/alert"
	amnotify "github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/common/model"

	"github.com/gaurav/watchingcat/storage"
)

// Notice is one attempt to notify a receiver.
type Notice struct {
	Time        time.Time        `json:"time"`
	Duration    time.Duration    `json:"duration_ns"`
	Receiver    string           `json:"receiver"`
	Integration string           `json:"integration"` // webhook, slack, …
	GroupKey    string           `json:"group_key"`
	Reason      string           `json:"reason"`  // why it was sent now, in Alertmanager's words
	Attempt     int              `json:"attempt"` // 1, or more when it was tried again
	Firing      []model.LabelSet `json:"firing"`
	Resolved    []model.LabelSet `json:"resolved"`
	Error       string           `json:"error"` // empty: accepted
	Retry       bool             `json:"retry"` // it will be tried again
}

const maxNotices = 2000

// notices is the notice log: the newest notices, in memory and stored with the keeper's next write, so that it survives a restart. What
// was sent is in Alertmanager's notification log at once; the notice may be lost with the last second.
type notices struct {
	mu     sync.Mutex
	keeper *keeper
	list   []Notice
	next   uint64                // number of the next one
	tries  map[string]flushCount // by group key and integration
}

// flushCount counts the attempts of one flush.
type flushCount struct {
	flush uint64
	n     int
}

// The value of a kindNotice is a Notice as JSON; its id is its number.
func noticeKey(n uint64) []byte {
	return storage.Key(0, 0, storage.TableNotify, binary.BigEndian.AppendUint64([]byte{kindNotice}, n)...)
}

// load reads what a process before stored.
func (n *notices) load(k *keeper) error {
	n.keeper, n.tries = k, map[string]flushCount{}
	prefix := storage.Key(0, 0, storage.TableNotify, kindNotice)
	return k.kv.Scan(prefix, storage.PrefixEnd(prefix), func(key, value []byte) error {
		var x Notice
		if err := json.Unmarshal(value, &x); err != nil || len(key) != len(prefix)+8 {
			return fmt.Errorf("notify: notice %x: %w", key, err)
		}
		n.list = append(n.list, x)
		n.next = binary.BigEndian.Uint64(key[len(prefix):]) + 1
		return nil
	})
}

func (n *notices) add(x Notice) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.list) >= maxNotices {
		drop := maxNotices / 10
		for i := range drop {
			n.keeper.stage(noticeKey(n.next-uint64(len(n.list))+uint64(i)), nil)
		}
		n.list = slices.Clone(n.list[drop:])
	}
	n.list = append(n.list, x)
	if b, err := json.Marshal(x); err == nil { // label sets and numbers: it always does
		n.keeper.stage(noticeKey(n.next), b)
	}
	n.next++
}

// attempt counts how often a flush has tried an integration.
func (n *notices) attempt(key string, flush uint64) int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.tries) > 10*maxNotices {
		clear(n.tries) // counts begin anew; groups come and go
	}
	c := n.tries[key]
	if c.flush != flush {
		c = flushCount{flush: flush}
	}
	c.n++
	n.tries[key] = c
	return c.n
}

// newest returns up to limit notices, newest first; 0 means all that are kept.
func (n *notices) newest(limit int) []Notice {
	n.mu.Lock()
	defer n.mu.Unlock()
	if limit <= 0 || limit > len(n.list) {
		limit = len(n.list)
	}
	out := slices.Clone(n.list[len(n.list)-limit:])
	slices.Reverse(out)
	return out
}

// noted is an integration whose notifications are noted.
type noted struct {
	amnotify.Integration
	receiver string
	notices  *notices
}

func (n *notices) note(i amnotify.Integration, receiver string) amnotify.Integration {
	return amnotify.NewIntegration(&noted{i, receiver, n}, &i, i.Name(), i.Index(), receiver)
}

// Notify implements Alertmanager's notify.Notifier.
func (n *noted) Notify(ctx context.Context, alerts ...*alert.Alert) (bool, error) {
	x := Notice{Time: time.Now(), Receiver: n.receiver, Integration: n.Name(), Firing: []model.LabelSet{}, Resolved: []model.LabelSet{}}
	x.GroupKey, _ = amnotify.GroupKey(ctx)
	if reason, ok := amnotify.NotificationReason(ctx); ok {
		x.Reason = reason.String()
	}
	flush, _ := amnotify.FlushID(ctx)
	x.Attempt = n.notices.attempt(x.GroupKey+"\xff"+n.receiver+"\xff"+n.String(), flush)
	for _, a := range alerts {
		if a.Resolved() {
			x.Resolved = append(x.Resolved, a.Labels)
		} else {
			x.Firing = append(x.Firing, a.Labels)
		}
	}
	retry, err := n.Integration.Notify(ctx, alerts...)
	x.Duration, x.Retry = time.Since(x.Time), retry && err != nil
	if err != nil {
		x.Error = err.Error()
	}
	n.notices.add(x)
	return retry, err
}
