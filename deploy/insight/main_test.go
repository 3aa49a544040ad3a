package main

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

// Two faults of Train Ticket (Nezha, MIT licence in the file): an early return, which only log lines show, and a lack of CPU, which only
// metrics do. Without that signal no service is accused with confidence.
func TestFaultsOfARealSystem(t *testing.T) {
	root, closeRoot, err := open("testdata/train-ticket.zip")
	require.NoError(t, err)
	defer closeRoot() //nolint:errcheck // it was only read
	results, err := measure(root, "2023-01-29", signals{logs: true, metrics: true})
	require.NoError(t, err)
	require.Len(t, results, 2)
	for i, want := range []string{alert.TermSeverity, alert.TermCPU} {
		r := &results[i]
		require.Equal(t, 0, r.place(), "%s %s: %v", r.service(), r.Kind, r.evidence.Candidates)
		require.Equal(t, want, r.evidence.Candidates[0].Terms[0].Signal)
		require.Equal(t, r.service(), r.evidence.Cause.Name)
	}
	results, err = measure(root, "2023-01-29", signals{})
	require.NoError(t, err)
	for i := range results {
		r := &results[i]
		require.True(t, r.place() == 0 || r.evidence.Confidence < sure, "%s %s: %v", r.service(), r.Kind, r.evidence.Candidates)
	}
}
