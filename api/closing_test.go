package api

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"
)

// A client that answers the server's close frame, as it must, gets no second one.
func TestCloseIsSaidOnce(t *testing.T) {
	b := newBench(t)
	srv := httptest.NewServer(b.s.Handler())
	defer srv.Close()
	conn, err := net.Dial("tcp", srv.Listener.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	_, err = conn.Write([]byte(
		"GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"))
	require.NoError(t, err)
	r := bufio.NewReader(conn)
	resp, err := http.ReadResponse(r, nil) //nolint:bodyclose // there is none
	require.NoError(t, err)
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	ended := make(chan struct{})
	go func() { b.s.end(); close(ended) }()
	head := make([]byte, 4)
	_, err = io.ReadFull(r, head)
	require.NoError(t, err)
	require.Equal(t, []byte{0x88, 1001 >> 8, 1001 & 0xff}, []byte{head[0], head[2], head[3]})
	_, err = io.CopyN(io.Discard, r, int64(head[1]-2))
	require.NoError(t, err)
	_, err = conn.Write([]byte{0x88, 0x82, 0, 0, 0, 0, 1001 >> 8, 1001 & 0xff})
	require.NoError(t, err)
	rest, _ := io.ReadAll(r) // it may end with a reset
	require.Empty(t, rest)
	<-ended
}
