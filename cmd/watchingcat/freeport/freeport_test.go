package freeport

import (
	"fmt"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestPort: no port is given twice, and someone can listen on each.
func TestPort(t *testing.T) {
	for _, r := range []*Range{&Programs, &Servers} {
		seen := map[int]bool{}
		for range 20 {
			port, err := r.Port()
			require.NoError(t, err)
			if seen[port] || port < r.from || port >= r.to {
				t.Fatalf("port %d of %d to %d was given before, or lies outside", port, r.from, r.to)
			}
			seen[port] = true
			l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port))
			require.NoError(t, err)
			defer l.Close()
		}
	}
}

// TestRangeIsFull: a range whose ports are all given is an error, not a loop without end.
func TestRangeIsFull(t *testing.T) {
	r := Range{from: Programs.from, to: Programs.from + 1, given: map[int]bool{Programs.from: true}}
	if port, err := r.Port(); err == nil {
		t.Fatalf("port %d was given twice", port)
	}
}
