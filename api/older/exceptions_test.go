package older

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

// damaged is a Reader whose blocks cannot be decoded.
type damaged struct{ views.Reader }

func (damaged) EachTraceBlock(_ [16]byte, fn func(views.TraceSummary, []byte) bool) (t views.TraceSummary, missing int, ok bool, err error) {
	fn(t, []byte{0xff})
	return t, 0, true, nil
}

// A block that cannot be decoded is an error, not a span without an exception.
func TestSpanExceptionInADamagedBlock(t *testing.T) {
	_, _, err := SpanException(answer.Moment{Views: damaged{}}, model.Exemplar{TraceID: [16]byte{1}, SpanID: [8]byte{1}}, "Timeout")
	require.Error(t, err)
}
