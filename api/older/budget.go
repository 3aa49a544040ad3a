package older

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
	"go.opentelemetry.io/collector/pdata/ptrace"
	"golang.org/x/sync/semaphore"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/spans"
)

// Budget bounds the bytes of spans that answers about single traces hold: of one answer, which is cut, and of all large ones together,
// which wait for each other. Small ones never wait.
type Budget struct {
	one  int64 // bytes of OTLP in one answer
	all  *semaphore.Weighted
	Wait time.Duration

	cut, refused prometheus.Counter
}

const (
	// largeTrace is from how many bytes on an answer waits for its turn; spanBytes is what a span is taken to have before it is read.
	largeTrace = 1 << 20
	spanBytes  = 256
	// firstRoom is what an answer reserves at first, once it is large.
	firstRoom = 4 << 20
	// traceWait is how long a large answer waits for its turn.
	traceWait = 10 * time.Second
)

// NewBudget registers the metrics of a budget of so many bytes for one answer, and for all large ones.
func NewBudget(one, all int64, reg prometheus.Registerer) *Budget {
	f := promauto.With(reg)
	return &Budget{one: one, all: semaphore.NewWeighted(max(one, all)), Wait: traceWait,
		cut: f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_trace_answers_cut_total",
			Help: "Answers that contain only a part of a trace because the trace exceeds the size limit."}),
		refused: f.NewCounter(prometheus.CounterOpts{Name: "watchingcat_trace_answers_refused_total",
			Help: "Requests for large traces answered with 503 because others were being answered for too long."})}
}

// answerRoom is what one answer has taken of the budget: the bytes of spans that it holds, and those that are reserved for it.
type answerRoom struct{ used, acquired int64 }

// errNoMoreRoom says that an answer which has begun cannot grow.
var errNoMoreRoom = errors.New("no more room for this answer")

// reserve makes sure that an answer may hold so many bytes. It waits only for the first reservation, at least firstRoom and as much as the
// trace may need: answers that waited for each other while they hold some would never end.
func (b *Budget) reserve(ctx context.Context, room *answerRoom, used, expected int64) error {
	switch {
	case max(used, expected) < largeTrace || used <= room.acquired && expected <= room.acquired:
		return nil
	case room.acquired == 0:
		n := min(b.one, max(used, expected, firstRoom))
		if err := b.Acquire(ctx, n); err != nil {
			return err
		}
		room.acquired = n
		return nil
	case used <= room.acquired || room.acquired >= b.one:
		return nil
	}
	n := min(b.one-room.acquired, max(used-room.acquired, room.acquired))
	if !b.all.TryAcquire(n) {
		return errNoMoreRoom
	}
	b.hold(ctx, n)
	room.acquired += n
	return nil
}

// hold gives back what was acquired when the request has ended.
func (b *Budget) hold(ctx context.Context, n int64) {
	if ctx.Done() == nil { // nothing ends: of tests
		b.all.Release(n)
		return
	}
	context.AfterFunc(ctx, func() { b.all.Release(n) })
}

// spans reads what the views keep of a trace, within the room of an answer. cut says that there is more.
func (b *Budget) spans(ctx context.Context, v views.Reader, id [16]byte,
	room *answerRoom) (data []ptrace.Traces, sum views.TraceSummary, missing int, ok, cut bool, err error) {
	var failed error
	sum, missing, ok, err = v.EachTraceBlock(id, func(t views.TraceSummary, block []byte) bool {
		part, whole := spansWithin(resourcesWith(block, id), b.one-room.used, room.used == 0)
		if failed = b.reserve(ctx, room, room.used+int64(len(part)), int64(t.Spans)*spanBytes); errors.Is(failed, errNoMoreRoom) {
			failed, cut = nil, true
			return false
		} else if failed != nil {
			return false
		}
		room.used += int64(len(part))
		cut = !whole
		var td ptrace.Traces
		if td, failed = spans.Decode(part); failed != nil {
			return false
		}
		data = append(data, td)
		return whole
	})
	if err == nil {
		err = failed
	}
	if cut {
		b.cut.Inc()
	}
	return data, sum, missing, ok, cut, err
}

// cutWarning is for an answer that holds so many of a trace's spans.
func (b *Budget) cutWarning(held int, sum views.TraceSummary) string {
	return fmt.Sprintf("the trace has %d spans, of which this answer holds %d: an answer holds at most %d bytes of spans, and fewer while other large traces are answered", sum.Spans, held, b.one)
}

// Acquire waits for the turn of an answer, and gives it to the next when the request has ended.
func (b *Budget) Acquire(ctx context.Context, size int64) error {
	waiting, cancel := context.WithTimeout(ctx, b.Wait)
	defer cancel()
	if err := b.all.Acquire(waiting, size); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		b.refused.Inc()
		return answer.Advise(answer.Problemf(answer.ErrUnavailable, "too_many_large_traces",
			"other large traces are being answered, and for %v there was no room for this one", b.Wait),
			"Try again later; use the summary of the trace in GET /api/v1/traces meanwhile.")
	}
	b.hold(ctx, size)
	return nil
}

// spansWithin returns the beginning of OTLP TracesData in at most limit bytes, and whether that is all. It is cut between resources, or
// within the first that does not fit between its spans. Where first is set one span is there, however large it is.
func spansWithin(traces []byte, limit int64, first bool) (part []byte, whole bool) {
	return within(traces, limit, first, 1, 2, 2) // resources, scopes, spans
}

// within keeps of a message what lies beside the list that is its field list, and of that as much as there is room for.
func within(message []byte, limit int64, first bool, list protowire.Number, below ...protowire.Number) (part []byte, whole bool) {
	if int64(len(message)) <= limit {
		return message, true
	}
	for rest := message; len(rest) > 0; {
		num, _, size := protowire.ConsumeField(rest)
		if size < 0 {
			return part, false
		}
		if num != list {
			part = append(part, rest[:size]...)
		}
		rest = rest[size:]
	}
	begun := len(part)
	for rest := message; len(rest) > 0; {
		num, typ, size := protowire.ConsumeField(rest)
		field := rest[:size]
		rest = rest[size:]
		if num != list || typ != protowire.BytesType {
			continue
		}
		room := limit - int64(len(part))
		if int64(size) <= room {
			part = append(part, field...)
			continue
		}
		first = first && len(part) == begun
		switch {
		case len(below) > 0:
			v, _ := protowire.ConsumeBytes(field[protowire.SizeTag(num):])
			if inner, _ := within(v, room-16, first, below[0], below[1:]...); int64(len(inner)) <= room-16 || first {
				part = protowire.AppendBytes(protowire.AppendTag(part, num, typ), inner)
			}
		case first:
			part = append(part, field...)
		}
		return part, false
	}
	return part, false
}
