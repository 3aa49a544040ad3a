package broker

import (
	"crypto/rand"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/storage"
)

func client(t *testing.T, b *Broker) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(b.Addrs()...), kgo.ProducerLinger(0), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	require.NoError(t, err)
	t.Cleanup(cl.Close)
	return cl
}

func offsets(t *testing.T, b *Broker, topic string) (start, end int64) {
	t.Helper()
	adm := kadm.NewClient(client(t, b))
	first, err := adm.ListStartOffsets(t.Context(), topic)
	require.NoError(t, err)
	last, err := adm.ListEndOffsets(t.Context(), topic)
	require.NoError(t, err)
	first.Each(func(o kadm.ListedOffset) { start += o.Offset })
	last.Each(func(o kadm.ListedOffset) { end += o.Offset })
	return start, end
}

// What was acknowledged is there after a restart, and a topic keeps its ID, by which positions know it.
func TestRestart(t *testing.T) {
	c := Config{Dir: filepath.Join(t.TempDir(), "broker"), Addr: "127.0.0.1:0", Topics: []string{"spans", ""}, Keep: time.Hour, Sync: true}
	id := kadm.TopicID{}
	for round := range 3 {
		b, err := Open(c)
		require.NoError(t, err)
		cl := client(t, b)
		for i := range 10 {
			require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: "spans", Partition: int32(i % partitions), Value: []byte("x")}).FirstErr()) //nolint:gosec // small
		}
		_, end := offsets(t, b, "spans")
		require.Equal(t, int64(10*(round+1)), end)
		m, err := kadm.NewClient(cl).Metadata(t.Context(), "spans")
		require.NoError(t, err)
		if round > 0 {
			require.Equal(t, id, m.Topics["spans"].ID)
		}
		id = m.Topics["spans"].ID
		b.Close()
	}
}

// The oldest records are deleted when the topics have more bytes than they may, and disk space with them.
func TestBytesAreBounded(t *testing.T) {
	const limit = 16 << 20
	c := Config{Dir: t.TempDir(), Addr: "127.0.0.1:0", Topics: []string{"spans"}, Keep: time.Hour, Bytes: limit}
	b, err := Open(c)
	require.NoError(t, err)
	defer b.Close()
	cl := client(t, b)
	value := make([]byte, 256<<10)
	_, err = rand.Read(value) // it must not become small by compression
	require.NoError(t, err)
	for i := range 200 {
		cl.Produce(t.Context(), &kgo.Record{Topic: "spans", Partition: int32(i % partitions), Value: value}, func(_ *kgo.Record, err error) { //nolint:gosec // small
			if err != nil {
				t.Error(err)
			}
		})
		if i%40 == 39 {
			require.NoError(t, cl.Flush(t.Context()))
			b.cluster.ApplyRetention()
		}
	}
	start, end := offsets(t, b, "spans")
	require.Equal(t, int64(200), end)
	require.Positive(t, start)
	size, err := storage.FolderSize(c.Dir)
	require.NoError(t, err)
	require.Less(t, size, uint64(limit+partitions*2<<20), "one file a partition beyond the limit")
}

// Records beyond the retention are deleted from the topics of telemetry, and never from one that is compacted, which holds what users made.
func TestRetention(t *testing.T) {
	b, err := Open(Config{Dir: t.TempDir(), Addr: "127.0.0.1:0", Topics: []string{"spans"}, Keep: time.Hour})
	require.NoError(t, err)
	defer b.Close()
	cl := client(t, b)
	compact := "compact"
	created, err := kadm.NewClient(cl).CreateTopic(t.Context(), 1, -1, map[string]*string{"cleanup.policy": &compact}, "config")
	require.NoError(t, err)
	require.NoError(t, created.Err)
	old := time.Now().Add(-400 * 24 * time.Hour)
	for _, topic := range []string{"spans", "config"} {
		require.NoError(t, cl.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte("k"), Value: []byte("x"), Timestamp: old}).FirstErr())
	}
	b.cluster.ApplyRetention()
	start, _ := offsets(t, b, "spans")
	require.EqualValues(t, 1, start)
	start, _ = offsets(t, b, "config")
	require.Zero(t, start)
}

func TestRefuses(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	require.NoError(t, os.WriteFile(file, nil, 0o600))
	for says, c := range map[string]Config{
		"address of the broker": {Dir: t.TempDir(), Addr: "localhost"},
		"is not a number":       {Dir: t.TempDir(), Addr: "localhost:http"},
		"folder of the broker":  {Dir: filepath.Join(file, "x"), Addr: "127.0.0.1:0"},
		"start the broker":      {Dir: t.TempDir(), Addr: "203.0.113.1:9092"},
	} {
		_, err := Open(c)
		require.ErrorContains(t, err, says)
	}
}
