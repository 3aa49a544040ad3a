package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"time"
)

// k6Leave is how long k6 may take to start its users and to end them.
const k6Leave = 45 * time.Second

// runK6 lets k6 be the users and the WebSockets, and fails where a threshold of its script does. A few users of our own ask beside it: what
// k6 waits longer than they do is its own.
func (b *clientBench) runK6(ctx context.Context, pid int) error {
	before, err := b.state(ctx, pid, "heap-before.pprof")
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, *k6, "run", "--no-usage-report", "--quiet", "-e", "URL="+b.base, "-e", "USERS="+strconv.Itoa(*clients),
		"-e", "SOCKETS="+strconv.Itoa(*sockets), "-e", fmt.Sprintf("DURATION=%ds", int((*ramp+*steady).Seconds())),
		filepath.Join(*root, "deploy/k6/clients.mjs"))
	cmd.Env = append(os.Environ(), "GOGC=400") // 2,000 users in JavaScript are a gigabyte to look through
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	asking, enough := context.WithCancel(ctx)
	defer enough()
	b.counting.Store(true)
	var waiting sync.WaitGroup
	waiting.Go(func() { _ = b.probe(asking) })
	for i := range 20 {
		waiting.Go(func() { b.read(asking, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	if *profiles != "" {
		waiting.Go(func() {
			if err := fetchProfiles(asking, b.pprof, *profiles, *steady/2); err != nil {
				fmt.Fprintln(os.Stderr, err)
			}
		})
	}
	failed := cmd.Run()
	b.counting.Store(false)
	enough()
	waiting.Wait()
	b.printTook()
	if failed != nil {
		return fmt.Errorf("k6: %w", failed)
	}
	after, err := b.state(ctx, pid, "heap-after.pprof")
	if err != nil {
		return err
	}
	after.print(before)
	return nil
}
