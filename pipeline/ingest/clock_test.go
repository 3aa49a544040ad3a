package ingest

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// A clock that is set an hour ahead or back goes on as before; only data of the new time moves it.
func TestSteadyClockHoldsThroughJumps(t *testing.T) {
	start := time.Unix(1_700_000_000, 0)
	var c steadyClock
	f := func(want, elapsed, jump, newest time.Duration) {
		t.Helper()
		require.Equal(t, start.Add(want), c.at(start.Add(elapsed+jump), elapsed, start.Add(newest)))
	}
	const s, h = time.Second, time.Hour
	f(0, 0, 0, 0)
	f(10*s, 10*s, 0, 9*s)
	f(22*s, 20*s, 2*s, 19*s)           // slewed
	f(32*s, 30*s, h, 29*s)             // set ahead, the data goes on as before
	f(62*s, 60*s, h, 59*s)             //
	f(72*s, 70*s, -h, 69*s)            // and back
	f(82*s, 80*s, 2*s, 79*s)           // as it was
	f(92*s, 90*s, h, 90*s)             //
	f(100*s+h, 100*s, h, 100*s+h-5*s)  // the machine slept: the data says so
	f(110*s+h, 110*s, h, 110*s+h-5*s)  //
	f(120*s+h, 120*s, -h, 120*s+h-5*s) // set back: watermarks do not go back
}
