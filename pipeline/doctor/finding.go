package doctor

import "fmt"

// Level says how much a finding matters.
type Level string

// The levels.
const (
	OK      Level = "ok"      // checked, nothing to change
	Note    Level = "note"    // worth knowing; WatchingCat works as promised
	Warning Level = "warning" // works, at a cost or a risk
	Failure Level = "failure" // WatchingCat cannot read, or data is lost
)

// Finding is one judgement.
type Finding struct {
	// Area is what was looked at: brokers, topics, records, senders, consumption or machine.
	Area string `json:"area"`
	// Check names the judgement, for scripts: topic_retention.
	Check string `json:"check"`
	// Subject is what it is about: a topic, a service, a folder; "" for the area as a whole.
	Subject string `json:"subject,omitempty"`
	Level   Level  `json:"level"`
	// Seen is what was found, with its numbers.
	Seen string `json:"seen"`
	// Change is what to do about it, Reason what it costs otherwise; both are empty at level ok.
	Change string `json:"change,omitempty"`
	Reason string `json:"reason,omitempty"`
}

// maxFindings bounds a report; beyond it findings are counted only.
const maxFindings = 500

// Report is the list of findings in the order in which they were made.
type Report struct {
	Findings []Finding `json:"findings"`
	// Left is how many findings are not listed.
	Left int `json:"left_out,omitempty"`
}

// Add appends a finding.
func (r *Report) Add(f Finding) {
	if len(r.Findings) >= maxFindings {
		r.Left++
		return
	}
	r.Findings = append(r.Findings, f)
}

// Count is how many findings have the level.
func (r *Report) Count(l Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// about makes the findings of one subject.
type about struct {
	r             *Report
	area, subject string
}

func (a about) ok(check, seen string, args ...any) {
	a.r.Add(Finding{Area: a.area, Check: check, Subject: a.subject, Level: OK, Seen: fmt.Sprintf(seen, args...)})
}

// found adds a finding that asks for something: what to change, and the reason.
func (a about) found(l Level, check, change, reason, seen string, args ...any) {
	a.r.Add(Finding{Area: a.area, Check: check, Subject: a.subject, Level: l, Seen: fmt.Sprintf(seen, args...), Change: change, Reason: reason})
}
