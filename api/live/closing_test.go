package live

import (
	"bytes"
	"net"
	"testing"

	"github.com/stretchr/testify/require"
)

// recorded is a connection that keeps what is written.
type recorded struct {
	net.Conn
	got bytes.Buffer
}

func (r *recorded) Write(p []byte) (int, error) { return r.got.Write(p) }

func TestNothingFollowsACloseFrame(t *testing.T) {
	frame := func(opcode byte, size int) []byte {
		head := []byte{0x80 | opcode}
		switch {
		case size < 126:
			head = append(head, byte(size))
		case size < 1<<16:
			head = append(head, 126, byte(size>>8), byte(size))
		default:
			head = append(head, 127, 0, 0, 0, 0, byte(size>>24), byte(size>>16), byte(size>>8), byte(size))
		}
		return append(head, bytes.Repeat([]byte{0x88}, size)...)
	}
	for _, size := range []int{0, 2, 125, 126, 65535, 65536} {
		for _, last := range []int{0, 2, 123} {
			whole := append(frame(1, size), frame(9, min(size, 125))...)
			whole = append(whole, frame(8, last)...)
			written := append(bytes.Clone(whole), append(frame(8, 2), frame(1, 5)...)...)
			for _, at := range []int{1, 2, 3, 7, 4096, len(written)} {
				to := &recorded{}
				f := &frames{Conn: to}
				for rest := written; len(rest) > 0; rest = rest[min(at, len(rest)):] {
					n, err := f.Write(rest[:min(at, len(rest))])
					require.NoError(t, err)
					require.Equal(t, min(at, len(rest)), n)
				}
				require.True(t, bytes.Equal(whole, to.got.Bytes()), "frames of %d, then close of %d, %d bytes at a time", size, last, at)
			}
		}
	}
}
