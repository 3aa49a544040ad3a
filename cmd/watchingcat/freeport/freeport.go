// Package freeport finds loopback ports that nothing listens on: for the broker of `watchingcat demo`, and for servers in tests.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
)

// Range is a range of ports, of which each is given once. Both ranges lie below the ports that Linux gives to connections and to listeners
// on port 0 (32768 and up), so that none of these takes a port before its user listens on it, or while its user is restarted.
type Range struct {
	from, to int // without to

	mu    sync.Mutex
	given map[int]bool
}

// The ranges do not overlap: a test that kills and restarts a server needs its port back, although the program under test takes ports too.
var (
	Programs = Range{from: 20000, to: 32000, given: map[int]bool{}} // the demo, and tests that run parts of the program
	Servers  = Range{from: 12000, to: 20000, given: map[int]bool{}} // servers of others that tests start
)

// Port returns a port that nothing listens on and that this process was not given before.
func (r *Range) Port() (int, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for range 1000 {
		//nolint:gosec // a port is no secret
		port := r.from + rand.IntN(r.to-r.from)
		if r.given[port] {
			continue
		}
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			r.given[port] = true
			return port, l.Close()
		}
	}
	return 0, fmt.Errorf("no free port between %d and %d", r.from, r.to)
}
