package app

import (
	"bytes"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// stuck is a reader of standard error that stands still until it is let go.
type stuck struct {
	goOn  chan struct{}
	lines bytes.Buffer
}

func (s *stuck) Write(p []byte) (int, error) {
	<-s.goOn
	return s.lines.Write(p)
}

func TestLogBlocksNoCaller(t *testing.T) {
	out := &stuck{goOn: make(chan struct{})}
	lines := NewQueuedLog(out)
	log := NewLogger(config.Config{LogLevel: "info"}, lines)
	before := testutil.ToFloat64(linesDropped)
	const written = 3*queuedLines + 5
	for i := range written { // a test that waits for ever is the failure
		log.Info().Int("n", i).Msg("request")
	}
	log.Debug().Msg("below the level")
	close(out.goOn)
	require.NoError(t, lines.Close())
	got, dropped := bytes.Count(out.lines.Bytes(), []byte("\n")), int(testutil.ToFloat64(linesDropped)-before)
	if dropped == 0 || got == 0 || got+dropped != written {
		t.Errorf("%d lines written and %d dropped of %d", got, dropped, written)
	}
}

func TestWarningsAreNeverQueued(t *testing.T) {
	var out bytes.Buffer
	lines := NewQueuedLog(&out)
	for _, level := range []zerolog.Level{zerolog.WarnLevel, zerolog.ErrorLevel} {
		log := NewLogger(config.Config{LogLevel: "info"}, lines)
		log.WithLevel(level).Msg("at once")
	}
	if n := bytes.Count(out.Bytes(), []byte("at once")); n != 2 {
		t.Errorf("%d of 2 lines were written before the queue was looked at", n)
	}
	if err := lines.Close(); err != nil {
		t.Error(err)
	}
}
