package kafka_test

import (
	"context"
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/gaurav/watchingcat/pipeline/kafka"
	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
)

// TestLeadEndsWhileBrokersAreSilent: a record is on its way, no broker answers any more, and the process ends all the same.
func TestLeadEndsWhileBrokersAreSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := pipelinetest.NewBroker(t, 0, kfake.SeedTopics(1, "out"))
		var silent atomic.Bool
		c := b.Config
		dial := c.Dialer
		c.Dialer = func(ctx context.Context, network, host string) (net.Conn, error) {
			if silent.Load() {
				return nil, errors.New("silent")
			}
			conn, err := dial(ctx, network, host)
			return &silentConn{conn, &silent}, err
		}
		ctx, end := context.WithCancel(t.Context())
		err := c.Lead(ctx, kafka.Led{Group: "g", Topic: "out", Session: 10 * time.Second,
			Prepare: func(context.Context, *kadm.Client) error { return nil }}, func(ctx context.Context, l *kafka.Lead) error {
			_, err := l.Produce(ctx, &kgo.Record{Topic: "out", Value: []byte("first")})
			require.NoError(t, err)
			silent.Store(true)
			time.AfterFunc(2*time.Second, end)
			_, err = l.Produce(ctx, &kgo.Record{Topic: "out", Value: []byte("second")})
			return err
		})
		require.ErrorIs(t, err, kafka.ErrReplaced, "the group is lost before the process is asked to end")
	})
}

// silentConn takes what is written and loses the answers.
type silentConn struct {
	net.Conn
	silent *atomic.Bool
}

func (c *silentConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	if c.silent.Load() {
		_ = c.Close()
		return 0, io.ErrUnexpectedEOF
	}
	return n, err
}
