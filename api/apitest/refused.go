package apitest

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/api/answer"
)

// Refused is an error that says what is wrong with a request, and what to do.
func Refused(t *testing.T, err error, code string) {
	t.Helper()
	p := answer.ProblemOf(err)
	require.Equal(t, http.StatusBadRequest, p.Status, "%v", err)
	require.Equal(t, code, p.Code)
	require.NotEmpty(t, p.Advice)
}
