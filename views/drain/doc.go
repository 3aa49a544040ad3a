// Package drain finds the patterns of log lines (He, Zhu, Zheng and Lyu, "Drain: An Online Log Parsing Approach with Fixed Depth Tree",
// ICWS 2017), and the patterns of the messages of exceptions.
//
// A [Drains] is of one partition, because what a line joins depends on the lines before it; readers add up equal patterns. It is guarded by
// who holds it. A [Cluster] is one pattern: its words, with a wildcard where lines differ. The tree is made anew from the clusters that are
// stored.
package drain
