package views_test

import (
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
	"github.com/gaurav/watchingcat/views/viewstest"
)

// lateScript is a script with the commands that a test gives it.
type lateScript struct {
	t *testing.T
	s *viewstest.Script
}

func openLate(t *testing.T, foldEvery int) lateScript {
	t.Helper()
	s, err := viewstest.New(storage.NewMem(storage.MemOptions{}), model.Config{FoldEvery: foldEvery})
	require.NoError(t, err)
	return lateScript{t, s}
}

func (l lateScript) do(cmd, input string, args ...datadriven.CmdArg) string {
	l.t.Helper()
	out, err := l.s.Do(&datadriven.TestData{Cmd: cmd, Input: input, CmdArgs: args})
	if err != nil {
		l.t.Fatal(err)
	}
	return out
}

func (l lateScript) spans(partition, lines string) {
	l.t.Helper()
	l.do("spans", lines, datadriven.CmdArg{Key: "p", Vals: []string{partition}})
}

// commit commits with marks of the clock, in seconds, for partitions 0, 1, ...
func (l lateScript) commit(seconds ...int64) {
	l.t.Helper()
	var marks []model.Mark
	for p, at := range seconds {
		marks = append(marks, model.Mark{Topic: viewstest.Topic, Partition: int32(p), Watermark: time.Unix(at, 0)})
	}
	if _, err := l.s.Checkpoint(marks); err != nil {
		l.t.Fatal(err)
	}
}

func (l lateScript) state() string {
	l.t.Helper()
	return l.do("dump", "", datadriven.CmdArg{Key: "pending"}) + "--\n" + l.do("dump", "", datadriven.CmdArg{Key: "edges"})
}

// TestLateHalvesAcrossACrash: late halves that meet a complete frontier which the clock moved mean the same before a crash and after it,
// and what follows them does.
func TestLateHalvesAcrossACrash(t *testing.T) {
	for _, foldEvery := range []int{0, 1} {
		run := func(crash bool) (first, last string) {
			l := openLate(t, foldEvery)
			l.spans("0", "40s 1ms web internal tick id=t9/a\n")
			l.commit(100)
			l.spans("0", "50s 5ms web client GET id=t1/a peer.service=items\n50s 5ms web client GET id=t2/a peer.service=items\n50s 5ms items server GET id=t2/b<a\n")
			l.commit()
			if crash {
				l.do("crash", "")
			}
			first = l.state()
			l.spans("0", "101s 1ms web internal tick id=t9/d\n50s 4ms items server GET id=t2/c<a\n")
			l.commit()
			l.commit(3000)
			return first, l.state()
		}
		first, last := run(false)
		if again, end := run(true); again != first || end != last {
			t.Errorf("fold every %d: before the crash\n%s\nafter it\n%s\nin the end\n%s\nwith the crash\n%s", foldEvery, first, again, last,
				end)
		}
	}
}

// TestLateHalvesOfAnIdlePartition: a restart does not change from when on late halves wait whose partition followed the clock.
func TestLateHalvesOfAnIdlePartition(t *testing.T) {
	run := func(crash bool) string {
		l := openLate(t, 0)
		l.spans("0", "50s 1ms web internal tick id=t9/a\n")
		l.spans("1", "48s 1ms web internal tick id=t9/b\n")
		l.commit(100)
		if crash {
			l.do("crash", "")
		}
		l.spans("0", "45s 5ms web client GET id=t1/a peer.service=items\n45s 4ms items server GET id=t1/b<a\n")
		l.spans("1", "90s 1ms web internal tick id=t9/c\n")
		l.commit()
		state := l.state()
		l.spans("1", "91s 1ms web internal tick id=t9/d\n45s 4ms items server GET id=t1/e<a\n")
		l.commit()
		l.commit(2000, 2000)
		return state + l.state()
	}
	if plain, crashed := run(false), run(true); plain != crashed {
		t.Errorf("without a crash\n%s\nwith one\n%s", plain, crashed)
	}
}
