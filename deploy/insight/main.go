package main

import (
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/gaurav/watchingcat/evaluator/alert"
)

var (
	data    = flag.String("data", "", "folder of the data set, or a zip file of it: rca_data and construct_data")
	only    = flag.String("signals", "spans,logs,metrics", "signals that evidence may be found in; spans always are")
	verbose = flag.Bool("v", false, "print the candidates of each case that is not right")
)

func main() {
	flag.Parse()
	if err := mainErr(); err != nil {
		fmt.Fprintln(os.Stderr, "insight:", err)
		os.Exit(1)
	}
}

func mainErr() error {
	if *data == "" {
		return fmt.Errorf("-data is missing: the folder of the data set, with rca_data and construct_data in it")
	}
	root, closeRoot, err := open(*data)
	if err != nil {
		return err
	}
	defer closeRoot() //nolint:errcheck // it was only read
	list, err := days(root)
	if err != nil {
		return err
	}
	of := signals{strings.Contains(*only, "logs"), strings.Contains(*only, "metrics")}
	for _, day := range list {
		results, err := measure(root, day, of)
		if err != nil {
			return err
		}
		for i := range results {
			results[i].print(os.Stdout)
		}
		if err := printTable(os.Stdout, day, results); err != nil {
			return err
		}
	}
	return nil
}

// A result is the evidence of one case.
type result struct {
	fault
	evidence *alert.Evidence
}

// measure gathers the evidence of all faults of a day for which there are spans.
func measure(root fs.FS, day string, of signals) (out []result, err error) {
	d, faults, err := load(root, day)
	if err != nil {
		return nil, err
	}
	for i := range faults {
		f := &faults[i]
		v, err := d.evidence(f, of)
		if err != nil {
			return nil, fmt.Errorf("%s %s %s: %w", f.At, f.Pod, f.Kind, err)
		}
		if v != nil {
			out = append(out, result{*f, v})
		}
	}
	return out, nil
}

// place is where the service at fault stands among the candidates, from 0; -1: nowhere. A candidate with the same score stands before it.
func (r *result) place() int {
	list := r.evidence.Candidates
	at := slices.IndexFunc(list, func(c alert.Candidate) bool { return c.Name == r.service() && c.Connection == "" })
	for at >= 0 && at+1 < len(list) && list[at+1].Score == list[at].Score {
		at++
	}
	return at
}

// sure is the confidence from which a wrong name counts as given with confidence.
const sure = 0.5

func (r *result) print(w io.Writer) {
	fmt.Fprintf(w, "%s  %-28s %-15s place %2d  confidence %.2f ", r.At.Format("15:04"), r.service(), r.Kind, r.place()+1, r.evidence.Confidence)
	for _, c := range r.evidence.Candidates[:min(3, len(r.evidence.Candidates))] {
		fmt.Fprintf(w, " %s %.2f", c.Name, c.Score)
	}
	fmt.Fprintln(w)
	if *verbose && r.place() != 0 {
		for _, c := range r.evidence.Candidates {
			for _, t := range c.Terms {
				fmt.Fprintf(w, "    %-28s %-9s %s: %.4g, %.4g before (%s); share %.2f, score %.2f\n", c.Name, t.Signal, t.Subject, t.Now, t.Before, t.Unit,
					t.Share, t.Score)
			}
		}
	}
}

// A score counts the cases of one kind of fault.
type score struct{ cases, first, three, wrong, unsure int }

func (s *score) add(r *result) {
	s.cases++
	switch at := r.place(); {
	case at == 0:
		s.first++
		s.three++
		return
	case at > 0 && at < 3:
		s.three++
	}
	if r.evidence.Confidence >= sure {
		s.wrong++
	} else {
		s.unsure++
	}
}

func printTable(out io.Writer, day string, results []result) error {
	by, all, kinds := map[string]*score{}, score{}, []string{}
	for i := range results {
		r := &results[i]
		if by[r.Kind] == nil {
			by[r.Kind] = &score{}
			kinds = append(kinds, r.Kind)
		}
		by[r.Kind].add(r)
		all.add(r)
	}
	slices.Sort(kinds)
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(w, "%s\tcases\tfirst\tin three\tnot first, confidence >= %.1f\tnot first, below\n", day, sure)
	row := func(name string, s *score) {
		fmt.Fprintf(w, "%s\t%d\t%d\t%d\t%d\t%d\n", name, s.cases, s.first, s.three, s.wrong, s.unsure)
	}
	for _, k := range kinds {
		row(k, by[k])
	}
	row("all", &all)
	return w.Flush()
}
