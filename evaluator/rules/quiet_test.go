package rules

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

func TestFailuresOfARuleAreLoggedOnChange(t *testing.T) {
	var out bytes.Buffer
	h := quietHandler(slog.NewTextHandler(&out, nil))
	now := time.Unix(1000, 0)
	line := func(rule string, err error) {
		r := slog.NewRecord(now, slog.LevelWarn, "Evaluating rule failed", 0)
		r.AddAttrs(slog.Any("err", err))
		require.NoError(t, h.WithAttrs([]slog.Attr{slog.String("name", rule)}).Handle(t.Context(), r))
		now = now.Add(time.Second)
	}
	lines := func() []string {
		defer out.Reset()
		return strings.Split(strings.TrimSpace(out.String()), "\n")
	}
	for i := range 250 {
		line("a", fmt.Errorf("no answer at %d", i))
	}
	require.Len(t, lines(), 1)
	line("a", errors.New("another"))
	got := lines()
	require.Len(t, got, 1)
	require.Contains(t, got[0], "not_logged=249")
	line("b", errors.New("another"))
	require.Len(t, lines(), 1, "another rule")
	for range 70 {
		line("a", errors.New("another"))
	}
	got = lines()
	require.Len(t, got, 1)
	require.Regexp(t, `not_logged=4\d$`, got[0])
	for i := range 100 {
		line("a", errors.New(strings.Repeat("x", i%2+1)))
	}
	require.LessOrEqual(t, len(lines()), changesPassed, "an error that changes each time")
}

// A rule that fails at each evaluation, whatever of it fails, logs one line.
func TestAFailingRuleLogsOnce(t *testing.T) {
	for _, more := range []string{"expr: vector(1) * on() group_left() (vector(1) or label_replace(vector(2), \"a\", \"b\", \"\", \"\"))",
		"expr: vector(1)\n      annotations: {a: '{{ query \"nosuch(\" }}'}"} {
		var out bytes.Buffer
		e, err := New(Config{KV: storage.NewMem(storage.MemOptions{}), Reader: &evaltest.Reader{},
			Logger: slog.New(slog.NewTextHandler(&out, nil))})
		require.NoError(t, err)
		src, err := ParseSource("f", []byte("groups:\n- name: g\n  rules:\n    - alert: A\n      "+more+"\n"), nil)
		require.NoError(t, err)
		require.NoError(t, e.Load(t.Context(), []Source{src}, time.Unix(1000, 0)))
		for i := range 30 {
			require.NoError(t, e.EvaluateAll(t.Context(), time.Unix(1000+int64(i), 0)))
		}
		require.Equal(t, 1, strings.Count(out.String(), "level=WARN"), out.String())
	}
}

// unreadable is a reader whose series cannot be read.
type unreadable struct{ views.Reader }

func (unreadable) SelectRED(time.Time, time.Time, func(uint32, model.REDKey) bool) ([]model.REDTimeline, error) {
	return nil, errors.New("the disk does not answer")
}

// Views that cannot be read log one line, not one for each commit.
func TestUnreadableViewsAreLoggedOnce(t *testing.T) {
	var out bytes.Buffer
	e, err := New(Config{KV: storage.NewMem(storage.MemOptions{}), Reader: unreadable{&evaltest.Reader{}},
		Logger: slog.New(slog.NewTextHandler(&out, nil))})
	require.NoError(t, err)
	for i := range int64(30) {
		at := time.Unix(1000+i, 0)
		require.NoError(t, e.Advance(t.Context(),
			model.Change{Frontier: model.Frontier{Head: at, Complete: at}, RED: map[uint32]model.Touched{1: {}}}, at))
	}
	require.Equal(t, 1, strings.Count(out.String(), "reading names of changed series failed"), out.String())
}
