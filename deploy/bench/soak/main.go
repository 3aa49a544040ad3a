// Command soak runs views in fast motion through many retention periods and shows what they hold on disk: it must not grow beyond
// one and a half times its plateau.
package main

import (
	"encoding/binary"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/gaurav/watchingcat/deploy/bench/tempdb"
	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views"
	"github.com/gaurav/watchingcat/views/model"
)

var (
	periods = flag.Int("periods", 40, "retention periods to run through")
	rate    = flag.Int("rate", 100, "traces a second of event time, with 1.5 KB of raw records each")
	dir     = flag.String("dir", "", "folder for Badger (default: a temporary folder)")
)

const (
	retention = 10 * time.Minute
	rawBytes  = 48 << 20
)

func main() {
	flag.Parse()
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

func run() error {
	db, err := tempdb.Open(*dir, "watchingcat-soak-")
	if err != nil {
		return err
	}
	defer db.Remove()
	set, err := views.Open(db, model.Config{Retention: retention, Retention1m: retention, Retention1h: retention, TraceRetention: retention,
		TraceBytes: rawBytes, Hot: time.Minute, FoldEvery: 10})
	if err != nil {
		return err
	}
	r := rand.New(rand.NewPCG(1, 1))
	acc, at := set.Partition("otlp_spans", 0), time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	value := make([]byte, 1500)
	var sizes []int64
	for n := range *periods * int(retention/time.Second) {
		at = at.Add(time.Second)
		for i := range *rate {
			for j := 0; j+8 <= len(value); j += 8 {
				binary.LittleEndian.PutUint64(value[j:], r.Uint64())
			}
			if !acc.Begin(model.Record{Offset: int64(n**rate + i), LeaderEpoch: -1, Timestamp: at.UnixMilli(),
				Value: slices.Clone(value)}) {
				continue
			}
			s := model.Span{Name: fmt.Appendf(nil, "operation %d", i%50), Kind: model.KindServer, End: uint64(at.UnixNano()),
				Start: uint64(at.UnixNano()) - uint64(r.Int64N(1e9))}
			binary.BigEndian.PutUint64(s.TraceID[:], r.Uint64())
			binary.BigEndian.PutUint64(s.SpanID[:], r.Uint64())
			acc.Span(&model.Resource{Service: fmt.Appendf(nil, "service %d", i%20), HasService: true}, &s)
			acc.End()
		}
		if n%5 == 4 {
			if err := checkpoint(set, db.DB); err != nil {
				return err
			}
		}
		if n%int(retention/time.Second) == 0 {
			if err := db.GC(); err != nil {
				return err
			}
			size := diskUse(db.Dir)
			sizes = append(sizes, size)
			fmt.Printf("period %2d: %d MB\n", len(sizes)-1, size>>20)
		}
	}
	half := slices.Clone(sizes[len(sizes)/2:])
	slices.Sort(half)
	plateau, most := half[len(half)/2], slices.Max(sizes)
	fmt.Printf("plateau %d MB, most %d MB: %.2f x\n", plateau>>20, most>>20, float64(most)/float64(plateau))
	if float64(most) > 1.5*float64(plateau) {
		return fmt.Errorf("the disk grew beyond one and a half times its plateau")
	}
	return nil
}

func checkpoint(set *views.Set, db *storage.DB) error {
	c, err := set.Collect(nil)
	if err != nil || c == nil {
		return err
	}
	for _, part := range append(c.Before, c.Commit) {
		if err := db.Commit(part); err != nil {
			return err
		}
	}
	return set.Install(c)
}

func diskUse(dir string) (n int64) {
	_ = filepath.Walk(dir, func(_ string, f os.FileInfo, err error) error {
		if err == nil && !f.IsDir() {
			n += f.Size()
		}
		return nil
	})
	return n
}
