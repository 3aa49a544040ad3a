package raw

import (
	"testing"

	"github.com/alicebob/miniredis/v2"
	"github.com/stretchr/testify/require"
)

func TestRedisPool(t *testing.T) {
	server := miniredis.RunT(t)
	server.RequireUserAuth("user", "p@ss")
	p, err := newRedisPool("redis://user:p%40ss@" + server.Addr() + "/3")
	require.NoError(t, err)
	defer func() { require.NoError(t, p.close()) }()
	ctx := t.Context()

	v, err := p.get(ctx, "k")
	require.NoError(t, err)
	require.Nil(t, v, "a key that does not exist is no error")

	require.NoError(t, p.set(ctx, "k", []byte("v\x00\r\n"), cacheFor))
	v, err = p.get(ctx, "k")
	require.NoError(t, err)
	require.Equal(t, "v\x00\r\n", string(v))
	stored, err := server.DB(3).Get("k")
	require.NoError(t, err)
	require.Equal(t, string(v), stored)
	require.Equal(t, cacheFor, server.DB(3).TTL("k"))

	server.FastForward(cacheFor)
	v, err = p.get(ctx, "k")
	require.NoError(t, err)
	require.Nil(t, v)

	server.Close()
	_, err = p.get(ctx, "k")
	require.Error(t, err)
	require.NoError(t, server.Restart())
	_, err = p.get(ctx, "k")
	require.NoError(t, err, "a restarted Redis is used again")
}

func TestRedisAddresses(t *testing.T) {
	for _, address := range []string{"redis://", "redis://localhost", "redis://:secret@127.0.0.1:6379/0", "redis://[::1]:6379",
		"rediss://user:secret@redis.example:6380/1?skip_verify=true", "unix:///run/redis.sock?db=2", "redis://localhost?db=2"} {
		_, err := newRedisPool(address)
		require.NoError(t, err, address)
	}
	for _, address := range []string{"http://user:secret@localhost", "redis://user:secret@localhost/db", "redis://user:secret@localhost:port",
		"redis://user:secret@localhost?pool_size=3", "localhost:6379"} {
		_, err := newRedisPool(address)
		require.Error(t, err, address)
		require.NotContains(t, err.Error(), "secret")
	}
}
