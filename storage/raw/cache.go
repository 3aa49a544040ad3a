package raw

import (
	"context"
	"time"

	"github.com/maypok86/otter/v2"
)

const (
	cacheBytes   = 64 << 20  // held in memory
	maxCached    = 4 << 20   // larger answers are not kept
	cacheFor     = time.Hour // then a store is asked again: late data does come, very late
	redisPrefix  = "watchingcat:raw:1:"
	redisTimeout = 150 * time.Millisecond
)

// Cache keeps answers about times that are over: in memory, and in Redis where there is one, so that replicas share them and a
// restart begins with them. What Redis does wrong costs speed alone.
type Cache struct {
	memory memory
	redis  *redisPool
	guard  *guard
}

// memory is otter's cache. The interface keeps its generic types out of the packages that know Cache: each would compile them anew.
type memory interface {
	GetIfPresent(key string) ([]byte, bool)
	Set(key string, value []byte) ([]byte, bool)
}

// NewCache makes a cache; redisURL may be empty. Nothing is connected before it is used.
func NewCache(redisURL string, m *Metrics) (*Cache, error) {
	memory, err := otter.New(&otter.Options[string, []byte]{
		MaximumWeight: cacheBytes, Weigher: func(k string, v []byte) uint32 { return uint32(len(k) + len(v)) },
		ExpiryCalculator: otter.ExpiryWriting[string, []byte](cacheFor),
	})
	if err != nil {
		return nil, err
	}
	c := &Cache{memory: memory}
	if redisURL == "" {
		return c, nil
	}
	if c.redis, err = newRedisPool(redisURL); err != nil {
		return nil, err
	}
	c.guard = newGuard("redis", Policy{Timeout: redisTimeout, Retries: -1, Concurrent: 64, Wait: redisTimeout}, m)
	return c, nil
}

// get returns what is kept and where it was; "" for nowhere.
func (c *Cache) get(ctx context.Context, key string) (body []byte, found string) {
	if v, ok := c.memory.GetIfPresent(key); ok {
		return v, "memory"
	}
	if c.redis == nil {
		return nil, ""
	}
	err := c.guard.run(ctx, func(ctx context.Context) (err error) {
		body, err = c.redis.get(ctx, redisPrefix+key)
		return err
	})
	if err != nil || body == nil {
		return nil, ""
	}
	c.memory.Set(key, body)
	return body, "redis"
}

func (c *Cache) put(ctx context.Context, key string, body []byte) {
	if len(body) > maxCached {
		return
	}
	c.memory.Set(key, body)
	if c.redis == nil {
		return
	}
	// An error is counted and shown as Redis' state; the answer goes out without it.
	_ = c.guard.run(ctx, func(ctx context.Context) error { return c.redis.set(ctx, redisPrefix+key, body, cacheFor) })
}

// Status is that of Redis; false without one.
func (c *Cache) Status() (Status, bool) {
	if c == nil || c.redis == nil {
		return Status{}, false
	}
	return c.guard.status(), true
}

// Close lets go of Redis.
func (c *Cache) Close() error {
	if c == nil || c.redis == nil {
		return nil
	}
	return c.redis.close()
}
