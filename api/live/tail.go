package live

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"nhooyr.io/websocket"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/telemetry"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

const (
	tailEvery = 250 * time.Millisecond // at most so often
	// TailLines is how many lines are sent at a time; more are dropped and counted.
	TailLines = 200
	tailBeat  = 15 * time.Second
	// lastBudget is how many bytes are searched for the lines that a tail begins with.
	lastBudget = 64 << 20
)

// ServeTail sends new log lines as server-sent events until the client goes away or the server stops.
func (h *Hub) ServeTail(w http.ResponseWriter, r *http.Request) {
	q, err := tailQuery(r)
	if err != nil {
		h.Fail(w, r, err)
		return
	}
	if n := h.tails.Add(1); n > int64(h.Limits.Clients) {
		h.tails.Add(-1)
		h.Fail(w, r, answer.Advise(answer.Problemf(answer.ErrUnavailable, "too_many_clients", "%d log tails are open, which is the limit",
			n-1),
			"Close one, or ask GET /api/v1/logs."))
		return
	}
	defer h.tails.Add(-1)
	after := h.Views.Frontier().Seq
	if id, err := strconv.ParseUint(r.Header.Get("Last-Event-ID"), 10, 64); err == nil {
		after = min(after, id)
	}
	sub := h.Views.Feed().Subscribe()
	defer sub.Close()
	ended, forget := h.Watch(r)
	defer forget()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	out := &events{w: w, flush: http.NewResponseController(w)}
	beat, pace := time.NewTicker(tailBeat), time.NewTicker(tailEvery)
	defer beat.Stop()
	defer pace.Stop()
	out.comment("following")
	sent, err := h.sendLast(r, q, after, out)
	if err != nil {
		h.Logger.Error().Err(err).Msg("log tail ended")
		return
	}
	for out.err == nil {
		var lines []views.LogLine
		var dropped int
		if lines, dropped, after, err = h.Views.TailLogs(q, after, TailLines); err != nil {
			h.Logger.Error().Err(err).Msg("log tail ended")
			return
		}
		lines = slices.DeleteFunc(lines, func(l views.LogLine) bool { return sent[l.Place()] })
		sent = nil // whatever it holds was committed before what comes now
		if dropped > 0 {
			out.event("dropped", strconv.FormatUint(after, 10), map[string]int{"dropped": dropped})
		}
		for i := range lines {
			out.event("line", strconv.FormatUint(after, 10), telemetry.LogLine(&lines[i]))
		}
		if !h.waitForLogs(r, sub, out, ended, beat.C, pace.C) {
			return
		}
	}
}

// sendLast sends the newest lines of before, as many as the request asks for, oldest first. It returns their places: some may have been
// committed meanwhile, so that they come again.
func (h *Hub) sendLast(r *http.Request, q views.LogQuery, after uint64, out *events) (map[string]bool, error) {
	n, _ := strconv.Atoi(r.URL.Query().Get("last")) // validated by the document; 0 where it is not given
	if n <= 0 || r.Header.Get("Last-Event-ID") != "" {
		return nil, nil
	}
	q.Limit, q.Budget = n, lastBudget
	res, err := h.Views.SearchLogs(q)
	if err != nil {
		return nil, err
	}
	sent := make(map[string]bool, len(res.Lines))
	out.event("last", strconv.FormatUint(after, 10), map[string]int{"last": len(res.Lines)})
	for _, l := range slices.Backward(res.Lines) {
		sent[l.Place()] = true
		out.event("line", strconv.FormatUint(after, 10), telemetry.LogLine(&l))
	}
	return sent, nil
}

// waitForLogs waits for a commit, but not less than tailEvery; false means that the tail is over.
func (h *Hub) waitForLogs(r *http.Request, sub *model.Subscription, out *events, ended <-chan struct{}, beat,
	pace <-chan time.Time) bool {
	for {
		select {
		case <-r.Context().Done():
			return false
		case <-h.stopping:
			out.closed(websocket.StatusGoingAway, "WatchingCat is stopping")
			return false
		case <-ended:
			out.closed(CloseEnded, endedReason)
			return false
		case <-beat:
			if out.comment("still here"); out.err != nil {
				return false
			}
		case <-pace:
			select {
			case <-sub.C:
				sub.Take()
				return true
			default:
			}
		}
	}
}

func tailQuery(r *http.Request) (views.LogQuery, error) {
	v := r.URL.Query()
	text := func(name string) *string {
		if !v.Has(name) {
			return nil
		}
		t := v.Get(name)
		return &t
	}
	l := telemetry.LogQuery{Conditions: v["attributes"], Service: text("service"), Severity: text("severity"), Text: text("text"),
		Pattern: text("pattern"), TraceID: text("trace_id")}
	return l.Filter()
}

// events writes server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html); after an error it does nothing.
type events struct {
	w     http.ResponseWriter
	flush *http.ResponseController
	err   error
}

func (e *events) event(name, id string, data any) {
	b, err := json.Marshal(data)
	if err != nil { // of this event alone: the others come
		e.comment("an event could not be encoded")
		return
	}
	e.write("event: %s\nid: %s\ndata: %s\n\n", name, id, b)
}

func (e *events) comment(text string) { e.write(": %s\n\n", text) }

func (e *events) write(format string, args ...any) {
	if e.err != nil {
		return
	}
	// the server's own timeout is that of a whole answer
	if e.err = e.flush.SetWriteDeadline(time.Now().Add(tailBeat)); e.err != nil && !errors.Is(e.err, http.ErrNotSupported) {
		return
	}
	if _, e.err = fmt.Fprintf(e.w, format, args...); e.err == nil {
		e.err = e.flush.Flush()
	}
}
