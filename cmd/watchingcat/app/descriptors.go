package app

import (
	"os"
	"sync"
	"time"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
	"github.com/gaurav/watchingcat/pipeline/doctor"
)

// descriptors divides the limit of open files between clients and the process itself: Badger, the samples of metrics, Kafka and other
// servers.
type descriptors struct {
	mu     sync.Mutex
	looked time.Time
	own    int // that are not connections of clients, when looked
}

const (
	// minDescriptors is what is left free for the process at least; else it is an eighth of the limit.
	minDescriptors = 32
	// minConnections is served whatever the limit is, so that the process can be looked at.
	minConnections = 4
)

// connections is how many connections of clients may be open while so many are.
func (d *descriptors) connections(open int) int {
	limit := openFiles()
	d.mu.Lock()
	defer d.mu.Unlock()
	if now := time.Now(); now.Sub(d.looked) > time.Second {
		d.looked = now
		if n, ok := descriptorsInUse(); ok {
			d.own = max(0, n-open)
		} else if d.own == 0 {
			d.own = limit / 4 // it cannot be found out here
		}
	}
	return connectionLimit(limit, d.own)
}

func connectionLimit(limit, own int) int {
	return max(minConnections, limit-own-max(minDescriptors, limit/8))
}

// descriptorsInUse counts what the process has open.
func descriptorsInUse() (int, bool) {
	dir, err := os.Open("/proc/self/fd")
	if err != nil {
		return 0, false
	}
	defer dir.Close()
	names, err := dir.Readdirnames(-1)
	return len(names) - 1, err == nil
}

// Machine is what the process gets from the machine, for a look at it without a start.
func Machine(c *config.Config) doctor.Machine {
	return doctor.Machine{DataDir: c.DataDir, RawBytes: uint64(max(0, c.RetTraces.Bytes) + max(0, c.RetLogs.Bytes)), //nolint:gosec // not negative
		MinFree: c.MinFreeDiskBytes, Memory: int64(memoryLimit(c)), OpenFiles: openFiles(), Clients: (&descriptors{}).connections(0)}
}
