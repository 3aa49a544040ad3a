package source_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/pipeline/pipelinetest"
	"github.com/gaurav/watchingcat/pipeline/source"
)

// TestRecycle: with Recycle the memory of a batch is used again once its message is acknowledged, and not before: not while it is out, and not
// when it comes again. It runs outside a synctest bubble, as those of zstd batches do.
func TestRecycle(t *testing.T) {
	b := pipelinetest.NewBroker(t, 1)
	value := func(i int) []byte { return fmt.Appendf(nil, "record %d %s", i, bytes.Repeat([]byte("x"), i)) }
	s := b.Source(func(c *source.Config) { c.BatchRecords, c.Recycle = 2, true })
	out := pipelinetest.Subscribe(t, s)
	var before []byte
	for i := 0; i < 200; i += 4 {
		produceZstd(b, value(i), value(i+1), value(i+2), value(i+3))
		m, first := pipelinetest.Receive(t, out)
		if i > 0 {
			require.NotEqual(t, value(i-4), before, "the memory of the batch before is used again")
		}
		kept := first.Records[0].Value
		m.Nack()
		m, again := pipelinetest.Receive(t, out)
		require.Equal(t, value(i), again.Records[0].Value)
		require.Equal(t, value(i+1), again.Records[1].Value)
		m.Ack()
		m, second := pipelinetest.Receive(t, out)
		require.Equal(t, value(i), kept, "the batch of the brokers is still out: its other half is")
		require.Equal(t, value(i+2), second.Records[0].Value)
		require.Equal(t, value(i+3), second.Records[1].Value)
		m.Ack()
		before = kept
	}
}
