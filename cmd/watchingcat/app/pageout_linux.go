package app

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// pageOut gives pages of the state's files back to the kernel while more than most bytes of files are resident beside the program, until
// ctx ends. Badger maps its tables; what was read or written of them once would count as memory of the process for as long as nothing
// else needs it. Pages are reclaimed as the kernel does it itself, so nothing is lost whatever the process does with its mappings
// meanwhile.
func pageOut(ctx context.Context, dir string, most int64) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return fmt.Errorf("path of the data folder: %w", err)
	}
	most += programBytes()
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if residentFiles() > most {
			pageOutMappings(dir)
		}
	}
}

// residentFiles is how many bytes of mapped files are in memory; 0 where the kernel does not say.
func residentFiles() int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	_, after, ok := bytes.Cut(b, []byte("RssFile:"))
	if !ok {
		return 0
	}
	f := bytes.Fields(after)
	if len(f) == 0 {
		return 0
	}
	kb, _ := strconv.ParseInt(string(f[0]), 10, 64)
	return kb << 10
}

// mapping is a part of a file that is mapped into memory.
type mapping struct {
	file       string
	begin, end uintptr
}

// mappings calls fn with what is mapped of files.
func mappings(fn func(mapping)) {
	f, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		line := s.Text() // 7f00-7f10 rw-s 00000000 fe:00 42   /data/000001.sst
		at := strings.IndexByte(line, '/')
		if at < 0 {
			continue
		}
		from, rest, _ := strings.Cut(line, "-")
		to, _, _ := strings.Cut(rest, " ")
		begin, err1 := strconv.ParseUint(from, 16, 64)
		end, err2 := strconv.ParseUint(to, 16, 64)
		if err1 == nil && err2 == nil && begin < end {
			fn(mapping{line[at:], uintptr(begin), uintptr(end)})
		}
	}
}

// programBytes is how large the program's own mappings are.
func programBytes() (n int64) {
	exe, err := os.Executable()
	if err != nil {
		return 0
	}
	mappings(func(m mapping) {
		if m.file == exe {
			n += int64(m.end - m.begin)
		}
	})
	return n
}

// pageOutMappings leaves out the memtables' logs, which are being written.
func pageOutMappings(dir string) {
	mappings(func(m mapping) {
		if strings.HasPrefix(m.file, dir+"/") && !strings.HasSuffix(m.file, ".mem") {
			_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.begin, m.end-m.begin, unix.MADV_PAGEOUT) // advice: it may be refused
		}
	})
}
