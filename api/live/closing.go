package live

import (
	"bufio"
	"encoding/binary"
	"net"
	"net/http"
)

// closesOnce hands a connection over to the WebSocket library so that nothing follows a close frame (RFC 6455, 5.5.1). The library answers
// also the answer to its own close frame, for which browsers forget the code and the reason of the first.
type closesOnce struct{ http.ResponseWriter }

// Hijack implements http.Hijacker.
func (c closesOnce) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, b, err := http.NewResponseController(c.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	f := &frames{Conn: conn}
	return f, bufio.NewReadWriter(b.Reader, bufio.NewWriter(f)), nil
}

// frames is a connection to a client that watches which frames are written. Writes come one at a time.
type frames struct {
	net.Conn
	head   []byte // of the frame under way, until it is whole
	left   uint64 // bytes of its payload that are to come
	last   bool   // it is a close frame
	closed bool   // a close frame is written
}

// Write writes frames up to the first close frame; what follows is taken and goes nowhere.
func (f *frames) Write(p []byte) (int, error) {
	n := 0
	for n < len(p) && !f.closed {
		n += f.step(p[n:])
	}
	if _, err := f.Conn.Write(p[:n]); err != nil || n == len(p) {
		return n, err
	}
	return len(p), nil
}

// step takes what of p belongs to one head or one payload.
func (f *frames) step(p []byte) int {
	if f.left > 0 {
		n := min(f.left, uint64(len(p)))
		f.left -= n
		f.closed = f.last && f.left == 0
		return int(n) //nolint:gosec // at most len(p)
	}
	f.head = append(f.head, p[0])
	size := 2
	if len(f.head) >= 2 {
		switch f.head[1] & 0x7f { // the server masks nothing
		case 126:
			size = 4
		case 127:
			size = 10
		}
	}
	if len(f.head) < size {
		return 1
	}
	switch size {
	case 2:
		f.left = uint64(f.head[1] & 0x7f)
	case 4:
		f.left = uint64(binary.BigEndian.Uint16(f.head[2:]))
	default:
		f.left = binary.BigEndian.Uint64(f.head[2:])
	}
	f.last = f.head[0]&0x0f == 8
	f.head = f.head[:0]
	f.closed = f.last && f.left == 0
	return 1
}
