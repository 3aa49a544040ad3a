package main

import (
	"archive/zip"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A fault is one injection.
type fault struct {
	Day  string // of the data set
	At   time.Time
	Pod  string
	Kind string // cpu_contention, network_delay, exception, return, ...
}

func (f *fault) service() string { return serviceOf(f.Pod) }

// serviceOf is the service of a pod of a deployment: its name without the hashes of its replica set and itself.
func serviceOf(pod string) string {
	parts := strings.Split(pod, "-")
	return strings.Join(parts[:max(1, len(parts)-2)], "-")
}

// A span, a line and a sample are rows of the data set.
type (
	span struct {
		trace, id, parent, pod, name string
		start, end                   time.Time
	}
	line struct {
		at               time.Time
		pod, trace, span string
		text             string
	}
	sample struct {
		at                        time.Time
		pod                       string
		cpu, cpuLimit             float64 // cores, and the share of their limit
		memory, memoryLimit       float64 // bytes, and the share of their limit
		received, sent, nodeUsage float64
	}
)

// A minute is what was collected in about a minute.
type minute struct {
	spans []span
	lines []line
}

// dataset is a folder as the data set has it: one day with faults, and a minute of a day without.
type dataset struct{ faults, quiet fs.FS }

// open opens a folder or a zip file of one.
func open(name string) (fs.FS, func() error, error) {
	if path.Ext(name) != ".zip" {
		return os.DirFS(name), func() error { return nil }, nil
	}
	r, err := zip.OpenReader(name)
	if err != nil {
		return nil, nil, err
	}
	return r, r.Close, nil
}

// days are those with faults.
func days(root fs.FS) (list []string, err error) {
	entries, err := fs.ReadDir(root, "rca_data")
	for _, e := range entries {
		list = append(list, e.Name())
	}
	return list, err
}

// quietDay is the folder with the minute without a fault: of the same day or, as for Online Boutique, of the day after.
func quietDay(root fs.FS, day string) (string, error) {
	at, err := time.Parse(time.DateOnly, day)
	if err != nil {
		return "", err
	}
	for _, d := range []time.Time{at, at.AddDate(0, 0, 1), at.AddDate(0, 0, -1)} {
		name := path.Join("construct_data", d.Format(time.DateOnly))
		if _, err := fs.Stat(root, name); err == nil {
			return name, nil
		}
	}
	return "", fmt.Errorf("%s: no minute without a fault under construct_data", day)
}

func load(root fs.FS, day string) (*dataset, []fault, error) {
	quiet, err := quietDay(root, day)
	if err != nil {
		return nil, nil, err
	}
	d := &dataset{}
	if d.faults, err = fs.Sub(root, path.Join("rca_data", day)); err != nil {
		return nil, nil, err
	}
	if d.quiet, err = fs.Sub(root, quiet); err != nil {
		return nil, nil, err
	}
	b, err := fs.ReadFile(d.faults, day+"-fault_list.json")
	if err != nil {
		return nil, nil, err
	}
	var hours map[string][]struct {
		At   string `json:"inject_time"`
		Pod  string `json:"inject_pod"`
		Kind string `json:"inject_type"`
	}
	if err := json.Unmarshal(b, &hours); err != nil {
		return nil, nil, fmt.Errorf("%s: fault list: %w", day, err)
	}
	var list []fault
	for _, h := range hours {
		for _, f := range h {
			at, err := time.Parse(time.DateTime, f.At)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: fault list: %w", day, err)
			}
			list = append(list, fault{day, at, f.Pod, f.Kind})
		}
	}
	slices.SortFunc(list, func(a, b fault) int { return a.At.Compare(b.At) })
	return d, list, nil
}

// before is the minute without a fault.
func (d *dataset) before() (minute, error) {
	names, err := fs.Glob(d.quiet, "trace/*_trace.csv")
	if err != nil || len(names) == 0 {
		return minute{}, errors.Join(err, errors.New("no minute without a fault"))
	}
	return readMinute(d.quiet, strings.TrimSuffix(path.Base(names[0]), "_trace.csv"))
}

// after are the first and the second minute after a fault. Some minutes are missing.
func (d *dataset) after(f *fault) (list []minute, err error) {
	for i := range 2 {
		m, err := readMinute(d.faults, f.At.Add(time.Duration(i+1)*time.Minute).Format("15_04"))
		if err != nil {
			return nil, err
		}
		if len(m.spans) > 0 {
			list = append(list, m)
		}
	}
	return list, nil
}

func readMinute(dir fs.FS, name string) (m minute, err error) {
	err = eachRow(dir, "trace/"+name+"_trace.csv", func(r map[string]string) error {
		start, err1 := nanos(r["StartTimeUnixNano"])
		end, err2 := nanos(r["EndTimeUnixNano"])
		m.spans = append(m.spans, span{r["TraceID"], r["SpanID"], r["ParentID"], r["PodName"], r["OperationName"], start, end})
		return errors.Join(err1, err2)
	})
	if err != nil {
		return m, err
	}
	return m, eachRow(dir, "log/"+name+"_log.csv", func(r map[string]string) error {
		at, err := nanos(r["TimeUnixNano"])
		m.lines = append(m.lines, line{at, r["PodName"], r["TraceID"], r["SpanID"], r["Log"]})
		return err
	})
}

func nanos(s string) (time.Time, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	return time.Unix(0, n), err
}

// eachRow calls f with each row of a file by the names of its columns. A file that is not there has none.
func eachRow(dir fs.FS, name string, f func(map[string]string) error) error {
	file, err := dir.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	defer file.Close() //nolint:errcheck // it was only read
	r := csv.NewReader(file)
	r.LazyQuotes, r.FieldsPerRecord = true, -1
	head, err := r.Read()
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	head = slices.Clone(head)
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		m := make(map[string]string, len(row))
		for i, v := range row[:min(len(row), len(head))] {
			m[head[i]] = v
		}
		if err := f(m); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
}

// samples are the rows of metrics of all pods within a range.
func (d *dataset) samples(from, to time.Time) (list []sample, err error) {
	names, err := fs.Glob(d.faults, "metric/*_metric.csv")
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		err := eachRow(d.faults, name, func(r map[string]string) error {
			if len(r["Time"]) < 19 {
				return nil
			}
			at, err := time.Parse(time.DateTime, r["Time"][:19])
			if err != nil || at.Before(from) || !at.Before(to) {
				return err
			}
			f := func(name string) float64 { v, _ := strconv.ParseFloat(r[name], 64); return v }
			list = append(list, sample{at, r["PodName"], f("CpuUsage(m)") / 1000, f("CpuUsageRate(%)") / 100,
				f("MemoryUsage(Mi)") * (1 << 20), f("MemoryUsageRate(%)") / 100, f("NetworkReceiveBytes"), f("NetworkTransmitBytes"),
				f("NodeCpuUsageRate(%)") / 100})
			return nil
		})
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}
