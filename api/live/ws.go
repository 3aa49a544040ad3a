package live

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"unicode/utf8"

	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/api/answer"
)

// CloseSlow is for a client that did not keep up; it may connect again and go on from its cursor.
const CloseSlow websocket.StatusCode = 4008

// CloseEnded is for a client whose credential has ended: it expired or was revoked, or its user was changed or removed.
const CloseEnded websocket.StatusCode = 4401

const endedReason = "the credential has ended: log in again, or use another token"

const maxIDLength = 128

// message is what a client sends.
type message struct {
	Type   string          `json:"type"`
	ID     string          `json:"id"`
	View   string          `json:"view"`
	Filter json.RawMessage `json:"filter"`
	Cursor *uint64         `json:"cursor"`
	Stream string          `json:"stream"` // of the frame that cursor is the seq of
}

// reply is an error or pong frame.
type reply struct {
	Type   string `json:"type"`
	ID     string `json:"id"`
	Code   string `json:"code,omitempty"`
	Error  string `json:"error,omitempty"`
	Advice string `json:"advice,omitempty"`
}

// frame is one message to a client: head, then data and the closing brace unless data is nil. data is shared by clients.
type frame struct {
	typ        string // snapshot, delta or resumed, and its number: for event streams
	seq        uint64
	stream     string
	head, data []byte
}

// client is one WebSocket. One goroutine reads, one writes, one checks that the other side is there.
type client struct {
	hub   *Hub
	conn  *websocket.Conn
	queue chan []frame
	slow  chan struct{}
	once  sync.Once
	ended <-chan struct{}          // the credential
	subs  map[string]*subscription // of the reading goroutine
}

// ServeWebSocket is GET /ws.
func (h *Hub) ServeWebSocket(w http.ResponseWriter, r *http.Request) {
	if !h.admit() {
		h.Fail(w, r, answer.Problemf(answer.ErrUnavailable, "too_many_clients",
			"there are %d WebSockets already, or WatchingCat is stopping",
			h.Limits.Clients))
		return
	}
	defer h.leave()
	// A page of another site must not read with its visitor's access: Accept refuses origins but its own and these.
	conn, err := websocket.Accept(closesOnce{w}, r,
		&websocket.AcceptOptions{OriginPatterns: originHosts(h.CORSOrigins), CompressionMode: websocket.CompressionDisabled})
	if err != nil {
		h.Logger.Debug().Err(err).Str("remote", r.RemoteAddr).Msg("WebSocket refused")
		return
	}
	conn.SetReadLimit(h.Limits.Message)
	ended, forget := h.Watch(r)
	defer forget()
	c := &client{hub: h, conn: conn, queue: make(chan []frame, h.Limits.Queue), slow: make(chan struct{}), ended: ended,
		subs: map[string]*subscription{}}
	ctx, cancel := context.WithCancel(h.ctx)
	var wg sync.WaitGroup
	wg.Go(func() { c.write(ctx); cancel() })
	wg.Go(func() { c.heartbeat(ctx); cancel() })
	c.read(ctx)
	cancel()
	for _, sub := range c.subs {
		h.unsubscribe(sub)
	}
	wg.Wait()
}

func (h *Hub) admit() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || h.clients >= h.Limits.Clients {
		return false
	}
	h.clients++
	h.wg.Add(1)
	h.metrics.clients.Inc()
	return true
}

func (h *Hub) leave() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients--
	h.metrics.clients.Dec()
	h.wg.Done()
}

func originHosts(origins []string) (hosts []string) {
	for _, o := range origins {
		if u, err := url.Parse(o); err == nil && u.Host != "" {
			o = u.Host
		}
		hosts = append(hosts, o)
	}
	return hosts
}

// queueFrames never waits: a full queue means that the client is slow.
func (c *client) queueFrames(f ...frame) {
	select {
	case c.queue <- f:
	default:
		c.cut()
	}
}

func (c *client) cut() { c.once.Do(func() { close(c.slow) }) }

// write sends what is queued. A slow client is closed after the frame under way, if it takes that within the write timeout.
func (c *client) write(ctx context.Context) {
	for {
		select {
		case <-c.slow:
			c.hub.metrics.slow.Inc()
			c.close(CloseSlow, "too slow: connect again and give the last seq as cursor")
			return
		case <-c.ended:
			c.close(CloseEnded, endedReason)
			return
		default:
		}
		select {
		case <-ctx.Done():
			c.close(websocket.StatusGoingAway, "WatchingCat is stopping")
			return
		case <-c.slow:
		case <-c.ended:
		case frames := <-c.queue:
			for _, f := range frames {
				if err := c.writeFrame(f); err != nil {
					c.close(websocket.StatusAbnormalClosure, "")
					return
				}
			}
		}
	}
}

func (c *client) writeFrame(f frame) error {
	ctx, cancel := context.WithTimeout(context.Background(), c.hub.Limits.WriteTimeout)
	defer cancel()
	if f.data == nil {
		return c.conn.Write(ctx, websocket.MessageText, f.head)
	}
	// One write: the library makes a frame of each, with its own locks and timers.
	b := messages.Get().(*bytes.Buffer)
	defer messages.Put(b)
	b.Reset()
	for _, part := range [][]byte{f.head, f.data, {'}'}} {
		b.Write(part)
	}
	return c.conn.Write(ctx, websocket.MessageText, b.Bytes())
}

// messages are buffers for frames that are being written.
var messages = sync.Pool{New: func() any { return new(bytes.Buffer) }}

// close ends the connection; abnormal closure is one without a word, for a client that is gone.
func (c *client) close(code websocket.StatusCode, reason string) {
	var err error
	if code == websocket.StatusAbnormalClosure {
		err = c.conn.CloseNow()
	} else {
		err = c.conn.Close(code, reason)
	}
	if err != nil {
		c.hub.Logger.Debug().Err(err).Msg("closing a WebSocket")
	}
}

// heartbeat ends the connection of a client that answers no pings.
func (c *client) heartbeat(ctx context.Context) {
	for sleep(ctx, c.hub.Limits.Heartbeat) {
		ping, cancel := context.WithTimeout(ctx, c.hub.Limits.Heartbeat)
		err := c.conn.Ping(ping)
		cancel()
		if err != nil {
			if ctx.Err() == nil {
				c.close(websocket.StatusAbnormalClosure, "")
			}
			return
		}
	}
}

// read answers messages until the connection ends. Its own context is never cancelled: the writer closes the connection with a
// reason, and reading must go on for the other side's answer to that.
func (c *client) read(ctx context.Context) {
	for ctx.Err() == nil {
		typ, data, err := readMessage(context.WithoutCancel(ctx), c.conn)
		if err != nil {
			return
		}
		if err := c.handle(typ, data); err != nil {
			return
		}
	}
}

// readMessage reads a whole message. The library does not look whether text is UTF-8, as RFC 6455 (8.1) asks.
func readMessage(ctx context.Context, conn *websocket.Conn) (typ websocket.MessageType, data []byte, err error) {
	typ, r, err := conn.Reader(ctx)
	if err != nil {
		return typ, nil, err
	}
	if data, err = io.ReadAll(r); err != nil {
		return typ, nil, err
	}
	if typ == websocket.MessageText && !utf8.Valid(data) {
		err = errors.New("text is not UTF-8")
		return typ, nil, errors.Join(err, conn.Close(websocket.StatusInvalidFramePayloadData, err.Error()))
	}
	return typ, data, nil
}

func (c *client) handle(typ websocket.MessageType, data []byte) error {
	var m message
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	err := errors.New("messages are text")
	if typ == websocket.MessageText {
		err = dec.Decode(&m)
	}
	if err != nil {
		return c.reply(errorReply(m.ID, answer.Advise(answer.Problemf(answer.ErrBadRequest, "invalid_message", "%v", err),
			"Send one JSON object of type subscribe, unsubscribe or ping.")))
	}
	switch m.Type {
	case "ping":
		return c.reply(reply{Type: "pong", ID: m.ID})
	case "subscribe":
		err = c.subscribe(m)
	case "unsubscribe":
		sub := c.subs[m.ID]
		if sub == nil {
			err = answer.Problemf(answer.ErrNotFound, "unknown_subscription", "there is no subscription %q", m.ID)
			break
		}
		c.hub.unsubscribe(sub)
		delete(c.subs, m.ID)
	default:
		err = answer.Advise(answer.Problemf(answer.ErrBadRequest, "unknown_type", "unknown type %q", m.Type),
			"Types are subscribe, unsubscribe and ping.")
	}
	if err != nil {
		return c.reply(errorReply(m.ID, err))
	}
	return nil
}

// lookAt finds a view, and checks the filter for it.
func (h *Hub) lookAt(view string, raw json.RawMessage) (*View, Filter, error) {
	i := slices.IndexFunc(h.Catalog, func(v *View) bool { return v.Name == view })
	if i < 0 {
		return nil, Filter{}, answer.Advise(answer.Problemf(answer.ErrBadRequest, "unknown_view", "unknown view %q", view),
			"Views are services, servicehealth, servicemap, alerts, pipeline and logs.")
	}
	f, err := h.Catalog[i].parseFilter(raw)
	return h.Catalog[i], f, err
}

func (c *client) subscribe(m message) error {
	if m.ID == "" || len(m.ID) > maxIDLength {
		return answer.Problemf(answer.ErrBadRequest, "invalid_id", "an id has 1 to %d bytes", maxIDLength)
	}
	v, f, err := c.hub.lookAt(m.View, m.Filter)
	if err != nil {
		return err
	}
	if old := c.subs[m.ID]; old != nil {
		c.hub.unsubscribe(old)
		delete(c.subs, m.ID)
	}
	if limit := c.hub.Limits.Subscriptions; len(c.subs) >= limit {
		return answer.Advise(answer.Problemf(answer.ErrBadRequest, "too_many_subscriptions", "a connection has at most %d subscriptions",
			limit),
			"Unsubscribe from one first.")
	}
	sub, err := c.hub.subscribe(c, m.ID, v, f, place{answer.Value(m.Cursor), m.Stream})
	if err != nil {
		return err
	}
	c.subs[m.ID] = sub
	return nil
}

func errorReply(id string, err error) reply {
	p := answer.ProblemOf(err)
	return reply{Type: "error", ID: id, Code: p.Code, Error: p.Error, Advice: p.Advice}
}

func (c *client) reply(r reply) error {
	b, err := json.Marshal(r)
	if err != nil {
		return err
	}
	c.queueFrames(frame{head: b})
	return nil
}
