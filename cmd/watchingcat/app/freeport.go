package app

import (
	"fmt"
	"math/rand/v2"
	"net"
)

// FreePort returns a loopback port that nothing listens on. It is below the ports that Linux gives to connections and to listeners on port
// 0 (32768 and up), so that none of these takes it before its user listens on it.
func FreePort() (int, error) {
	const from, to = 20000, 32000
	for range 100 {
		port := from + rand.IntN(to-from)
		if l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
			return port, l.Close()
		}
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().(*net.TCPAddr).Port, l.Close()
}
