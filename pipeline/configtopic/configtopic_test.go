package configtopic

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/storage"
)

const configTopic = "watchingcat_config"

// replica is one process' view of the topic of settings.
type replica struct {
	*Topic
	kv   storage.KV
	read []string
	stop func()
}

func newReplica(t *testing.T, b *pipelinetest.Broker, kv storage.KV) *replica {
	t.Helper()
	r := &replica{kv: kv}
	var err error
	r.Topic, err = Open(b.Config, configTopic, kv, zerolog.Nop(), func(kinds map[string]bool) {
		r.read = append(r.read, strings.Join(slices.Sorted(maps.Keys(kinds)), "+"))
	})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.stop = func() {
		cancel()
		require.NoError(t, <-done)
		require.NoError(t, r.Close())
	}
	return r
}

func (r *replica) has(t *testing.T, kind string) string {
	t.Helper()
	list, err := storage.Objects(r.kv, kind)
	require.NoError(t, err)
	var out []string
	for _, o := range list {
		out = append(out, o.ID+"="+string(o.Value))
	}
	return strings.Join(out, " ")
}

func TestConfigTopicIsTheSameForAllReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 0)
		kv := storage.NewMem(storage.MemOptions{})
		a, c := newReplica(t, b, kv), newReplica(t, b, storage.NewMem(storage.MemOptions{}))
		slo := func(id, v string) storage.Object {
			o := storage.Object{Kind: storage.KindSLO, ID: id}
			if v != "" {
				o.Value = []byte(v)
			}
			return o
		}
		write := func(r *replica, action string, os ...storage.Object) {
			require.NoError(t, r.Write(t.Context(), storage.Edit{By: "ann", Action: action, Objects: os}, time.Now()))
		}
		write(a, "create", slo("x", `{"a":1}`), slo("y/z", `{"b":2}`))
		require.Equal(t, `x={"a":1} y/z={"b":2}`, a.has(t, storage.KindSLO), "who has written reads it")
		require.Contains(t, a.read, "audit+slo")
		write(c, "update", slo("x", `{"a":3}`))
		write(c, "delete", slo("y/z", ""))
		synctest.Wait()
		for _, r := range []*replica{a, c} {
			require.Equal(t, `x={"a":3}`, r.has(t, storage.KindSLO))
			trail := r.has(t, storage.KindAudit)
			require.Contains(t, trail, `"by":"ann","action":"update","kind":"slo","object":"x","before":{"a":1},"after":{"a":3}`)
			require.Contains(t, trail, `"action":"delete","kind":"slo","object":"y/z","before":{"b":2}}`)
		}
		require.NoError(t, a.Write(t.Context(),
			storage.Edit{By: "ann", Action: "create", Secret: true,
				Objects: []storage.Object{{Kind: storage.KindToken, ID: "t", Value: []byte(`{"hash":"s3cret"}`)}}}, time.Now()))
		require.NotContains(t, a.has(t, storage.KindAudit), "s3cret")

		// A restart reads on from the stored position; what it had is there at once.
		a.stop()
		write(c, "create", slo("late", `{}`))
		a = newReplica(t, b, kv)
		require.Equal(t, `x={"a":3}`, a.has(t, storage.KindSLO))
		write(a, "create", slo("more", `{}`))
		require.Equal(t, `late={} more={} x={"a":3}`, a.has(t, storage.KindSLO))

		// A topic that cannot be written says so, and what is known stays in force.
		no := b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.TopicAuthorizationFailed, Count: -1})
		err := a.Write(t.Context(), storage.Edit{By: "ann", Action: "create", Objects: []storage.Object{slo("no", `{}`)}}, time.Now())
		require.ErrorIs(t, err, kerr.TopicAuthorizationFailed)
		no.Remove()
		b.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.NotLeaderForPartition})
		write(a, "create", slo("yes", `{}`))
		require.Equal(t, `late={} more={} x={"a":3} yes={}`, a.has(t, storage.KindSLO))
		a.stop()
		c.stop()
	})
}

func TestConfigTopicMadeAnew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 0)
		kv := storage.NewMem(storage.MemOptions{})
		a := newReplica(t, b, kv)
		for range 5 {
			require.NoError(t, a.Write(t.Context(),
				storage.Edit{By: "ann", Action: "create", Objects: []storage.Object{{Kind: "slo", ID: "x", Value: []byte(`1`)}}},
				time.Now()))
		}
		a.stop()
		_, err := newReplicaAdmin(b).DeleteTopic(t.Context(), configTopic)
		require.NoError(t, err)
		a = newReplica(t, b, kv)
		require.NoError(t, a.Write(t.Context(),
			storage.Edit{By: "ann", Action: "create", Objects: []storage.Object{{Kind: "slo", ID: "y", Value: []byte(`2`)}}}, time.Now()))
		require.Equal(t, "x=1 y=2", a.has(t, "slo"))
		a.stop()
	})
}

// A topic without records, as after a move to other brokers, gets what this replica knows, so that a replica that begins later has it too. One
// that has records of its own is left as it is.
func TestEmptyTopicIsRestored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 0)
		kv := storage.NewMem(storage.MemOptions{})
		object := func(id, value string) storage.Edit {
			return storage.Edit{By: "ann", Action: "create", Objects: []storage.Object{{Kind: storage.KindSLO, ID: id, Value: []byte(value)}}}
		}
		a := newReplica(t, b, kv)
		for range 3 {
			require.NoError(t, a.Write(t.Context(), object("x", "1"), time.Now()))
		}
		a.stop()
		trail := a.has(t, storage.KindAudit)
		_, err := newReplicaAdmin(b).DeleteTopic(t.Context(), configTopic)
		require.NoError(t, err)
		a = newReplica(t, b, kv)
		synctest.Wait()
		later := newReplica(t, b, storage.NewMem(storage.MemOptions{}))
		require.NoError(t, later.Sync(t.Context()))
		require.Equal(t, "x=1", later.has(t, storage.KindSLO))
		require.Equal(t, trail, later.has(t, storage.KindAudit))
		later.stop()
		a.stop()

		_, err = newReplicaAdmin(b).DeleteTopic(t.Context(), configTopic)
		require.NoError(t, err)
		other := newReplica(t, b, storage.NewMem(storage.MemOptions{}))
		require.NoError(t, other.Write(t.Context(), object("z", "3"), time.Now()))
		a = newReplica(t, b, kv)
		synctest.Wait()
		require.NoError(t, other.Sync(t.Context()))
		require.Equal(t, "z=3", other.has(t, storage.KindSLO))
		other.stop()
		a.stop()
	})
}

func TestConfigTopicForgetsOldAudit(t *testing.T) {
	kv := storage.NewMem(storage.MemOptions{})
	c := storage.Commit{}
	for i := range storage.Trails[storage.KindAudit] {
		c.Entries = append(c.Entries, storage.Object{Kind: storage.KindAudit,
			ID: string(rune('a'+i%26)) + time.Unix(int64(i), 0).UTC().Format(time.RFC3339), Value: []byte(`{}`)}.Entry())
	}
	require.NoError(t, kv.Commit(c))
	ct := &Topic{kv: kv}
	add := func(kind string, n int) []storage.Object {
		t.Helper()
		list := make([]storage.Object, n)
		for i := range list {
			list[i] = storage.Object{Kind: kind, ID: "new", Value: []byte(`{}`)}
		}
		old, err := ct.expired(list)
		require.NoError(t, err)
		return old
	}
	old := add(storage.KindAudit, 3)
	require.Len(t, old, 3)
	require.Nil(t, old[0].Value)
	require.Empty(t, add(storage.KindAuditRefusal, 3), "what comes in numbers has room of its own")
	require.Empty(t, add(storage.KindSLO, 3))
	_, err := storage.GetObject(kv, "slo", "none")
	require.True(t, errors.Is(err, storage.ErrNotFound))
}

func newReplicaAdmin(b *pipelinetest.Broker) *kadm.Client { return kadm.NewClient(b.Client) }
