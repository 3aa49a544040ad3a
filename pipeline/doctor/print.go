package doctor

import (
	"bufio"
	"fmt"
	"io"
	"slices"
	"strings"
)

// width is how long lines of a printed report are.
const width = 120

var marks = map[Level]string{OK: "ok  ", Note: "note", Warning: "WARN", Failure: "FAIL"}

// areas are in the order in which they are printed.
var areas = []string{"brokers", "topics", "records", "senders", "consumption", "machine"}

// Print writes the report as text, by area, and a closing line with the numbers.
func (r *Report) Print(out io.Writer) error {
	w := bufio.NewWriter(out)
	for _, area := range areas {
		of := slices.DeleteFunc(slices.Clone(r.Findings), func(f Finding) bool { return f.Area != area })
		if len(of) == 0 {
			continue
		}
		fmt.Fprintln(w, area)
		for _, f := range of {
			f.print(w)
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, "%s, %s, %s, %d ok\n", many(r.Count(Failure), "failure", "failures"), many(r.Count(Warning), "warning", "warnings"),
		many(r.Count(Note), "note", "notes"), r.Count(OK))
	if r.Left > 0 {
		fmt.Fprintf(w, "%s more are not listed\n", many(r.Left, "finding", "findings"))
	}
	return w.Flush()
}

func (f *Finding) print(w io.Writer) {
	seen := f.Seen
	if f.Subject != "" {
		seen = f.Subject + ": " + seen
	}
	paragraph(w, "  "+marks[f.Level]+"  ", seen)
	if f.Change != "" {
		paragraph(w, "        change: ", f.Change)
	}
	if f.Reason != "" {
		paragraph(w, "        reason: ", f.Reason)
	}
}

// paragraph wraps a text; the lines after the first are indented as far as it.
func paragraph(w io.Writer, lead, text string) {
	line := lead
	indent := strings.Repeat(" ", len(lead))
	for i, word := range strings.Fields(text) {
		if i > 0 && len(line)+1+len(word) > width {
			fmt.Fprintln(w, line)
			line = indent
		} else if i > 0 {
			line += " "
		}
		line += word
	}
	fmt.Fprintln(w, line)
}
