package views

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"slices"
	"strconv"
	"strings"

	"github.com/gaurav/watchingcat/views/model"
)

// A drain groups log lines by pattern, after P. He, J. Zhu, Z. Zheng, M. Lyu: "Drain: An Online Log Parsing Approach with Fixed
// Depth Tree", ICWS 2017. A line's words lead down a tree of fixed depth (number of words, then the first words) to a few clusters;
// it joins the most similar one, whose differing words become <*>, or founds a new one.
//
// What a line does depends on the lines before it, so each partition has drains of its own, one for a service; readers add up
// clusters with the same pattern. Above its limit a drain gives up the cluster that was used longest ago.
type drain struct {
	clusters map[uint32]*cluster
	leaves   map[string][]uint32 // path: cluster ids, ascending
	nodes    map[string]int      // clusters below each inner node
	children map[string]int      // first words below each inner node
}

// cluster is one pattern of one service in one partition.
type cluster struct {
	id      uint32 // within the partition
	service string
	path    string // the leaf it is under
	words   []string
	used    uint64 // the partition's clock when a line joined last
	gone    bool   // given up: no line joins it any more
}

// drains are those of one partition.
type drains struct {
	limit   int // clusters of a service
	by      map[string]*drain
	total   int
	next    uint32 // id of the next cluster
	clock   uint64 // lines seen
	touched map[uint32]*cluster
}

// maxClusters bounds the clusters of one partition, of all services.
const maxClusters = 50_000

func newDrains(limit int) *drains {
	return &drains{limit: max(1, limit), by: map[string]*drain{}, next: 1, touched: map[uint32]*cluster{}}
}

// Settings of the paper, and limits.
const (
	drainSimilarity = 0.5 // share of equal words from which a line joins a cluster
	drainDepth      = 2   // words that lead to a leaf
	drainChildren   = 100 // first words below a number of words; more go under <*>
	drainWords      = 64  // words of a line that are looked at
	drainBytes      = 512 // bytes of a line that are looked at
	wildcard        = "<*>"
)

func (ds *drains) newDrain(service string) *drain {
	d := &drain{clusters: map[uint32]*cluster{}, leaves: map[string][]uint32{}, nodes: map[string]int{}, children: map[string]int{}}
	ds.by[service] = d
	return d
}

// drainSplit splits a line into words; words with digits, and quoted parts, are wildcards from the start, as the paper's preprocessing has it.
func drainSplit(line []byte) []string {
	masked := maskMessage(line[:min(len(line), drainBytes)], drainBytes)
	words := strings.Fields(strings.ToValidUTF8(string(masked), "\uFFFD"))
	if len(words) > drainWords {
		words = append(words[:drainWords:drainWords], "...")
	}
	return words
}

// add puts a line into its cluster; nil when there may be no more clusters.
func (ds *drains) add(service string, line []byte) *cluster {
	ds.clock++
	d := ds.by[service]
	if d == nil {
		d = ds.newDrain(service)
	}
	words := drainSplit(line)
	path := d.path(words)
	var best *cluster
	bestScore := 0.0
	for _, id := range d.leaves[path] {
		if score := similarity(d.clusters[id].words, words); score > bestScore {
			best, bestScore = d.clusters[id], score
		}
	}
	if best == nil || bestScore < drainSimilarity {
		if best = ds.found(service, d, path, words); best == nil {
			return nil
		}
	}
	copied := false
	for i, w := range words {
		if best.words[i] != w && best.words[i] != wildcard {
			if !copied {
				best.words, copied = slices.Clone(best.words), true // the old ones may be on their way to the store
			}
			best.words[i] = wildcard
		}
	}
	best.used = ds.clock
	ds.touched[best.id] = best
	return best
}

// path is the leaf for words: their number and the first ones, <*> where there are too many different.
func (d *drain) path(words []string) string {
	node := binary.AppendUvarint(nil, uint64(len(words)))
	for i := range min(drainDepth, len(words)) {
		child := model.AppendString(slices.Clone(node), words[i])
		if d.nodes[string(child)] == 0 && d.children[string(node)] >= drainChildren {
			child = model.AppendString(slices.Clone(node), wildcard)
		}
		node = child
	}
	return string(node)
}

// below notes a cluster more (by 1) or less (by -1) below the nodes that lead to its leaf.
func (d *drain) below(path string, by int) {
	_, n := binary.Uvarint([]byte(path))
	for n < len(path) {
		size, m := binary.Uvarint([]byte(path[n:]))
		parent, child := path[:n], path[:n+m+int(size)]
		n = len(child)
		before := d.nodes[child]
		if d.nodes[child] += by; d.nodes[child] == 0 {
			delete(d.nodes, child)
		}
		if before == 0 || before+by == 0 {
			if d.children[parent] += by; d.children[parent] == 0 {
				delete(d.children, parent)
			}
		}
	}
}

func similarity(pattern, words []string) float64 {
	if len(pattern) != len(words) {
		return 0
	}
	if len(words) == 0 {
		return 1
	}
	same := 0
	for i, w := range words {
		if pattern[i] == w {
			same++
		}
	}
	return float64(same) / float64(len(words))
}

func (ds *drains) found(service string, d *drain, path string, words []string) *cluster {
	if len(d.clusters) >= ds.limit || ds.total >= maxClusters {
		if len(d.clusters) == 0 {
			return nil
		}
		ds.giveUp(d)
	}
	c := &cluster{id: ds.next, service: service, path: path, words: slices.Clone(words)}
	ds.put(d, c)
	return c
}

func (ds *drains) put(d *drain, c *cluster) {
	d.leaves[c.path] = append(d.leaves[c.path], c.id)
	slices.Sort(d.leaves[c.path])
	d.below(c.path, 1)
	d.clusters[c.id] = c
	ds.total++
	ds.next = max(ds.next, c.id+1)
	ds.clock = max(ds.clock, c.used)
}

// giveUp drops the cluster that was used longest ago.
func (ds *drains) giveUp(d *drain) {
	var oldest *cluster
	for _, c := range d.clusters {
		if oldest == nil || cmp.Or(cmp.Compare(c.used, oldest.used), cmp.Compare(c.id, oldest.id)) < 0 {
			oldest = c
		}
	}
	delete(d.clusters, oldest.id)
	d.below(oldest.path, -1)
	left := slices.DeleteFunc(d.leaves[oldest.path], func(id uint32) bool { return id == oldest.id })
	if len(left) == 0 {
		delete(d.leaves, oldest.path)
	} else {
		d.leaves[oldest.path] = left
	}
	ds.total--
	oldest.gone = true
	ds.touched[oldest.id] = oldest
}

// restore puts back a cluster that was stored.
func (ds *drains) restore(c *cluster) {
	ds.next, ds.clock = max(ds.next, c.id+1), max(ds.clock, c.used)
	if c.gone {
		return
	}
	d := ds.by[c.service]
	if d == nil {
		d = ds.newDrain(c.service)
	}
	own := *c
	ds.put(d, &own)
}

// take returns copies of the clusters that lines joined since the last call.
func (ds *drains) take() []cluster {
	out := make([]cluster, 0, len(ds.touched))
	for _, c := range ds.touched {
		out = append(out, *c)
	}
	clear(ds.touched)
	slices.SortFunc(out, func(a, b cluster) int { return cmp.Compare(a.id, b.id) })
	return out
}

// A stored cluster: id, last use, given up, service, path, number of words, each.
func (c *cluster) append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(c.id))
	b = binary.AppendUvarint(b, c.used)
	b = append(b, 0)
	if c.gone {
		b[len(b)-1] = 1
	}
	b = model.AppendString(b, c.service)
	b = model.AppendString(b, c.path)
	b = binary.AppendUvarint(b, uint64(len(c.words)))
	for _, w := range c.words {
		b = model.AppendString(b, w)
	}
	return b
}

func (c *cluster) decode(d *model.Decoder) {
	c.id, c.used, c.gone, c.service, c.path = uint32(d.Uvarint()), d.Uvarint(), d.Byte() == 1, d.String(), d.String()
	c.words = nil
	for range d.Count() {
		c.words = append(c.words, d.String())
	}
}

func (c *cluster) pattern() string { return strings.Join(c.words, " ") }

// clusterID names a cluster among those of all partitions.
type clusterID struct {
	partition int32
	id        uint32
}

// label is the cluster as a label value of TablePatterns.
func (c clusterID) label(b []byte) []byte {
	b = strconv.AppendInt(b, int64(c.partition), 10)
	return strconv.AppendUint(append(b, '.'), uint64(c.id), 10)
}

func parseClusterID(label string) (c clusterID, ok bool) {
	p, id, _ := strings.Cut(label, ".")
	pn, err1 := strconv.ParseInt(p, 10, 32)
	n, err2 := strconv.ParseUint(id, 10, 32)
	return clusterID{int32(pn), uint32(n)}, err1 == nil && err2 == nil
}

// hasFold reports whether text, in lower case, occurs in b whatever its case (ASCII).
func hasFold(b, text []byte) bool {
	return len(text) == 0 || bytes.Contains(bytes.ToLower(b), text)
}
