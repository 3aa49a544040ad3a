package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"github.com/gaurav/watchingcat/cmd/watchingcat/freeport"
	"github.com/gaurav/watchingcat/deploy/bench/backlog"
	"github.com/gaurav/watchingcat/deploy/servers"
	"github.com/gaurav/watchingcat/pipeline/kafka"
)

var (
	covers  = flag.Duration("covers", 20*time.Minute, "event time that the backlog covers")
	shops   = flag.Int("shops", 5, "systems in the backlog, each with 100 series")
	record  = flag.Int("record", 0, "spans of a record; 0: one trace")
	padding = flag.Int("padding", 0, "bytes of an attribute that each span has beside its own")
	codec   = flag.String("codec", "zstd", "compression of the backlog: zstd, lz4, snappy, gzip or none")
	parts   = flag.Int("partitions", 4, "of the backlog")
	memory  = flag.Bool("memory-broker", false, "a broker in this process instead of Kafka")
	only    = flag.String("only", "", "only rows whose name contains it")
	grid    = flag.Bool("grid", false, "the whole grid: one thing of the backlog differs in each table")
)

// a backlogOf is a backlog in a topic.
type backlogOf struct {
	backlog.Shape
	codec string
}

// given is the backlog that the flags describe.
func given() backlogOf {
	return backlogOf{backlog.Shape{Spans: *spans, Covers: *covers, Shops: *shops, PerRecord: *record, Padding: *padding, Seed: 1}, *codec}
}

// backlogs are the tables of the grid: what users have first, then one thing differs.
func backlogs() []backlogOf {
	if !*grid {
		return []backlogOf{given()}
	}
	at := func(density float64, shops int, change func(b *backlogOf)) backlogOf {
		b := given()
		b.Shops = shops
		b.Covers = time.Duration(float64(b.Spans) / density / float64(b.Series()) * float64(10*time.Second))
		if change != nil {
			change(&b)
		}
		return b
	}
	return []backlogOf{at(20, 5, nil), at(300, 5, nil), at(1000, 5, nil), at(20, 1, nil), at(20, 50, nil), at(20, 500, nil),
		at(20, 5, func(b *backlogOf) { b.PerRecord = 1000 }), at(20, 5, func(b *backlogOf) { b.codec = "lz4" }),
		at(20, 5, func(b *backlogOf) { b.Padding = 500 }), at(20, 5, func(b *backlogOf) { b.Padding = 3500 })}
}

// fill writes the backlog, which ends now, and returns how many spans the brokers acknowledged and their bytes as OTLP.
func (b backlogOf) fill(ctx context.Context, broker string) (n, size int, err error) {
	cl, err := kgo.NewClient(kgo.SeedBrokers(broker), kgo.DefaultProduceTopic("otlp_spans"), kgo.ProducerBatchCompression(kafka.Codecs[b.codec]),
		kgo.ProducerLinger(20*time.Millisecond), kgo.ProducerBatchMaxBytes(1<<20-100), kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return 0, 0, err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	if _, err := adm.DeleteTopics(ctx, "otlp_spans"); err != nil {
		return 0, 0, fmt.Errorf("delete topic: %w", err)
	}
	if _, err := adm.CreateTopic(ctx, int32(*parts), 1, nil, "otlp_spans"); err != nil {
		return 0, 0, fmt.Errorf("create topic: %w", err)
	}
	var acked, failed atomic.Int64
	_, err = b.Each(time.Now(), func(key, value []byte, spans int) error {
		size += len(value)
		cl.Produce(ctx, &kgo.Record{Key: key, Value: value}, func(_ *kgo.Record, err error) {
			if err != nil {
				failed.Add(1)
				return
			}
			acked.Add(int64(spans))
		})
		return nil
	})
	if err == nil {
		err = cl.Flush(ctx)
	}
	if err == nil && failed.Load() > 0 {
		err = fmt.Errorf("%d records were not written", failed.Load())
	}
	return int(acked.Load()), size, err
}

// brokerFor starts Kafka, or a broker in memory.
func brokerFor(ctx context.Context, run, dir string) (addr string, end func(), err error) {
	if *memory {
		c, err := kfake.NewCluster(kfake.NumBrokers(1))
		if err != nil {
			return "", nil, err
		}
		return c.ListenAddrs()[0], c.Close, nil
	}
	k, err := servers.NewKafka(run, dir, 1)
	if err != nil {
		return "", nil, err
	}
	if err := k.Start(ctx); err != nil {
		k.Close()
		return "", nil, err
	}
	return k.Brokers()[0], k.Close, nil
}

// row is one way to drain the backlog and what it used.
type row struct {
	name  string
	peer  bool // it need not count everything
	drain func(ctx context.Context, dir string, rep, n int) (usage, error)
	used  []usage
}

// median is the run with the median CPU time.
func (r *row) median() usage {
	s := slices.Clone(r.used)
	slices.SortFunc(s, func(a, b usage) int { return int(a.cpu - b.cpu) })
	return s[len(s)/2]
}

// rows are the ways to drain a backlog; the last is the peer.
func rows(bin, broker, collector, reference string) []*row {
	ours := func(name string, env ...string) *row {
		return &row{name: "watchingcat serve, " + name, drain: func(ctx context.Context, dir string, _, n int) (usage, error) {
			return drainWatchingcat(ctx, bin, broker, dir, env, n)
		}}
	}
	list := []*row{ours("RED and service map as the connectors", "WATCHINGCAT_RETENTION_TRACES=0s"),
		ours("traces without their spans", "WATCHINGCAT_RETENTION_TRACES=1h,0B"), ours("all kept")}
	if *peer {
		list = append(list, &row{name: "collector: kafkareceiver, spanmetrics, servicegraph", peer: true,
			drain: func(ctx context.Context, dir string, rep, n int) (usage, error) {
				return drainCollector(ctx, collector, reference, broker, dir, fmt.Sprint("reference-", time.Now().UnixNano(), "-", rep), n)
			}})
	}
	return slices.DeleteFunc(list, func(r *row) bool { return !strings.Contains(r.name, *only) })
}

// drainBacklogs lets each row drain each backlog in turn.
func drainBacklogs(ctx context.Context, bin, runDir, dir string) error {
	broker, end, err := brokerFor(ctx, runDir, dir)
	if err != nil {
		return err
	}
	defer end()
	reference, err := filepath.Abs(filepath.Join(*root, "deploy/servers/collector/reference.yaml"))
	if err != nil {
		return err
	}
	for i, b := range backlogs() {
		n, size, err := b.fill(ctx, broker)
		if err != nil {
			return fmt.Errorf("fill: %w", err)
		}
		list := rows(bin, broker, filepath.Join(runDir, "collector"), reference)
		for rep := range *reps {
			for j, r := range list {
				u, err := r.drain(ctx, filepath.Join(dir, fmt.Sprint("table-", i, "-row-", j, "-", rep)), rep, n)
				if err != nil && (!r.peer || !errors.Is(err, context.DeadlineExceeded)) {
					return fmt.Errorf("%s: %w", r.name, err)
				}
				r.used = append(r.used, u)
			}
		}
		fmt.Printf("\n%v; %d bytes a span, %s, %d partitions; medians of %d\n", b.Shape, size/n, b.codec, *parts, *reps)
		show(list, n)
	}
	return nil
}

// show prints what each row used; the last row is what the others are compared with, if it counted everything.
func show(list []*row, n int) {
	base := list[len(list)-1].median()
	for _, r := range list {
		m := r.median()
		if m.n < n {
			fmt.Printf("%-60s counted %d spans in 5 minutes, and no more\n", r.name, m.n)
			continue
		}
		ratio := ""
		if base.n >= n {
			ratio = fmt.Sprintf("  %.1f x", float64(base.cpu)/float64(m.cpu))
		}
		fmt.Printf("%-60s %8.2f s (%.2f system)  %6.0f ns/span  %6.0f MiB  %6.1f s wall%s\n", r.name, m.cpu.Seconds(), m.sys.Seconds(), float64(m.cpu)/float64(n),
			float64(m.peak)/(1<<20), m.wall.Seconds(), ratio)
	}
}

func drainWatchingcat(ctx context.Context, bin, broker, dir string, env []string, n int) (usage, error) {
	port, err := freeport.Servers.Port()
	if err != nil {
		return usage{}, err
	}
	addr := fmt.Sprintf("127.0.0.1:%d", port)
	if *limit != "" {
		env = append(slices.Clip(env), "WATCHINGCAT_MEMORY_LIMIT="+*limit)
	}
	env = append([]string{"WATCHINGCAT_KAFKA_BROKERS=" + broker, "WATCHINGCAT_HTTP_ADDR=" + addr,
		"WATCHINGCAT_DATA_DIR=" + filepath.Join(dir, "data")}, env...)
	var g errgroup.Group
	if *profiles != "" {
		pprof, err := freeport.Servers.Port()
		if err != nil {
			return usage{}, err
		}
		env = append(env, fmt.Sprintf("WATCHINGCAT_PPROF_ADDR=127.0.0.1:%d", pprof))
		g.Go(func() error { return profileDrain(ctx, fmt.Sprintf("http://127.0.0.1:%d", pprof), filepath.Base(dir)) })
	}
	u, err := drain(ctx, servers.Spec{Name: "watchingcat", Path: bin, Args: []string{"serve"}, Dir: dir, Env: env},
		"http://"+addr+"/metrics", func(name string) bool { return strings.HasPrefix(name, "watchingcat_spans_total") }, n)
	return u, errors.Join(err, g.Wait())
}

// profileDrain writes a CPU profile and one of allocations of a process from soon after its start.
func profileDrain(ctx context.Context, base, name string) error {
	for ctx.Err() == nil {
		if _, err := fetch(ctx, http.DefaultClient, base+"/debug/pprof/cmdline"); err == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	var g errgroup.Group
	for kind, path := range map[string]string{"cpu": "profile?seconds=3", "allocs": "allocs?seconds=3"} {
		g.Go(func() error { return keepProfile(ctx, base, path, name+"-"+kind) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return keepProfile(ctx, base, "heap", name+"-heap")
}

func keepProfile(ctx context.Context, base, path, name string) error {
	b, err := fetch(ctx, http.DefaultClient, base+"/debug/pprof/"+path)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(*profiles, name+".pprof"), b, 0o600)
}
