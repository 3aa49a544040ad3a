package backup

import (
	"testing"
	"time"
)

// ParseManifest is for the fuzz target.
func ParseManifest(b []byte) (*Manifest, error) { return parseManifest(b) }

// RetryPause sets how long a retry of a read waits.
func RetryPause(t *testing.T, d time.Duration) {
	before := retryPause
	retryPause = d
	t.Cleanup(func() { retryPause = before })
}
