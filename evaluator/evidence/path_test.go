package evidence

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
	"github.com/gaurav/watchingcat/views/model"
)

func edge(client, server, connection string, calls, failed uint64, mean time.Duration) model.Edge {
	e := model.Edge{EdgeKey: model.EdgeKey{Client: client, Server: server, Connection: connection, Entry: client == "user"}, Calls: calls,
		Failed: failed, LatencySum: model.NanosOf(mean * time.Duration(calls))}
	e.Latency.Add(uint64(mean), calls)
	return e
}

func pathText(list []alert.PathEdge) string {
	var out []string
	for _, e := range list {
		out = append(out, fmt.Sprintf("%s>%s %.2f hops=%d own=%.0f/%.1fs", e.Client, e.Server, e.Score, e.Hops, e.OwnExcessFailed,
			e.OwnExcessSeconds))
	}
	return strings.Join(out, "; ")
}

func TestPathLeadsToWhereItBegins(t *testing.T) {
	before := []model.Edge{
		edge("user", "web", "virtual_node", 12000, 12, 50*time.Millisecond),
		edge("web", "cart", "", 12000, 12, 20*time.Millisecond), edge("web", "ads", "", 12000, 0, 5*time.Millisecond),
		edge("cart", "db", "database", 24000, 0, 4*time.Millisecond), edge("cart", "mail", "messaging_system", 12000, 0, time.Second),
		edge("other", "far", "", 100, 0, time.Millisecond),
	}
	both := [2]float64{1, 1}
	// The database fails: everything above fails with it, and only its edge keeps an excess of its own.
	now := []model.Edge{
		edge("user", "web", "virtual_node", 1000, 301, 50*time.Millisecond),
		edge("web", "cart", "", 1000, 301, 20*time.Millisecond), edge("web", "ads", "", 1000, 0, 5*time.Millisecond),
		edge("cart", "db", "database", 2000, 300, 4*time.Millisecond), edge("cart", "mail", "messaging_system", 1000, 0, time.Second),
		edge("other", "far", "", 100, 90, time.Second),
	}
	require.Equal(t, "cart>db 1.00 hops=2 own=300/0.0s", pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both).path))
	// Half of what fails in the cart begins there.
	now[3] = edge("cart", "db", "database", 2000, 150, 4*time.Millisecond)
	require.Equal(t, "cart>db 0.50 hops=2 own=150/0.0s; web>cart 0.50 hops=1 own=150/0.0s",
		pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both).path))
	// The service itself is slow: what arrives there is not explained by anything below.
	now = []model.Edge{edge("user", "web", "virtual_node", 1000, 1, 150*time.Millisecond),
		edge("web", "cart", "", 1000, 1, 20*time.Millisecond), edge("cart", "db", "database", 2000, 0, 4*time.Millisecond)}
	ranked := rankPath(now, before, 5*time.Minute, time.Hour, "web", both)
	require.Equal(t, ">web 1.00 hops=0 own=0/100.0s", pathText(ranked.path))
	require.Equal(t, "web>cart 0.00 hops=1 own=0/0.0s", pathText(ranked.cleared), "what it calls is as before")
	// A consumer that fails is not subtracted from its producer, and is found.
	now = []model.Edge{edge("user", "web", "virtual_node", 1000, 1, 50*time.Millisecond),
		edge("web", "cart", "", 1000, 301, 20*time.Millisecond), edge("cart", "mail", "messaging_system", 1000, 500, time.Second)}
	got := pathText(rankPath(now, before, 5*time.Minute, time.Hour, "cart", both).path)
	require.Equal(t, "cart>mail 1.00 hops=1 own=500/0.0s; >cart 1.00 hops=0 own=300/0.0s", got)
	// Few calls of the database are slow and all others faster, so that no mean has an excess: the edge below is named all the same.
	slow := edge("cart", "db", "database", 2000, 0, 4*time.Millisecond)
	slow.Latency = model.Histogram{}
	slow.Latency.Add(uint64(2*time.Millisecond), 1700)
	slow.Latency.Add(uint64(12*time.Millisecond), 300)
	slow.LatencySum = model.NanosOf(2000 * 35 * time.Millisecond / 10)
	now = []model.Edge{edge("user", "web", "virtual_node", 1000, 1, 49*time.Millisecond),
		edge("web", "cart", "", 1000, 1, 19*time.Millisecond), slow}
	require.Equal(t, "cart>db 1.00 hops=2 own=0/0.8s", pathText(rankPath(now, before, 5*time.Minute, time.Hour, "web", both).path))
	require.Empty(t, rankPath(before, before, time.Hour, time.Hour, "web", both).path, "nothing changed")
	require.Empty(t, rankPath(nil, nil, time.Hour, time.Hour, "web", both).path)
}
