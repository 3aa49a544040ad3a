package storage

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

var (
	descDiskFree  = prometheus.NewDesc("watchingcat_disk_free_bytes", "Free disk space at the data folder.", nil, nil)
	descDiskFloor = prometheus.NewDesc("watchingcat_disk_floor_bytes",
		"Free space under which nothing is written and reading from Kafka pauses.", nil, nil)
	descStateSize = prometheus.NewDesc("watchingcat_state_bytes", "Disk space of the state, without metric samples.", nil, nil)
	descSegments  = prometheus.NewDesc("watchingcat_state_segments", "Files of raw records.", nil, nil)
	descSegment   = prometheus.NewDesc("watchingcat_state_segment_bytes", "Size of the files of raw records.", nil, nil)
	descSegLive   = prometheus.NewDesc("watchingcat_state_segment_live_bytes", "Bytes of raw records in these files that are still kept.",
		nil, nil)
	descLost = prometheus.NewDesc("watchingcat_state_lost_reads_total",
		"Reads of raw records whose file is missing or damaged: what is shown lacks them, counts do not.", nil, nil)
	descLevelSize  = prometheus.NewDesc("badger_level_bytes", "Size of a level of Badger's tree.", []string{"level"}, nil)
	descLevelStale = prometheus.NewDesc("badger_level_stale_bytes", "Bytes of the level that are overwritten or deleted.",
		[]string{"level"}, nil)
	descTables   = prometheus.NewDesc("badger_level_tables", "Tables of a level of Badger's tree.", []string{"level"}, nil)
	descWritable = prometheus.NewDesc("watchingcat_state_writable",
		"1 while the data folder can be written, 0 while writes to it are refused.", nil, nil)
	descRefused = prometheus.NewDesc("watchingcat_state_writes_refused_total",
		"Writes that were refused and are retried, by reason: disk_full, read_only, descriptors, folder_gone, reopening, other.",
		[]string{"reason"}, nil)
	descReopened = prometheus.NewDesc("watchingcat_state_reopened_total",
		"How often the state was reopened in the running process after a failed write.", nil, nil)
	descCache = prometheus.NewDesc("badger_block_cache_requests_total", "Lookups in Badger's block cache, by result.",
		[]string{"found"}, nil)
)

// Describe sends nothing: which levels there are is not known beforehand.
func (*DB) Describe(chan<- *prometheus.Desc) {}

// Collect shows Badger's own metrics under its own names, and the disk.
func (db *DB) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	if free, err := db.o.FreeBytes(db.dir); err == nil {
		gauge(descDiskFree, float64(free))
	}
	gauge(descDiskFloor, float64(db.o.MinFreeBytes))
	if size, err := db.Size(); err == nil {
		gauge(descStateSize, float64(size))
	}
	expvars.Collect(ch)
	writable := 0.0
	if db.Unwritable() == nil {
		writable = 1
	}
	gauge(descWritable, writable)
	for reason := range db.refused.n {
		ch <- prometheus.MustNewConstMetric(descRefused, prometheus.CounterValue, float64(db.refused.n[reason].Load()),
			refusalReasons[reason])
	}
	ch <- prometheus.MustNewConstMetric(descReopened, prometheus.CounterValue, float64(db.reopened.Load()))
	if !db.use.TryRLock() { // it is being closed, or opened again
		return
	}
	defer db.use.RUnlock()
	if db.newest.Load() == nil {
		return
	}
	files, size, live := db.segments.totals()
	gauge(descSegments, float64(files))
	gauge(descSegment, float64(size))
	gauge(descSegLive, float64(live))
	ch <- prometheus.MustNewConstMetric(descLost, prometheus.CounterValue, float64(db.segments.lost.Load()))
	for _, l := range db.b.Levels() {
		n := strconv.Itoa(l.Level)
		gauge(descLevelSize, float64(l.Size), n)
		gauge(descLevelStale, float64(l.StaleDatSize), n)
		gauge(descTables, float64(l.NumTables), n)
	}
	if c := db.b.BlockCacheMetrics(); c != nil {
		ch <- prometheus.MustNewConstMetric(descCache, prometheus.CounterValue, float64(c.Hits()), "true")
		ch <- prometheus.MustNewConstMetric(descCache, prometheus.CounterValue, float64(c.Misses()), "false")
	}
}

// expvars are the counters that Badger publishes for all databases of the process.
var expvars = func() prometheus.Collector {
	m := map[string]*prometheus.Desc{}
	for _, x := range []struct{ name, help, label string }{
		{"badger_get_num_user", "Reads of a key.", ""},
		{"badger_get_with_result_num_user", "Reads of a key that was there.", ""},
		{"badger_iterator_num_user", "Iterators made.", ""},
		{"badger_put_num_user", "Entries written.", ""},
		{"badger_write_bytes_user", "Bytes written.", ""},
		{"badger_get_num_memtable", "Reads of a key in memtables.", ""},
		{"badger_get_num_lsm", "Reads of a key in tables.", "level"},
		{"badger_hit_num_lsm_bloom_filter", "Reads that a bloom filter answered.", "level"},
		{"badger_read_bytes_lsm", "Bytes read from tables.", ""},
		{"badger_write_bytes_l0", "Bytes of memtables written as tables.", ""},
		{"badger_write_bytes_compaction", "Bytes written by compaction.", "level"},
		{"badger_compaction_current_num_lsm", "Tables being compacted.", ""},
		{"badger_write_num_vlog", "Values written to the value log, where none belongs.", ""},
		{"badger_write_bytes_vlog", "Bytes written to the value log.", ""},
	} {
		var labels []string
		if x.label != "" {
			labels = []string{x.label}
		}
		m[x.name] = prometheus.NewDesc(x.name, x.help+" Counted by Badger.", labels, nil)
	}
	return collectors.NewExpvarCollector(m)
}()
