package main

import (
	"testing"

	"github.com/gaurav/watchingcat/storage"
	"github.com/gaurav/watchingcat/views/model"
)

func messages(b *testing.B, stretch uint64) ([][]byte, int) {
	b.Helper()
	m, n, err := traffics()[2].messages(stretch)
	if err != nil {
		b.Fatal(err)
	}
	return m, n
}

func BenchmarkScan(b *testing.B) {
	m, n := messages(b, 1)
	work, _, err := prepEach(scanSpans)(nil, m)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if err := work(); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/span")
}

// BenchmarkViews runs on what a first set of messages left, so that nothing grows.
func BenchmarkViews(b *testing.B) { benchViews(b, summaries) }

func benchViews(b *testing.B, cfg model.Config) {
	b.Helper()
	warm, _ := messages(b, 1)
	m, n := messages(b, 2)
	for b.Loop() {
		b.StopTimer()
		in, err := newIngest(discard{storage.NewMem(storage.MemOptions{})}, cfg)
		if err == nil {
			err = in.apply(warm)
		}
		b.StartTimer()
		if err == nil {
			err = in.apply(m)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/span")
}

// BenchmarkWhole is BenchmarkViews with checkpoints in Badger.
func BenchmarkWhole(b *testing.B) {
	warm, _ := messages(b, 1)
	m, n := messages(b, 2)
	for b.Loop() {
		b.StopTimer()
		work, end, err := prepWhole(summaries)(warm, m)
		b.StartTimer()
		if err == nil {
			err = work()
		}
		b.StopTimer()
		end()
		b.StartTimer()
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/span")
}

// BenchmarkDimensions is BenchmarkViews with no, one and two dimensions, which every resource has.
func BenchmarkDimensions(b *testing.B) {
	for of, names := range map[string][]string{"none": nil, "one": {"deployment.environment.name"},
		"two": {"deployment.environment.name", "service.namespace"}} {
		b.Run(of, func(b *testing.B) {
			cfg := summaries
			cfg.Dimensions = names
			benchViews(b, cfg)
		})
	}
}
