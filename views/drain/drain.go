package drain

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
	clusters map[uint32]*Cluster
	leaves   map[string][]uint32 // path: cluster ids, ascending
	nodes    map[string]int      // clusters below each inner node
	children map[string]int      // first words below each inner node
}

// Cluster is one pattern of one service in one partition.
type Cluster struct {
	ID      uint32 // within the partition
	service string
	path    string // the leaf it is under
	words   []string
	used    uint64 // the partition's clock when a line joined last
	Gone    bool   // given up: no line joins it any more
}

// Drains are those of one partition.
type Drains struct {
	limit   int // clusters of a service
	by      map[string]*drain
	total   int
	next    uint32 // id of the next cluster
	clock   uint64 // lines seen
	touched map[uint32]*Cluster
}

// maxClusters bounds the clusters of one partition, of all services.
const maxClusters = 50_000

// New returns Drains that know no pattern; limit is how many patterns a service may have.
func New(limit int) *Drains {
	return &Drains{limit: max(1, limit), by: map[string]*drain{}, next: 1, touched: map[uint32]*Cluster{}}
}

// Settings of the paper, and limits.
const (
	drainSimilarity = 0.5 // share of equal words from which a line joins a cluster
	drainDepth      = 2   // words that lead to a leaf
	drainChildren   = 100 // first words below a number of words; more go under <*>
	drainWords      = 64  // words of a line that are looked at
	drainBytes      = 512 // bytes of a line that are looked at
	Wildcard        = "<*>"
)

func (ds *Drains) newDrain(service string) *drain {
	d := &drain{clusters: map[uint32]*Cluster{}, leaves: map[string][]uint32{}, nodes: map[string]int{}, children: map[string]int{}}
	ds.by[service] = d
	return d
}

// Split splits a line into words; words with digits, and quoted parts, are wildcards from the start, as the paper's preprocessing has it.
func Split(line []byte) []string {
	masked := maskMessage(line[:min(len(line), drainBytes)], drainBytes)
	words := strings.Fields(strings.ToValidUTF8(string(masked), "\uFFFD"))
	if len(words) > drainWords {
		words = append(words[:drainWords:drainWords], "...")
	}
	return words
}

// Add puts a line into its cluster; nil when there may be no more clusters.
func (ds *Drains) Add(service string, line []byte) *Cluster {
	ds.clock++
	d := ds.by[service]
	if d == nil {
		d = ds.newDrain(service)
	}
	words := Split(line)
	path := d.path(words)
	var best *Cluster
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
		if best.words[i] != w && best.words[i] != Wildcard {
			if !copied {
				best.words, copied = slices.Clone(best.words), true // the old ones may be on their way to the store
			}
			best.words[i] = Wildcard
		}
	}
	best.used = ds.clock
	ds.touched[best.ID] = best
	return best
}

// path is the leaf for words: their number and the first ones, <*> where there are too many different.
func (d *drain) path(words []string) string {
	node := binary.AppendUvarint(nil, uint64(len(words)))
	for i := range min(drainDepth, len(words)) {
		child := model.AppendString(slices.Clone(node), words[i])
		if d.nodes[string(child)] == 0 && d.children[string(node)] >= drainChildren {
			child = model.AppendString(slices.Clone(node), Wildcard)
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

func (ds *Drains) found(service string, d *drain, path string, words []string) *Cluster {
	if len(d.clusters) >= ds.limit || ds.total >= maxClusters {
		if len(d.clusters) == 0 {
			return nil
		}
		ds.giveUp(d)
	}
	c := &Cluster{ID: ds.next, service: service, path: path, words: slices.Clone(words)}
	ds.put(d, c)
	return c
}

func (ds *Drains) put(d *drain, c *Cluster) {
	d.leaves[c.path] = append(d.leaves[c.path], c.ID)
	slices.Sort(d.leaves[c.path])
	d.below(c.path, 1)
	d.clusters[c.ID] = c
	ds.total++
	ds.next = max(ds.next, c.ID+1)
	ds.clock = max(ds.clock, c.used)
}

// giveUp drops the cluster that was used longest ago.
func (ds *Drains) giveUp(d *drain) {
	var oldest *Cluster
	for _, c := range d.clusters {
		if oldest == nil || cmp.Or(cmp.Compare(c.used, oldest.used), cmp.Compare(c.ID, oldest.ID)) < 0 {
			oldest = c
		}
	}
	delete(d.clusters, oldest.ID)
	d.below(oldest.path, -1)
	left := slices.DeleteFunc(d.leaves[oldest.path], func(id uint32) bool { return id == oldest.ID })
	if len(left) == 0 {
		delete(d.leaves, oldest.path)
	} else {
		d.leaves[oldest.path] = left
	}
	ds.total--
	oldest.Gone = true
	ds.touched[oldest.ID] = oldest
}

// Restore puts back a cluster that was stored.
func (ds *Drains) Restore(c *Cluster) {
	ds.next, ds.clock = max(ds.next, c.ID+1), max(ds.clock, c.used)
	if c.Gone {
		return
	}
	d := ds.by[c.service]
	if d == nil {
		d = ds.newDrain(c.service)
	}
	own := *c
	ds.put(d, &own)
}

// Take returns copies of the clusters that lines joined since the last call.
func (ds *Drains) Take() []Cluster {
	out := make([]Cluster, 0, len(ds.touched))
	for _, c := range ds.touched {
		out = append(out, *c)
	}
	clear(ds.touched)
	slices.SortFunc(out, func(a, b Cluster) int { return cmp.Compare(a.ID, b.ID) })
	return out
}

// Append encodes the cluster.
// A stored cluster: id, last use, given up, service, path, number of words, each.
func (c *Cluster) Append(b []byte) []byte {
	b = binary.AppendUvarint(b, uint64(c.ID))
	b = binary.AppendUvarint(b, c.used)
	b = append(b, 0)
	if c.Gone {
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

// Decode reads what Append wrote.
func (c *Cluster) Decode(d *model.Decoder) {
	c.ID, c.used, c.Gone, c.service, c.path = uint32(d.Uvarint()), d.Uvarint(), d.Byte() == 1, d.String(), d.String()
	c.words = nil
	for range d.Count() {
		c.words = append(c.words, d.String())
	}
}

// Pattern is the words of the cluster, with a wildcard for those that differ.
func (c *Cluster) Pattern() string { return strings.Join(c.words, " ") }

// ClusterID names a cluster among those of all partitions.
type ClusterID struct {
	Partition int32
	ID        uint32
}

// Label is the cluster as a label value of TablePatterns.
func (c ClusterID) Label(b []byte) []byte {
	b = strconv.AppendInt(b, int64(c.Partition), 10)
	return strconv.AppendUint(append(b, '.'), uint64(c.ID), 10)
}

// ParseClusterID reads a label value that Label made.
func ParseClusterID(label string) (c ClusterID, ok bool) {
	p, id, _ := strings.Cut(label, ".")
	pn, err1 := strconv.ParseInt(p, 10, 32)
	n, err2 := strconv.ParseUint(id, 10, 32)
	return ClusterID{int32(pn), uint32(n)}, err1 == nil && err2 == nil
}

// HasFold reports whether text, in lower case, occurs in b whatever its case (ASCII).
func HasFold(b, text []byte) bool {
	return len(text) == 0 || bytes.Contains(bytes.ToLower(b), text)
}

// SameWords reports whether words are of a pattern: as many, and the same where the pattern has no wildcard.
func SameWords(pattern, words []string) bool {
	if len(pattern) != len(words) {
		return false
	}
	for i, w := range words {
		if pattern[i] != w && pattern[i] != Wildcard {
			return false
		}
	}
	return true
}
