package spans

import (
	"math"
	"math/bits"
	"slices"
	"time"

	"go.opentelemetry.io/collector/pdata/ptrace"
)

// Heatmap counts spans by when they started and how long they took.
type Heatmap struct {
	from, step int64 // nanoseconds
	columns    int
	cells      map[Cell]Count
}

// A Cell is a column of time and a row of duration. Two rows are a doubling: row n begins at 2^(n/2) microseconds, row 0 at 0.
type Cell struct{ Column, Row int }

// A Count is how many spans a cell has, and how many of them failed.
type Count struct{ Spans, Failed uint64 }

// maxRow holds everything from about 13 days on.
const maxRow = 80

// NewHeatmap returns an empty heatmap of [from, to) with so many columns.
func NewHeatmap(from, to time.Time, columns int) *Heatmap {
	step := (to.UnixNano() - from.UnixNano() + int64(columns) - 1) / int64(columns)
	return &Heatmap{from: from.UnixNano(), step: max(1, step), columns: columns, cells: map[Cell]Count{}}
}

// Add counts a span; one that starts outside of the range is not counted.
func (h *Heatmap) Add(sp ptrace.Span) {
	h.Count(int64(sp.StartTimestamp()), Duration(sp), Failed(sp))
}

// Count counts what starts at a Unix time and took so long, both in nanoseconds.
func (h *Heatmap) Count(start int64, took uint64, failed bool) {
	column := (start - h.from) / h.step
	if start < h.from || column >= int64(h.columns) {
		return
	}
	at := Cell{int(column), rowOf(took)}
	n := h.cells[at]
	n.Spans++
	if failed {
		n.Failed++
	}
	h.cells[at] = n
}

// rowOf is the row of a duration in nanoseconds.
func rowOf(d uint64) int {
	us := d / 1000
	if us == 0 {
		return 0
	}
	row := 2 * (bits.Len64(us) - 1)
	if float64(us) >= math.Exp2(float64(row+1)/2) {
		row++
	}
	return min(row+1, maxRow)
}

// ShortestIn is the shortest duration of a row.
func ShortestIn(row int) time.Duration {
	if row <= 0 {
		return 0
	}
	return time.Duration(math.Ceil(math.Exp2(float64(row-1)/2))) * time.Microsecond
}

// A Column is one step of time of a heatmap.
type Column struct {
	Start time.Time
	Rows  []Row // with spans, ascending
}

// A Row is a range of durations within a column.
type Row struct {
	Row int
	Count
}

// Columns returns those with spans, oldest first.
func (h *Heatmap) Columns() (out []Column) {
	by := make([][]Row, h.columns)
	for at, n := range h.cells {
		by[at.Column] = append(by[at.Column], Row{at.Row, n})
	}
	for i, rows := range by {
		if len(rows) > 0 {
			slices.SortFunc(rows, func(a, b Row) int { return a.Row - b.Row })
			out = append(out, Column{time.Unix(0, h.from+int64(i)*h.step).UTC(), rows})
		}
	}
	return out
}

// Step is the width of a column.
func (h *Heatmap) Step() time.Duration { return time.Duration(h.step) }
