package evidence

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/cells"
	"github.com/gaurav/watchingcat/views/model"
)

// exceptionRows is a Reader of the table of exceptions.
type exceptionRows struct {
	views.Reader
	rows []cells.TallyRow
}

func (r *exceptionRows) TableRows(model.Table, time.Time, time.Time, func([]string) bool) ([]cells.TallyRow, error) {
	return r.rows, nil
}

// An exception that a span and a log record have is listed once, with its operation; others of the same service beside it.
func TestExceptionsAreListedOnce(t *testing.T) {
	at := time.Unix(1_000_000, 0)
	row := func(operation, typ, source string, count uint64) cells.TallyRow {
		r := cells.TallyRow{Labels: []string{"pay", operation, typ, "no answer", source}, FirstSeen: at, LastSeen: at}
		r.Calls = count
		return r
	}
	v := begin("pay", at, at.Add(time.Minute))
	require.NoError(t, v.exceptions(&exceptionRows{rows: []cells.TallyRow{row("", "Timeout", "log", 61), row("Charge", "Timeout", "span", 61),
		row("", "Refused", "log", 3), row("Charge", "Refused", "span", 2)}}, nil))
	var got [][3]any
	for _, e := range v.Errors {
		got = append(got, [3]any{e.Type, e.Operation, e.Count})
	}
	require.Equal(t, [][3]any{{"Timeout", "Charge", uint64(61)}, {"Refused", "", uint64(3)}}, got)
}
