package notify

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/gaurav/watchingcat/evaluator/rules"
	"github.com/gaurav/watchingcat/storage"
)

// TestStoreFailsForLong: a write that is tried again each second is logged when its error changes, counted each time, and made once it can
// be.
func TestStoreFailsForLong(t *testing.T) {
	kv, log := storage.NewMem(storage.MemOptions{}), &bytes.Buffer{}
	fails := prometheus.NewCounter(prometheus.CounterOpts{Name: "fails"})
	k := newKeeper(kv, slog.New(rules.NewQuiet(slog.NewTextHandler(log, nil))), fails)
	for range 60 {
		kv.FailNext(storage.ErrDiskFull)
	}
	for range 60 {
		kv.FailNext(storage.ErrReadOnly)
	}
	k.put([]byte("a"), []byte("1"))
	for range 119 {
		k.retry()
	}
	if n := strings.Count(log.String(), "not written"); n != 2 || testutil.ToFloat64(fails) != 120 {
		t.Errorf("%d lines, %v failures counted:\n%s", n, testutil.ToFloat64(fails), log)
	}
	k.retry()
	if v, err := kv.Get([]byte("a")); err != nil || string(v) != "1" {
		t.Errorf("%s, %v", v, err)
	}
}
