package live

import (
	"bytes"
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/api/answer"
)

// stream is one subscription as server-sent events. It takes what a WebSocket takes, by the same rules: frames wait in a queue, and a
// client that lets it fill is cut off with a reason.
type stream struct {
	queue chan []frame
	slow  chan struct{}
	once  sync.Once
}

func (s *stream) queueFrames(f ...frame) {
	select {
	case s.queue <- f:
	default:
		s.cut()
	}
}

func (s *stream) cut() { s.once.Do(func() { close(s.slow) }) }

// ServeEvents is GET /api/v1/live.
func (h *Hub) ServeEvents(w http.ResponseWriter, r *http.Request) {
	v, f, err := h.lookAt(r.URL.Query().Get("view"), filterOf(r))
	if err != nil {
		h.Fail(w, r, err)
		return
	}
	if !h.admit() {
		h.Fail(w, r, answer.Problemf(answer.ErrUnavailable, "too_many_clients",
			"there are %d live connections already, or WatchingCat is stopping",
			h.Limits.Clients))
		return
	}
	defer h.leave()
	st := &stream{queue: make(chan []frame, h.Limits.Queue), slow: make(chan struct{})}
	sub, err := h.subscribe(st, v.Name, v, f, placeOf(r.Header.Get("Last-Event-ID")))
	if err != nil {
		h.Fail(w, r, err)
		return
	}
	defer h.unsubscribe(sub)
	ended, forget := h.Watch(r)
	defer forget()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &events{w: w, flush: http.NewResponseController(w)}
	out.comment("following")
	beat := time.NewTicker(h.Limits.Heartbeat)
	defer beat.Stop()
	for out.err == nil {
		select {
		case <-st.slow:
			h.metrics.slow.Inc()
			out.closed(CloseSlow, "too slow: connect again with Last-Event-ID")
			return
		case <-ended:
			out.closed(CloseEnded, endedReason)
			return
		default:
		}
		select {
		case <-r.Context().Done():
			return
		case <-h.ctx.Done():
			out.closed(websocket.StatusGoingAway, "WatchingCat is stopping")
			return
		case <-st.slow:
		case <-ended:
		case <-beat.C:
			out.comment("still here")
		case frames := <-st.queue:
			for _, f := range frames {
				out.event(f.typ, strconv.FormatUint(f.seq, 10)+"@"+f.stream,
					json.RawMessage(bytes.Join([][]byte{f.head, f.data, {'}'}}, nil)))
			}
		}
	}
}

// placeOf reads the id of an event, seq@stream. What is no number is no cursor.
func placeOf(id string) place {
	seq, stream, _ := strings.Cut(id, "@")
	cursor, err := strconv.ParseUint(seq, 10, 64)
	if err != nil {
		return place{}
	}
	return place{cursor, stream}
}

func (e *events) closed(code websocket.StatusCode, reason string) {
	b, err := json.Marshal(map[string]any{"code": code, "reason": reason})
	if err != nil {
		e.err = err
		return
	}
	e.write("event: closed\ndata: %s\n\n", b) // without an id: the cursor stays
}

// filterOf is the filter of a request, as a WebSocket's message would have it.
func filterOf(r *http.Request) json.RawMessage {
	fields := map[string]string{}
	for name, v := range r.URL.Query() {
		if name != "view" {
			fields[name] = v[0]
		}
	}
	b, _ := json.Marshal(fields) // a map of strings always can be
	return b
}
