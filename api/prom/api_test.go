package prom

import (
	"math"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/answer"
)

// TestAnswerThatCannotBeEncoded is an error, whatever it was to be, and never a 200.
func TestAnswerThatCannotBeEncoded(t *testing.T) {
	w := httptest.NewRecorder()
	out := &answer.Writer{}
	require.Error(t, out.JSON(w, http.StatusOK, map[string]any{"x": math.NaN()}))
	require.Zero(t, w.Body.Len())
	(&API{Writer: out}).answer(w, http.StatusOK, map[string]any{"x": math.NaN()})
	require.Equal(t, http.StatusInternalServerError, w.Code)
	require.Contains(t, w.Body.String(), `"status":"error"`)
}
