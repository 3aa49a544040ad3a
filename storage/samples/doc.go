// Package samples keeps the samples of metrics of a recent range in Prometheus' TSDB, one folder for each version of the views. It is
// apart from storage so that a package that imports storage does not import the TSDB.
package samples
