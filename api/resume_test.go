package api

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/live"
)

// follower keeps the services as a client does, from snapshots and deltas.
type follower struct {
	t       testing.TB
	last    received
	kept    map[string]string // service to its JSON
	resumed int
	whole   int // snapshots
}

// take takes a frame. Numbers go on by one, whatever happened to the connection in between.
func (f *follower) take(r received) {
	f.t.Helper()
	var data struct {
		Services []json.RawMessage
		Removed  []string
	}
	require.NoError(f.t, json.Unmarshal(r.Data, &data))
	switch r.Type {
	case "resumed":
		require.Equal(f.t, f.last.Seq, r.Seq)
		require.Equal(f.t, f.last.Stream, r.Stream)
		f.resumed++
		return
	case "snapshot":
		f.whole++
		f.kept = map[string]string{}
	case "delta":
		require.Equal(f.t, f.last.Stream, r.Stream)
	default:
		f.t.Fatalf("a frame of type %q", r.Type)
	}
	require.Equal(f.t, f.last.Seq+1, r.Seq, "%s", r.Type)
	f.last = r
	for _, name := range data.Removed {
		_, has := f.kept[name]
		require.True(f.t, has, "%s was removed twice", name)
		delete(f.kept, name)
	}
	for _, s := range data.Services {
		var of struct{ Name string }
		require.NoError(f.t, json.Unmarshal(s, &of))
		require.NotEqual(f.t, string(s), f.kept[of.Name], "%s was sent twice", of.Name)
		f.kept[of.Name] = string(s)
	}
}

func (f *follower) calls(name string) float64 {
	var s struct{ Calls float64 }
	if f.kept[name] != "" {
		require.NoError(f.t, json.Unmarshal([]byte(f.kept[name]), &s))
	}
	return s.Calls
}

// same holds what is kept against the answer of GET.
func (f *follower) same(b *bench) {
	f.t.Helper()
	var data struct{ Services []json.RawMessage }
	require.NoError(f.t, json.Unmarshal(b.get("/api/v1/services").Body.Bytes(), &data))
	require.Len(f.t, f.kept, len(data.Services))
	for _, s := range data.Services {
		var of struct{ Name string }
		require.NoError(f.t, json.Unmarshal(s, &of))
		require.JSONEq(f.t, string(s), f.kept[of.Name])
	}
}

// subscribe is the message with which a follower comes, or comes back.
func (f *follower) subscribe() string {
	if f.last.Seq == 0 {
		return `{"type":"subscribe","id":"s","view":"services"}`
	}
	return fmt.Sprintf(`{"type":"subscribe","id":"s","view":"services","cursor":%d,"stream":%q}`, f.last.Seq, f.last.Stream)
}

// shop makes thirty services, of which each call changes one.
func (b *bench) shop() func(name string) {
	n := 0
	call := func(name string) {
		n++
		b.record(fmt.Sprintf("%dms 1ms %s server GET id=t%d/a", 1000+n, name, n))
		b.commit()
	}
	for i := range 30 {
		call(fmt.Sprintf("s%02d", i))
	}
	return call
}

// TestResumeAfterRandomCuts: whatever was missed comes once, whether other clients looked meanwhile or none did, over WebSocket and as
// events.
func TestResumeAfterRandomCuts(t *testing.T) {
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			liveHTTP(t, func(b *bench, connect func() *peer, client *http.Client) {
				rng := rand.New(rand.NewPCG(seed, 0))
				call := b.shop()
				if seed%2 == 0 {
					other := connect()
					go func() { // looks all the time
						other.send(`{"type":"subscribe","id":"o","view":"services"}`)
						for {
							if _, _, err := other.conn.Read(context.Background()); err != nil {
								return
							}
						}
					}()
				}
				f := &follower{t: t}
				short := 0
				for round := range 12 {
					next, cut := b.follow(f, connect, client, seed%4 < 2)
					for range rng.IntN(6) {
						call(fmt.Sprintf("s%02d", rng.IntN(30)))
						time.Sleep(time.Duration(rng.IntN(400)) * time.Millisecond)
					}
					call("probe")
					for f.calls("probe") != float64(round+1) {
						f.take(next())
					}
					cut()
					pause := time.Duration(rng.IntN(3000)) * time.Millisecond
					if rng.IntN(6) == 0 {
						pause = live.ResumeFor + time.Second
					} else if round < 11 {
						short++
					}
					for range rng.IntN(4) { // while other clients look, or none
						call(fmt.Sprintf("s%02d", rng.IntN(30)))
					}
					time.Sleep(pause)
				}
				next, cut := b.follow(f, connect, client, seed%4 < 2)
				call("last")
				for f.calls("last") != 1 {
					f.take(next())
				}
				f.same(b)
				cut()
				require.GreaterOrEqual(t, f.resumed, short, "short breaks are resumed")
				require.Equal(t, 13, f.resumed+f.whole)
				require.Equal(t, float64(f.resumed), counted(t, b, "watchingcat_ws_resumes_total", "resumed"))
			})
		})
	}
}

// follow connects a follower; next is a frame, cut ends the connection without a word.
func (b *bench) follow(f *follower, connect func() *peer, client *http.Client, events bool) (next func() received, cut func()) {
	b.t.Helper()
	if events {
		h := http.Header{}
		if f.last.Seq > 0 {
			h.Set("Last-Event-ID", fmt.Sprintf("%d@%s", f.last.Seq, f.last.Stream))
		}
		l := listenAt(b.t, client, "/api/v1/live?view=services", h)
		return func() (r received) {
			name, id, data := l.next()
			text, err := json.Marshal(data)
			require.NoError(b.t, err)
			require.NoError(b.t, json.Unmarshal(text, &r))
			require.Equal(b.t, fmt.Sprintf("%s %d@%s", r.Type, r.Seq, r.Stream), name+" "+id)
			return r
		}, b.within(func() { _ = l.body.Close() })
	}
	p := connect()
	p.send(f.subscribe())
	return p.read, b.within(func() { _ = p.conn.CloseNow() })
}

// within ends a connection of which nothing is heard any more, so that a test that waits for what was missed fails.
func (b *bench) within(cut func()) func() {
	watchdog := time.AfterFunc(10*time.Minute, cut)
	return func() {
		watchdog.Stop()
		cut()
	}
}

// TestResumeOfAnother: a cursor counts for the stream that it came from alone; everybody else gets a snapshot.
func TestResumeOfAnother(t *testing.T) {
	var elsewhere received // of a process that has ended
	onPipes(t, func(b *bench, connect func() *peer) {
		b.shop()
		p := connect()
		p.send(`{"type":"subscribe","id":"s","view":"services"}`)
		elsewhere = p.read()
		p.leave()
	})
	onPipes(t, func(b *bench, connect func() *peer) {
		call := b.shop()
		p := connect()
		p.send(`{"type":"subscribe","id":"s","view":"services"}`)
		first := p.read()
		call("s01")
		second := p.read()
		require.Equal(t, "delta", second.Type)
		require.Equal(t, first.Stream, second.Stream)
		id, _, _ := strings.Cut(first.Stream, ".")
		for name, m := range map[string]string{
			"another process":   fmt.Sprintf(`"view":"services","cursor":1,"stream":%q`, elsewhere.Stream),
			"another filter":    fmt.Sprintf(`"view":"services","filter":{"service":"s01"},"cursor":1,"stream":%q`, first.Stream),
			"another view":      fmt.Sprintf(`"view":"servicemap","cursor":1,"stream":%q`, first.Stream),
			"from the future":   fmt.Sprintf(`"view":"services","cursor":3,"stream":%q`, first.Stream),
			"before the begin":  fmt.Sprintf(`"view":"services","cursor":0,"stream":%q`, first.Stream),
			"huge":              fmt.Sprintf(`"view":"services","cursor":18446744073709551615,"stream":%q`, first.Stream),
			"huge base":         `"view":"services","cursor":1,"stream":"` + id + `.9223372036854775807"`,
			"small base":        `"view":"services","cursor":1,"stream":"` + id + `.-9223372036854775808"`,
			"no base":           `"view":"services","cursor":1,"stream":"` + id + `"`,
			"odd base":          `"view":"services","cursor":1,"stream":"` + id + `.x"`,
			"odd":               `"view":"services","cursor":1,"stream":"\u0000..."`,
			"without a stream":  `"view":"services","cursor":1`,
			"without a cursor":  `"view":"services"`,
			"stream of nothing": fmt.Sprintf(`"view":"services","stream":%q`, elsewhere.Stream),
		} {
			p.send(`{"type":"subscribe","id":"x",` + m + `}`)
			r := p.read()
			require.Equal(t, "snapshot", r.Type, name)
			p.send(`{"type":"unsubscribe","id":"x"}`)
		}
		p.send(fmt.Sprintf(`{"type":"subscribe","id":"x","view":"services","cursor":1,"stream":%q}`, first.Stream))
		require.Equal(t, "resumed", p.read().Type)
		again := p.read()
		require.Equal(t, []any{"delta", uint64(2), string(second.Data)}, []any{again.Type, again.Seq, string(again.Data)})
		// The numbers of a client are its own: one that began at another frame has the same stream of deltas under others.
		p.send(`{"type":"subscribe","id":"y","view":"services","cursor":70}`)
		late := p.read()
		require.Equal(t, uint64(71), late.Seq)
		call("s02")
		require.ElementsMatch(t, []uint64{3, 3, 72}, []uint64{p.read().Seq, p.read().Seq, p.read().Seq})
		p.send(fmt.Sprintf(`{"type":"subscribe","id":"z","view":"services","cursor":71,"stream":%q}`, late.Stream))
		require.Equal(t, "resumed", p.read().Type)
		require.Equal(t, uint64(72), p.read().Seq)
		p.leave()
	})
}

// computed is how many live views are computed.
func (b *bench) computed() (n int) {
	for _, t := range b.s.live.Topics() {
		if !t.Resting {
			n++
		}
	}
	return n
}

// TestRestingViewsAreBounded: in number and time, and they compute nothing.
func TestRestingViewsAreBounded(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		call := b.shop()
		p := connect()
		for i := range live.MaxResting + 5 {
			p.send(fmt.Sprintf(`{"type":"subscribe","id":"s","view":"services","filter":{"service":"s%d"}}`, i))
			p.want("snapshot", "s", 1)
			p.send(`{"type":"unsubscribe","id":"s"}`)
		}
		p.quiet(0)
		resting := func() int { return len(b.s.live.Topics()) - b.computed() }
		require.Equal(t, live.MaxResting, resting())
		require.False(t, slices.ContainsFunc(b.s.live.Topics(), func(t live.TopicState) bool { return t.Filter.Service == "s4" }),
			"the oldest are gone")
		p.leave()
		before := counted(t, b, "watchingcat_ws_computations_total", "services")
		call("s01")
		time.Sleep(10 * time.Second)
		require.Equal(t, before, counted(t, b, "watchingcat_ws_computations_total", "services"))
		time.Sleep(live.ResumeFor)
		require.Zero(t, resting())
	})
}

// TestWhatWasMissedIsBounded: by the size of a snapshot, which serves as well.
func TestWhatWasMissedIsBounded(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		call := b.shop()
		p := connect()
		p.send(`{"type":"subscribe","id":"s","view":"services"}`)
		first := p.read()
		for i := range live.ResumeDeltas {
			call(fmt.Sprintf("s%02d", i%30))
			require.Equal(t, "delta", p.read().Type)
		}
		for _, tp := range b.s.live.Topics() {
			require.LessOrEqual(t, tp.DeltaBytes, tp.SnapshotBytes)
			require.Less(t, tp.Deltas, live.ResumeDeltas)
			require.Positive(t, tp.Deltas)
		}
		p.send(fmt.Sprintf(`{"type":"subscribe","id":"x","view":"services","cursor":1,"stream":%q}`, first.Stream))
		require.Equal(t, "snapshot", p.read().Type)
		require.Equal(t, 1.0, counted(t, b, "watchingcat_ws_resumes_total", "too_old"))
		p.leave()
	})
}

// TestAViewThatPanics: there is no request that it would be the failure of. It is counted, and other views go on, on the same connection
// too.
func TestAViewThatPanics(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		b.s.live.Catalog = append(slices.Clone(b.s.live.Catalog),
			&live.View{Name: "broken", Compute: func(*live.Hub, live.Filter) (*live.State, error) { panic("planted") }})
		call := b.shop()
		p := connect()
		p.send(`{"type":"subscribe","id":"b","view":"broken"}`)
		synctest.Wait()
		panics := func() float64 { return testutil.ToFloat64(b.s.requests.Panics.WithLabelValues("live view")) }
		require.Equal(t, 1.0, panics())
		p.send(`{"type":"subscribe","id":"s","view":"services"}`)
		p.want("snapshot", "s", 1)
		for seq := range 3 {
			call("s01")
			p.want("delta", "s", uint64(2+seq))
		}
		require.Greater(t, panics(), 1.0, "it is computed again with what came")
		p.leave()
	})
}
