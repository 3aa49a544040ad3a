package raw

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/gomodule/redigo/redis"
)

// redisPool are the connections to one Redis. None is made before it is used.
type redisPool struct{ pool *redis.Pool }

// newRedisPool takes redis:// and rediss://user:password@host:port/database, and unix://user:password@/path?db=database.
func newRedisPool(address string) (*redisPool, error) {
	dial, err := redisDialer(address)
	if err != nil {
		return nil, err
	}
	return &redisPool{&redis.Pool{
		DialContext: dial, MaxIdle: 16, IdleTimeout: 30 * time.Minute,
		TestOnBorrowContext: func(ctx context.Context, c redis.Conn, used time.Time) error {
			if time.Since(used) < time.Second {
				return nil
			}
			_, err := redis.DoContext(c, ctx, "PING") // a Redis that was restarted has closed it
			return err
		},
	}}, nil
}

// redisDialer reads an address; what it returns connects, authenticates and selects the database. No error holds the password.
func redisDialer(address string) (func(context.Context) (redis.Conn, error), error) {
	errAddress := errors.New("raw: the address of Redis is not redis://user:password@host:port/database")
	u, err := url.Parse(address)
	if err != nil {
		return nil, errAddress
	}
	network, host, database := "tcp", net.JoinHostPort(cmp.Or(u.Hostname(), "localhost"), cmp.Or(u.Port(), "6379")), strings.Trim(u.Path, "/")
	options := []redis.DialOption{
		redis.DialConnectTimeout(redisTimeout), redis.DialReadTimeout(redisTimeout), redis.DialWriteTimeout(redisTimeout),
		redis.DialTLSHandshakeTimeout(redisTimeout),
	}
	switch u.Scheme {
	case "redis":
	case "rediss":
		options = append(options, redis.DialUseTLS(true), redis.DialTLSSkipVerify(u.Query().Get("skip_verify") == "true"))
	case "unix":
		network, host, database = "unix", u.Path, ""
	default:
		return nil, errAddress
	}
	for name := range u.Query() {
		if name != "db" && name != "skip_verify" {
			return nil, fmt.Errorf("raw: the address of Redis has the unknown parameter %q", name)
		}
	}
	db, err := strconv.Atoi(cmp.Or(database, u.Query().Get("db"), "0"))
	if err != nil {
		return nil, errAddress
	}
	password, _ := u.User.Password()
	options = append(options, redis.DialUsername(u.User.Username()), redis.DialPassword(password), redis.DialDatabase(db))
	return func(ctx context.Context) (redis.Conn, error) {
		return redis.DialContext(ctx, network, host, options...)
	}, nil
}

// do sends a command.
func (p *redisPool) do(ctx context.Context, command string, args ...any) (any, error) {
	c, err := p.pool.GetContext(ctx)
	if err != nil {
		return nil, err
	}
	reply, err := redis.DoContext(c, ctx, command, args...)
	return reply, errors.Join(err, c.Close())
}

// get returns a value; nil if there is none.
func (p *redisPool) get(ctx context.Context, key string) ([]byte, error) {
	v, err := redis.Bytes(p.do(ctx, "GET", key))
	if errors.Is(err, redis.ErrNil) {
		return nil, nil
	}
	return v, err
}

// set keeps a value for a time.
func (p *redisPool) set(ctx context.Context, key string, value []byte, keep time.Duration) error {
	_, err := p.do(ctx, "SET", key, value, "PX", keep.Milliseconds())
	return err
}

func (p *redisPool) close() error { return p.pool.Close() }
