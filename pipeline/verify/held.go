package verify

import (
	"time"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// held is what the views hold of a window.
type held struct {
	red        map[redKey]*count
	operations map[operationKey]*count // over the whole window, from wider buckets; nil: there are none
	edges      map[edgeKey]*count
	lines      map[lineKey]*count
}

// hold reads the cells of a window, which are width wide.
func hold(r views.Reader, w Window, width time.Duration) (h held, err error) {
	h = held{red: map[redKey]*count{}, edges: map[edgeKey]*count{}, lines: map[lineKey]*count{}}
	if err := h.readRED(r, w); err != nil {
		return h, err
	}
	if err := h.readEdges(r, w); err != nil {
		return h, err
	}
	if width < time.Minute {
		if err := h.readOperations(r, w); err != nil {
			return h, err
		}
	}
	return h, h.readLines(r, w)
}

func (h *held) readRED(r views.Reader, w Window) error {
	series, err := r.SelectRED(w.From, w.To, func(uint32, model.REDKey) bool { return true })
	for i := range series {
		s := &series[i]
		for j := range s.Cells {
			c := &s.Cells[j]
			if c.Calls > 0 {
				k := redKey{s.Key.Service, s.Key.Operation, s.Key.Dims.String(), uint8(s.Key.Kind), uint8(s.Key.Status), c.Bucket}
				h.red[k] = &count{n: c.Calls, sum: c.Sum.Lo, shape: shapeHeld(&c.Hist)}
			}
		}
	}
	return err
}

func (h *held) readOperations(r views.Reader, w Window) error {
	list, err := r.Latencies(w.From, w.To, func(model.REDKey) bool { return true })
	h.operations = map[operationKey]*count{}
	for i := range list {
		if o := &list[i]; o.Calls > 0 {
			h.operations[operationKey{o.Service, o.Name, uint8(o.Kind)}] = &count{n: o.Calls, failed: o.Errors, shape: shapeHeld(&o.Hist)}
		}
	}
	return err
}

func (h *held) readEdges(r views.Reader, w Window) error {
	edges, err := r.SelectEdges(w.From, w.To, func(_ uint32, k model.EdgeKey) bool {
		_, unpaired := k.Unpaired()
		return !unpaired
	})
	for i := range edges {
		s := &edges[i]
		for j := range s.Cells {
			c := &s.Cells[j]
			if c.Calls > 0 {
				k := edgeKey{s.Key.Client, s.Key.ClientDims.String(), s.Key.Server, s.Key.ServerDims.String(), s.Key.Connection, c.Bucket}
				add(h.edges, k, count{n: c.Calls, failed: c.Failed, sum: c.ClientSum.Lo, server: c.ServerSum.Lo})
			}
		}
	}
	return err
}

func (h *held) readLines(r views.Reader, w Window) error {
	rows, err := r.SelectTable(model.TableLogs, w.From, w.To, func([]string) bool { return true })
	for i := range rows {
		s := &rows[i]
		for j := range s.Cells {
			c := &s.Cells[j]
			if c.Calls > 0 {
				k := lineKey{s.Labels[0], s.Labels[1], model.DimsOf(s.Labels).String(), c.Bucket}
				h.lines[k] = &count{n: c.Calls}
			}
		}
	}
	return err
}

// shapeHeld is the shape of a histogram of the views.
func shapeHeld(h *model.Histogram) (sum uint64) {
	upTo := map[uint64]uint64{}
	for _, family := range []model.Bounds{model.CollectorBounds, model.TempoBounds, model.TempoGraphBounds} {
		for i, n := range h.Cumulative(family) {
			upTo[uint64(family[i])] = n
		}
	}
	last := uint64(0)
	for i, b := range bounds {
		sum += shapeOf(i, upTo[b]-last)
		last = upTo[b]
	}
	return sum + shapeOf(len(bounds), h.Count()-last)
}

// operationsOf are the cells of a recount added up over the window.
func operationsOf(red map[redKey]*count) map[operationKey]*count {
	out := map[operationKey]*count{}
	for k, c := range red {
		o := count{n: c.n, shape: c.shape, uncertain: c.uncertain}
		if k.status == uint8(model.StatusError) {
			o.failed = c.n
		}
		add(out, operationKey{k.service, k.operation, k.kind}, o)
	}
	return out
}
