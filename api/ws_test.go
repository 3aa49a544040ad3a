package api

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/api/live"
)

// pipes is a listener whose connections are net.Pipes: they hold no bytes, so a client that does not read blocks its server at
// once, and a synctest bubble knows that both wait.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
}

func newPipes() *pipes { return &pipes{make(chan net.Conn), make(chan struct{})} }

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error { close(p.done); return nil }

func (p *pipes) Addr() net.Addr { return &net.TCPAddr{} }

func (p *pipes) dial(context.Context, string, string) (net.Conn, error) {
	client, server := net.Pipe()
	p.conns <- server
	return client, nil
}

// onPipes runs f in a bubble with a server that listens on pipes.
func onPipes(t *testing.T, f func(b *bench, connect func() *peer), change ...func(*Config)) {
	liveHTTP(t, func(b *bench, connect func() *peer, _ *http.Client) { f(b, connect) }, change...)
}

// liveHTTP is live with a client for what is no WebSocket.
func liveHTTP(t *testing.T, f func(b *bench, connect func() *peer, client *http.Client), change ...func(*Config)) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t, change...)
		l := newPipes()
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- b.s.Serve(ctx, l) }()
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
		defer func() { // also when f has failed: nothing may be left in the bubble
			stop()
			require.NoError(t, <-ended)
			client.CloseIdleConnections()
		}()
		f(b, func() *peer {
			conn, _, err := websocket.Dial(ctx, "http://watchingcat/ws", &websocket.DialOptions{HTTPClient: client})
			require.NoError(t, err)
			conn.SetReadLimit(-1)
			p := &peer{t: t, conn: conn}
			t.Cleanup(func() { _ = conn.CloseNow() }) // most tests have closed it
			return p
		}, client)
	})
}

// peer is the other side of a WebSocket.
type peer struct {
	t    testing.TB
	conn *websocket.Conn
}

type received struct {
	Type   string          `json:"type"`
	ID     string          `json:"id"`
	Seq    uint64          `json:"seq"`
	Stream string          `json:"stream"`
	UpTo   *time.Time      `json:"up_to"`
	Data   json.RawMessage `json:"data"`
	Code   string          `json:"code"`
	Error  string          `json:"error"`
	Advice string          `json:"advice"`
}

func (p *peer) send(text string) {
	p.t.Helper()
	require.NoError(p.t, p.conn.Write(context.Background(), websocket.MessageText, []byte(text)))
}

func (p *peer) read() (r received) {
	p.t.Helper()
	_, data, err := p.conn.Read(context.Background())
	require.NoError(p.t, err)
	require.NoError(p.t, json.Unmarshal(data, &r), "%s", data)
	return r
}

// leave closes the connection as a browser does. A ping at that very moment makes it an error: the answer to it has no buffer to go to,
// and the other side has stopped to read.
func (p *peer) leave() { _ = p.conn.Close(websocket.StatusNormalClosure, "") }

// want reads a frame and checks its head; the data is decoded into the value returned.
func (p *peer) want(typ, id string, seq uint64) map[string]any {
	p.t.Helper()
	r := p.read()
	require.Equal(p.t, fmt.Sprintf("%s %s %d", typ, id, seq), fmt.Sprintf("%s %s %d", r.Type, r.ID, r.Seq), "%s", r.Data)
	var data map[string]any
	require.NoError(p.t, json.Unmarshal(r.Data, &data))
	return data
}

// quiet checks that nothing comes for a while, by a ping that is answered first.
func (p *peer) quiet(d time.Duration) {
	p.t.Helper()
	time.Sleep(d) // of the bubble
	p.send(`{"type":"ping","id":"quiet"}`)
	require.Equal(p.t, "pong", p.read().Type)
}

func names(list any, field string) string {
	var out []string
	for _, it := range list.([]any) {
		out = append(out, it.(map[string]any)[field].(string))
	}
	return strings.Join(out, " ")
}

func TestWebSocketSnapshotIsTheGetAndDeltasHoldWhatChanged(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		b.record("1s 1ms cart server GET id=t1/a", "1s 1ms pay server GET id=t1/b")
		b.commit()
		p := connect()
		p.send(`{"type":"subscribe","id":"s","view":"services","filter":{"range":"60s"}}`)
		r := p.read()
		require.Equal(t, "snapshot", r.Type)
		require.Equal(t, uint64(1), r.Seq)
		require.Equal(t, at(1001*time.Millisecond), r.UpTo.UTC())
		require.JSONEq(t, b.get("/api/v1/services").Body.String(), string(r.Data))
		b.record("1s 1ms cart server GET id=t2/a", "1s 1ms new server GET id=t2/b")
		b.commit()
		d := p.want("delta", "s", 2)
		require.Equal(t, "cart new", names(d["services"], "name"), "pay has not changed")
		require.Empty(t, d["removed"])
		require.NotNil(t, d["meta"])
		// A minute later the range holds the newest alone.
		b.record("75s 1ms new server GET id=t3/a")
		b.commit()
		d = p.want("delta", "s", 3)
		require.Equal(t, "new", names(d["services"], "name"))
		require.Equal(t, []any{"cart", "pay"}, d["removed"])
	})
}

func TestWebSocketMapAlertsAndPipeline(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		b.record("1s 40ms web client GET id=t1/a", "1s 30ms cart server GET id=t1/b<a")
		b.commit()
		p := connect()
		p.send(`{"type":"subscribe","id":"m","view":"servicemap"}`)
		require.JSONEq(t, b.get("/api/v1/servicemap").Body.String(), string(p.read().Data))
		p.send(`{"type":"subscribe","id":"p","view":"pipeline"}`)
		require.JSONEq(t, b.get("/api/v1/pipeline").Body.String(), string(p.read().Data))
		p.send(`{"type":"unsubscribe","id":"p"}`)
		p.quiet(0) // the answer shows that the message before it was read
		b.record("2s 40ms web client GET id=t2/a", "2s 30ms pay server GET id=t2/b<a")
		b.commit()
		d := p.want("delta", "m", 2)
		require.Equal(t, "pay", names(d["edges"], "server"))
		require.Equal(t, "cart pay web", names(d["nodes"], "name"))
		require.Empty(t, d["removed"])
		p.send(`{"type":"unsubscribe","id":"m"}`)

		p.send(`{"type":"subscribe","id":"a","view":"alerts"}`)
		require.Empty(t, p.want("snapshot", "a", 1)["alerts"])
		b.rules("groups:\n- name: g\n  rules:\n  - alert: Called\n    expr: traces_span_metrics_calls_total{service_name=\"pay\"} > 0\n")
		d = p.want("delta", "a", 2)
		fingerprint := names(d["alerts"], "fingerprint")
		require.Len(t, fingerprint, 16)
		b.rules("groups: []")
		require.Equal(t, []any{fingerprint}, p.want("delta", "a", 3)["removed"])
		b.pipe.behind = true
		p.send(`{"type":"subscribe","id":"m","view":"servicemap","filter":{"service":"cart"}}`)
		d = p.want("snapshot", "m", 1)
		require.Equal(t, "cart", names(d["edges"], "server"))
		require.Equal(t, "cart web", names(d["nodes"], "name"))
	})
}

func TestWebSocketPushesAtMostFourTimesASecondAndComputesOnceForAll(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		first, second := connect(), connect()
		for _, p := range []*peer{first, second} {
			p.send(`{"type":"subscribe","id":"s","view":"services"}`)
			p.want("snapshot", "s", 1)
		}
		const commits, every = 40, 25 * time.Millisecond // one second of them
		go func() {
			for i := range commits {
				time.Sleep(every)
				b.record(fmt.Sprintf("1s 1ms cart server GET id=u%d/a", i))
				b.commit()
			}
		}()
		seq := uint64(1)
		for calls := 1.0; calls < commits+1; {
			seq++
			d := first.want("delta", "s", seq)
			require.Equal(t, d, second.want("delta", "s", seq))
			calls = d["services"].([]any)[0].(map[string]any)["calls"].(float64)
		}
		require.LessOrEqual(t, seq, uint64(1+5), "four a second and the one at its beginning")
		require.Equal(t, float64(seq), counted(t, b, "watchingcat_ws_computations_total", "services"),
			"one computation for both clients")
	})
}

// With every, a subscription gets frames at most so often, each with all that changed since; others get theirs as before.
func TestWebSocketPushesAsSeldomAsTheFilterSays(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		slow, same, fast := connect(), connect(), connect()
		slow.send(`{"type":"subscribe","id":"s","view":"services","filter":{"every":"2s"}}`)
		same.send(`{"type":"subscribe","id":"s","view":"services","filter":{"every":"2000ms"}}`)
		fast.send(`{"type":"subscribe","id":"s","view":"services"}`)
		for _, p := range []*peer{slow, same, fast} {
			p.want("snapshot", "s", 1)
		}
		require.Equal(t, 2.0, counted(t, b, "watchingcat_ws_computations_total", "services"), "equal pauses share a computation")
		const commits, every = 16, 250 * time.Millisecond // four seconds of them
		go func() {
			for i := range commits {
				time.Sleep(every)
				b.record(fmt.Sprintf("1s 1ms cart server GET id=u%d/a", i))
				b.commit()
			}
		}()
		last := func(p *peer) (seq uint64) {
			for seq = 1; ; {
				seq++
				d := p.want("delta", "s", seq)
				if d["services"].([]any)[0].(map[string]any)["calls"].(float64) == commits+1 {
					return seq
				}
			}
		}
		quick := make(chan uint64)
		go func() { quick <- last(fast) }()
		frames := last(slow)
		require.LessOrEqual(t, frames, uint64(1+3))
		require.Equal(t, frames, last(same))
		require.Greater(t, <-quick, uint64(commits/2))
	})
}

func TestWebSocketUnsubscribeAndResume(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		p := connect()
		p.send(`{"type":"subscribe","id":"s","view":"services"}`)
		p.want("snapshot", "s", 1)
		p.send(`{"type":"unsubscribe","id":"s"}`)
		p.quiet(0)
		b.record("2s 1ms cart server GET id=t2/a")
		b.commit()
		p.quiet(time.Second)
		require.Zero(t, b.computed(), "nobody looks, nothing is computed")
		p.leave()
		// A connection lost after frame 41: the snapshot makes good what was missed, and numbers go on.
		p = connect()
		p.send(`{"type":"subscribe","id":"s","view":"services","cursor":41}`)
		d := p.want("snapshot", "s", 42)
		require.Equal(t, 2.0, d["services"].([]any)[0].(map[string]any)["calls"])
		b.record("3s 1ms pay server GET id=t3/a")
		b.commit()
		require.Equal(t, "pay", names(p.want("delta", "s", 43)["services"], "name"))
	})
}

func TestWebSocketSlowClientIsCutOffAndOthersGoOn(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		b.record("1s 1ms cart server GET id=t1/a")
		b.commit()
		slow, good := connect(), connect()
		for _, p := range []*peer{slow, good} {
			p.send(`{"type":"subscribe","id":"s","view":"services"}`)
			p.want("snapshot", "s", 1)
		}
		// From here on slow reads nothing, and its connection holds not one byte.
		for i := range 8 {
			b.record(fmt.Sprintf("2s 1ms cart server GET id=u%d/a", i))
			b.commit()
			good.want("delta", "s", uint64(i+2))
		}
		// It reads on within the write timeout: the frame under way, then why it is closed.
		slow.want("delta", "s", 2)
		_, _, err := slow.conn.Read(context.Background())
		var closed websocket.CloseError
		require.ErrorAs(t, err, &closed)
		require.Equal(t, live.CloseSlow, closed.Code)
		require.Contains(t, closed.Reason, "too slow")
		require.Equal(t, 1.0, counted(t, b, "watchingcat_ws_slow_clients_total", ""))
		b.record("3s 1ms cart server GET id=z/a")
		b.commit()
		good.want("delta", "s", 10)
	}, func(c *Config) { c.Limits.Queue = 4 })
}

func TestWebSocketGivesUpAClientThatIsGone(t *testing.T) {
	f := func(name, subscribe string) {
		t.Run(name, func(t *testing.T) {
			onPipes(t, func(b *bench, connect func() *peer) {
				p := connect()
				if subscribe != "" {
					p.send(subscribe)
				}
				synctest.Wait() // the other side is blocked for good: nobody reads
				time.Sleep(time.Minute)
				synctest.Wait()
				require.Zero(t, gaugeOf(t, b, "watchingcat_ws_clients"))
				require.Zero(t, b.computed())
			})
		})
	}
	f("blocked in a write", `{"type":"subscribe","id":"s","view":"services"}`)
	f("silent", "")
}

func TestWebSocketKeepsAnIdleClientByPings(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		p := connect()
		done := make(chan received)
		go func() { done <- p.read() }() // answers pings on the way
		time.Sleep(10 * time.Minute)
		p.send(`{"type":"ping","id":"1"}`)
		require.Equal(t, received{Type: "pong", ID: "1"}, <-done)
	})
}

func TestWebSocketErrors(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		p := connect()
		f := func(send, id, code string) {
			t.Helper()
			p.send(send)
			r := p.read()
			require.Equal(t, []string{"error", id, code}, []string{r.Type, r.ID, r.Code}, "%+v", r)
			require.NotEmpty(t, r.Error)
			require.NotEmpty(t, r.Advice)
		}
		f(`{`, "", "invalid_message")
		f(`{"type":"subscribe","id":"1","view":"services","odd":1}`, "1", "invalid_message")
		f(`{"type":"subscribe","id":"1","view":"unknown"}`, "1", "unknown_view")
		f(`{"type":"subscribe","view":"services"}`, "", "invalid_id")
		f(`{"type":"subscribe","id":"`+strings.Repeat("x", 129)+`","view":"services"}`, strings.Repeat("x", 129), "invalid_id")
		f(`{"type":"subscribe","id":"1","view":"services","filter":{"state":"firing"}}`, "1", "invalid_filter")
		f(`{"type":"subscribe","id":"1","view":"services","filter":[]}`, "1", "invalid_filter")
		f(`{"type":"subscribe","id":"1","view":"services","filter":{"range":5}}`, "1", "invalid_filter")
		f(`{"type":"subscribe","id":"1","view":"services","filter":{"range":"25h"}}`, "1", "invalid_filter")
		f(`{"type":"subscribe","id":"1","view":"services","filter":{"range":"odd"}}`, "1", "invalid_duration")
		for _, every := range []string{"249ms", "61s", "24h"} {
			f(`{"type":"subscribe","id":"1","view":"services","filter":{"every":"`+every+`"}}`, "1", "invalid_filter")
		}
		f(`{"type":"subscribe","id":"1","view":"services","filter":{"every":"often"}}`, "1", "invalid_duration")
		f(`{"type":"subscribe","id":"1","view":"services","filter":{"every":2000}}`, "1", "invalid_filter")
		f(`{"type":"subscribe","id":"1","view":"logs","filter":{"every":"2s"}}`, "1", "invalid_filter")
		f(`{"type":"subscribe","id":"1","view":"alerts","filter":{"state":"odd"}}`, "1", "invalid_filter")
		f(`{"type":"unsubscribe","id":"1"}`, "1", "unknown_subscription")
		f(`{"type":"shout","id":"1"}`, "1", "unknown_type")
		require.NoError(t, p.conn.Write(context.Background(), websocket.MessageBinary, []byte("x")))
		require.Equal(t, "invalid_message", p.read().Code)
		for _, id := range []string{"1", "2", "2"} { // the last takes the place of the one before
			p.send(`{"type":"subscribe","id":"` + id + `","view":"pipeline"}`)
			p.want("snapshot", id, 1)
		}
		f(`{"type":"subscribe","id":"3","view":"pipeline"}`, "3", "too_many_subscriptions")
		go func() { // a pipe holds nothing, so this is under way while the answer comes, and fails
			_ = p.conn.Write(context.Background(), websocket.MessageText, []byte(strings.Repeat("x", 40<<10)))
		}()
		_, _, err := p.conn.Read(context.Background())
		require.Equal(t, websocket.StatusMessageTooBig, websocket.CloseStatus(err))
	}, func(c *Config) { c.Limits.Subscriptions = 2 })
}

// TestWebSocketsWithManyRanges: so many different views are computed and no more; one that is looked at already is open to everyone, also
// while others wait for their turn to be computed.
func TestWebSocketsWithManyRanges(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		first, second := connect(), connect()
		for i := range 5 {
			id := fmt.Sprint(i)
			first.send(`{"type":"subscribe","id":"` + id + `","view":"services","filter":{"range":"` + fmt.Sprint(i+1) + `m"}}`)
			first.want("snapshot", id, 1)
		}
		second.send(`{"type":"subscribe","id":"a","view":"services","filter":{"range":"77m"}}`)
		r := second.read()
		require.Equal(t, []string{"error", "a", "too_many_live_views"}, []string{r.Type, r.ID, r.Code}, "%+v", r)
		require.NotEmpty(t, r.Advice)
		second.send(`{"type":"subscribe","id":"b","view":"services","filter":{"range":"3m"}}`)
		second.want("snapshot", "b", 1)
		first.send(`{"type":"unsubscribe","id":"0"}`)
		second.send(`{"type":"subscribe","id":"c","view":"services","filter":{"range":"78m"}}`)
		if r = second.read(); r.Type == "error" { // the place is free when the first has left it
			synctest.Wait()
			second.send(`{"type":"subscribe","id":"c","view":"services","filter":{"range":"78m"}}`)
			r = second.read()
		}
		require.Equal(t, []string{"snapshot", "c"}, []string{r.Type, r.ID})
		b.record("60s 1ms web server get id=new/a")
		b.commit()
		for range 4 {
			require.Equal(t, "delta", first.read().Type)
		}
		require.Contains(t, b.get("/metrics").Body.String(), `watchingcat_ws_refused_subscriptions_total{view="services"}`)
	}, func(c *Config) { c.Limits.LiveViews = 5 })
}

func TestWebSocketsAreBoundedAndEndWithTheServer(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		p := connect()
		w := b.get("/ws")
		require.Equal(t, http.StatusServiceUnavailable, w.Code)
		require.Contains(t, w.Body.String(), "too_many_clients")
		closed := make(chan error)
		go func() {
			_, _, err := p.conn.Read(context.Background())
			closed <- err
		}()
		go b.s.Close()
		require.Equal(t, websocket.StatusGoingAway, websocket.CloseStatus(<-closed))
	}, func(c *Config) { c.Limits.Clients = 1 })
}

func TestWebSocketOrigins(t *testing.T) {
	b := newBench(t, func(c *Config) { c.CORSOrigins = []string{"https://grafana.example.org"} })
	srv := httptest.NewServer(b.s.Handler())
	defer srv.Close()
	f := func(origin string, status int) {
		t.Helper()
		conn, res, err := websocket.Dial(t.Context(), srv.URL+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Origin": {origin}}})
		require.Equal(t, status, res.StatusCode, "%s: %v", origin, err)
		if err == nil {
			require.NoError(t, conn.CloseNow())
		}
	}
	f(srv.URL, http.StatusSwitchingProtocols)
	f("https://grafana.example.org", http.StatusSwitchingProtocols)
	f("https://evil.example.org", http.StatusForbidden)
	f("http://evil.example.org:8090", http.StatusForbidden)
	require.Equal(t, http.StatusUpgradeRequired, b.get("/ws").Code)
}

func TestWebSocketLogs(t *testing.T) {
	onPipes(t, func(b *bench, connect func() *peer) {
		b.record("10s cart INFO | first", "11s cart ERROR | second")
		b.commit()
		p := connect()
		p.send(`{"type":"subscribe","id":"l","view":"logs","filter":{"service":"cart","severity":"error"}}`)
		require.Equal(t, "second", names(p.want("snapshot", "l", 1)["logs"], "body"))
		b.record("12s cart ERROR | third", "12s mail ERROR | of another service", "12s cart INFO | not bad enough")
		b.commit()
		time.Sleep(time.Second)
		require.Equal(t, "third", names(p.want("delta", "l", 2)["logs"], "body"))
		p.send(`{"type":"subscribe","id":"x","view":"logs","filter":{"severity":"LOUD"}}`)
		require.Equal(t, "invalid_filter", p.read().Code)
		p.leave()
	})
}

func TestLogTail(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		l := newPipes()
		ctx, stop := context.WithCancel(context.Background())
		ended := make(chan error, 1)
		go func() { ended <- b.s.Serve(ctx, l) }()
		client := &http.Client{Transport: &http.Transport{DialContext: l.dial}}
		b.record("10s cart ERROR | before anybody looked")
		b.commit()
		res, err := client.Get("http://watchingcat/api/v1/logs/tail?service=cart")
		require.NoError(t, err)
		require.Equal(t, "text/event-stream", res.Header.Get("Content-Type"))
		lines := bufio.NewScanner(res.Body)
		next := func(prefix string) string {
			t.Helper()
			for lines.Scan() {
				if text, ok := strings.CutPrefix(lines.Text(), prefix); ok {
					return text
				}
			}
			t.Fatalf("the tail ended before %q: %v", prefix, lines.Err())
			return ""
		}
		require.Equal(t, "following", next(": "))
		b.record("12s cart INFO id=t1/a | hello", "12s mail INFO | of another service")
		b.commit()
		require.Equal(t, "line", next("event: "))
		require.Contains(t, next("data: "), `"body":"hello"`)
		var many []string
		for i := range live.TailLines + 5 {
			many = append(many, fmt.Sprintf("13s cart INFO | line %d", i))
		}
		b.record(many...)
		b.commit()
		require.Equal(t, "dropped", next("event: "))
		require.Equal(t, `{"dropped":5}`, next("data: "))
		require.Contains(t, next("data: "), `"body":"line 5"`)
		again, err := client.Get("http://watchingcat/api/v1/logs/tail?last=2&attributes=resource.service.name!=mail")
		require.NoError(t, err)
		earlier := bufio.NewScanner(again.Body)
		var got []string
		for len(got) < 4 && earlier.Scan() {
			if text, ok := strings.CutPrefix(earlier.Text(), "data: "); ok {
				got = append(got, text)
			}
			if len(got) == 3 {
				b.record("14s mail INFO | of another service", "14s cart INFO | afterwards")
				b.commit()
			}
		}
		require.Equal(t, `{"last":2}`, got[0])
		require.Contains(t, got[1], `"body":"line 203"`)
		require.Contains(t, got[2], `"body":"line 204"`)
		require.Contains(t, got[3], `"body":"afterwards"`)
		require.NoError(t, again.Body.Close())
		stop()
		for lines.Scan() {
		}
		require.NoError(t, <-ended)
		w := b.do(http.MethodGet, "/api/v1/logs/tail?colour=cart", "")
		require.Equal(t, http.StatusBadRequest, w.Code)
	})
}

func TestWebSocketTextIsUTF8(t *testing.T) {
	onPipes(t, func(_ *bench, connect func() *peer) {
		p := connect()
		require.NoError(t, p.conn.Write(context.Background(), websocket.MessageText, []byte{'{', 0xff, '}'}))
		_, _, err := p.conn.Read(context.Background())
		require.Equal(t, websocket.StatusInvalidFramePayloadData, websocket.CloseStatus(err))
	})
}
