package verify

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/gaurav/watchingcat/pipeline/progress"
)

// redKey is a cell of the red view.
type redKey struct {
	service, operation, dims string
	kind, status             uint8
	bucket                   int64 // start, Unix seconds
}

// operationKey is an operation over the whole window, as sums over wide buckets give it.
type operationKey struct {
	service, operation string
	kind               uint8
}

// edgeKey is a cell of the service map, by the labels of its series.
type edgeKey struct {
	client, clientDims, server, serverDims, connection string
	bucket                                             int64
}

// lineKey is a cell of the log volume.
type lineKey struct {
	service, severity, dims string
	bucket                  int64
}

// count is what one cell counted. Sums are in nanoseconds, modulo 2^64.
type count struct {
	n, failed   uint64
	sum, server uint64
	shape       uint64 // of the histogram, see shapeOf
	uncertain   bool   // the order of arrival may decide what the cell counts
}

func (c *count) add(o count) {
	c.n += o.n
	c.failed += o.failed
	c.sum += o.sum
	c.server += o.server
	c.shape += o.shape
	c.uncertain = c.uncertain || o.uncertain
}

func (c count) equals(o count) bool {
	c.uncertain, o.uncertain = false, false
	return c == o
}

func (c count) String() string {
	s := fmt.Sprintf("%d", c.n)
	if c.failed > 0 {
		s += fmt.Sprintf(", %d failed", c.failed)
	}
	if c.sum+c.server > 0 {
		s += fmt.Sprintf(", %v in all", time.Duration(c.sum))
	}
	if c.server > 0 {
		s += fmt.Sprintf(", %v at the server", time.Duration(c.server))
	}
	return s
}

// other is the name under which the views count what is above a limit.
const other = "_other"

// described is a key that can say what it is.
type described interface {
	comparable
	series() string
	start() int64
	overflow() bool // it counts what is above a limit
}

func (k redKey) series() string {
	return strings.TrimSpace(fmt.Sprintf("%s %q %s %s %s", k.service, k.operation, kinds[k.kind], statuses[k.status], k.dims))
}
func (k redKey) start() int64 { return k.bucket }
func (k redKey) overflow() bool {
	return k.service == other || k.operation == other || strings.Contains(k.dims, "="+other)
}

func (k operationKey) series() string {
	return fmt.Sprintf("%s %q %s", k.service, k.operation, kinds[k.kind])
}
func (k operationKey) start() int64   { return 0 }
func (k operationKey) overflow() bool { return k.service == other || k.operation == other }

func (k edgeKey) series() string {
	return strings.TrimSpace(fmt.Sprintf("%s -> %s %s %s %s", k.client, k.server, k.connection, k.clientDims, k.serverDims))
}
func (k edgeKey) start() int64 { return k.bucket }
func (k edgeKey) overflow() bool {
	return k.client == other || k.server == other || strings.Contains(k.clientDims+k.serverDims, "="+other)
}

func (k lineKey) series() string {
	return strings.TrimSpace(k.service + " " + k.severity + " " + k.dims)
}
func (k lineKey) start() int64   { return k.bucket }
func (k lineKey) overflow() bool { return k.service == other || strings.Contains(k.dims, "="+other) }

var (
	kinds    = [...]string{"UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"}
	statuses = [...]string{"UNSET", "OK", "ERROR"}
)

// comparison is the result of comparing cells.
type comparison struct {
	compared, uncertain int
	differing           []progress.Difference
}

func (c *comparison) add(o comparison) {
	c.compared += o.compared
	c.uncertain += o.uncertain
	c.differing = append(c.differing, o.differing...)
}

// compare holds the cells of a view against those of the topics.
func compare[K described](view string, topics, views map[K]*count) (out comparison) {
	over := map[int64]*overflow{}
	for k, v := range views {
		if k.overflow() && v.n != 0 && over[k.start()] == nil {
			over[k.start()] = &overflow{}
		}
	}
	look := func(k K, t, v count) {
		o := over[k.start()]
		switch {
		case t.uncertain:
			out.uncertain++
			if o != nil {
				o.unsure = true
			}
			return
		case t.equals(v):
			out.compared++
			return
		}
		d := progress.Difference{View: view, Series: k.series(), Bucket: time.Unix(k.start(), 0).UTC(), Topics: t.String(), Views: v.String()}
		if d.Topics == d.Views {
			d.Views += ", with other durations"
		}
		if o == nil || v.n > t.n && !k.overflow() {
			out.differing = append(out.differing, d)
			return
		}
		o.topics.add(t)
		o.views.add(v)
		o.moved = append(o.moved, d)
	}
	for k, t := range topics {
		v := views[k]
		if v == nil {
			v = &count{}
		}
		look(k, *t, *v)
	}
	for k, v := range views {
		if topics[k] == nil && v.n != 0 {
			look(k, count{}, *v)
		}
	}
	for _, o := range over {
		out.add(o.comparison())
	}
	out.compared += len(out.differing)
	slices.SortFunc(out.differing, func(a, b progress.Difference) int {
		return cmp.Or(a.Bucket.Compare(b.Bucket), cmp.Compare(a.Series, b.Series))
	})
	return out
}

// overflow is a bucket in which views count some things under another name, because they are above a limit: their sums must be equal.
type overflow struct {
	topics, views count
	moved         []progress.Difference
	unsure        bool // uncertain cells may be among what was moved
}

func (o *overflow) comparison() (out comparison) {
	switch {
	case o.unsure:
		out.uncertain = len(o.moved)
	case o.topics.equals(o.views):
		out.compared = len(o.moved)
	default:
		out.differing = o.moved
	}
	return out
}

// bounds are the bounds, in nanoseconds, of the Collector's connectors, of Tempo's span metrics and of Tempo's service graphs.
var bounds = func() []uint64 {
	list := []uint64{2, 4, 6, 8, 10, 50, 100, 200, 400, 800, 1000, 1400, 2000, 5000, 10000, 15000}
	for i := range 14 {
		list = append(list, 2<<i)
	}
	for i := range 8 {
		list = append(list, 100<<i)
	}
	slices.Sort(list)
	list = slices.Compact(list)
	for i := range list {
		list[i] *= uint64(time.Millisecond)
	}
	return list
}()

// shapeOf is one number for n observations between two neighbouring bounds: sums of it are equal where histograms are, but for a chance of
// 2^-64.
func shapeOf(bucket int, n uint64) uint64 {
	x := uint64(bucket+1) * 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return (x ^ x>>31) * n
}

// shape is that of n durations.
func shape(d, n uint64) uint64 {
	i, _ := slices.BinarySearch(bounds, d)
	return shapeOf(i, n)
}
