package alert

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/prometheus/model/labels"

	"github.com/gaurav/watchingcat/views/edges"
	"github.com/gaurav/watchingcat/views/spans"
)

// Evidence is why an alert fired, as the views were when it did. It is stored with the alert and does not change while it fires.
// Times are event times.
type Evidence struct {
	// From and At bound what is looked at: the alert's own window. Baseline and BaselineEnd bound what it is compared with, BaselineReason
	// is how that was chosen: one of the Baseline constants.
	Baseline       time.Time `json:"baseline"`
	BaselineEnd    time.Time `json:"baseline_end,omitzero"`
	BaselineReason string    `json:"baseline_reason,omitempty"`
	From           time.Time `json:"from"`
	At             time.Time `json:"at"`

	Service     string               `json:"service"` // that the alert is about; empty: all
	Operands    []Operand            `json:"operands"`
	Operations  []EvidenceOperation  `json:"operations"` // of the service, those with the most excess first
	Traces      []EvidenceTrace      `json:"traces"`     // failed ones first, then the slowest
	Patterns    []EvidencePattern    `json:"patterns"`   // of log lines, first seen since From
	Errors      []EvidenceError      `json:"errors"`     // exception groups first seen since From
	Deployments []EvidenceDeployment `json:"deployments"`
	Path        []PathEdge           `json:"path"`
	Cleared     []PathEdge           `json:"cleared,omitempty"` // calls that the cause makes, at which nothing is wrong
	Cause       *Cause               `json:"cause,omitempty"`   // the first candidate; nil: too weak, or others come too close
	// Candidates are what may be at fault, by all signals, the highest score first. Confidence is 0 to 1: the score of the first, less where
	// the second comes close.
	Candidates []Candidate `json:"candidates,omitempty"`
	Confidence float64     `json:"confidence"`
	Missing    []string    `json:"missing"` // what could not be read, and why
	// Differences is how the failed or slow spans of the cause, or else of the service, differ from its others; nil: there are too few.
	Differences *EvidenceDifferences `json:"differences,omitempty"`
}

// EvidenceDifferences is how the failed or slow spans of a service differ from its other spans of the same time.
type EvidenceDifferences struct {
	Service string `json:"service"`
	Select  string `json:"select"`  // SelectFailed or SelectSlow
	Sampled bool   `json:"sampled"` // not all of its spans were read
	spans.Differences
}

// Which spans are compared with the others.
const (
	SelectFailed = "failed"
	SelectSlow   = "slow" // longer than 95 % of the calls of their operation in the baseline
)

// EvidenceOperation is one operation against its own baseline.
type EvidenceOperation struct {
	Name              string  `json:"name"`
	Kind              string  `json:"kind"`
	Calls             uint64  `json:"calls"`
	Errors            uint64  `json:"errors"`
	ErrorRate         float64 `json:"error_rate"`
	BaselineErrorRate float64 `json:"baseline_error_rate"`
	P95Ms             float64 `json:"p95_ms"`
	BaselineP95Ms     float64 `json:"baseline_p95_ms"`
}

// EvidenceTrace is one span worth looking at.
type EvidenceTrace struct {
	TraceID    string    `json:"trace_id"`
	SpanID     string    `json:"span_id"`
	Service    string    `json:"service"`
	Operation  string    `json:"operation"`
	Status     string    `json:"status"`
	DurationMs float64   `json:"duration_ms"`
	Time       time.Time `json:"time"`
}

// EvidencePattern is a log pattern that was not there before.
type EvidencePattern struct {
	Pattern   string    `json:"pattern"`
	Services  []string  `json:"services"`
	Count     uint64    `json:"count"`
	FirstSeen time.Time `json:"first_seen"`
	Sample    string    `json:"sample"`
}

// EvidenceError is an exception group that was not there before.
type EvidenceError struct {
	Service   string    `json:"service"`
	Operation string    `json:"operation"`
	Type      string    `json:"type"`
	Message   string    `json:"message"`
	Count     uint64    `json:"count"`
	FirstSeen time.Time `json:"first_seen"`
}

// EvidenceDeployment is a version that was first seen shortly before.
type EvidenceDeployment struct {
	Service   string    `json:"service"`
	Version   string    `json:"version"`
	FirstSeen time.Time `json:"first_seen"`
}

// How the time that an alert is compared with was chosen.
const (
	BaselineQuiet      = "quiet"       // its rule had nothing to fire about
	BaselineDayBefore  = "day_before"  // the same time of the day before: the rule was at work all the time since
	BaselineWeekBefore = "week_before" // the same time of the week before, where that was calmer
	BaselineBeginning  = "beginning"   // the views began within the window of the alert: the first half of what they hold
	BaselineHourBefore = "hour_before" // the rule was at work all the time, and the views hold no day before; or there is no rule
	BaselineAsked      = "asked"       // a user chose it
)

// PathEdge is one edge on the way down from the service of an alert, with the arithmetic of its rank. Client is "" for all calls
// that arrive at that service.
type PathEdge struct {
	Client     string `json:"client"`
	Server     string `json:"server"`
	Connection string `json:"connection_type"`
	Hops       int    `json:"hops"` // from the service of the alert; 0 are the calls to it

	Calls             uint64   `json:"calls"`
	Failed            uint64   `json:"failed"`
	ErrorRate         float64  `json:"error_rate"`
	BaselineErrorRate float64  `json:"baseline_error_rate"`
	MeanMs            float64  `json:"mean_ms"`
	BaselineMeanMs    float64  `json:"baseline_mean_ms"`
	ExcessFailed      float64  `json:"excess_failed"`      // failed - calls x baseline error rate
	OwnExcessFailed   float64  `json:"own_excess_failed"`  // without what its server's own calls have too much
	ExcessSeconds     float64  `json:"excess_seconds"`     // calls x (mean - baseline mean)
	OwnExcessSeconds  float64  `json:"own_excess_seconds"` // without what its server's own calls have too much
	Score             float64  `json:"score"`              // 0 to 1: the larger share of its own excess in that of the alert's service
	Changed           []string `json:"changed"`            // beyond noise: errors, latency, added; see edges.Compare
	NewVersions       []string `json:"new_versions"`       // of the server, first seen shortly before
}

// What is wrong at a cause.
const (
	CauseErrors   = "errors"   // more of its calls fail
	CauseLatency  = "latency"  // its calls take longer
	CauseNew      = "new"      // it was not called before; in evidence of older versions
	CauseStopped  = "stopped"  // it makes fewer calls for each call to it
	CauseBegan    = "began"    // it logs warnings or errors with most requests that it never logged before
	CauseSkipped  = "skipped"  // it does no more one of two things that it did equally often
	CauseSeverity = "severity" // more of its log lines are warnings or errors
	CauseCPU      = "cpu"      // it uses more CPU
	CauseMemory   = "memory"   // it uses more memory
)

// Cause is where what is wrong begins: a service, a database, a messaging system or something that sends no spans. The numbers are of all
// calls to it, between From and At, and in the baseline.
type Cause struct {
	Name              string    `json:"name"`
	Connection        string    `json:"connection_type"` // of the calls to it, "" for a service
	Signal            string    `json:"signal"`          // one of the Cause constants
	Operation         string    `json:"operation"`       // of the service, with the most excess; "" unknown
	Subject           string    `json:"subject"`         // the callee, log pattern or metric that the signal is about; may be empty
	Before            float64   `json:"before"`          // of the signal, in the baseline
	Now               float64   `json:"now"`             // of the signal
	Share             float64   `json:"share"`           // 0 to 1: of what changed at all candidates in this signal
	Calls             uint64    `json:"calls"`
	Failed            uint64    `json:"failed"`
	ErrorRate         float64   `json:"error_rate"`
	BaselineErrorRate float64   `json:"baseline_error_rate"`
	MeanMs            float64   `json:"mean_ms"`
	BaselineMeanMs    float64   `json:"baseline_mean_ms"`
	Since             time.Time `json:"since,omitzero"` // start of the bucket in which it began; zero: before what was looked at
	Versions          []string  `json:"versions"`       // first seen shortly before
}

// Sentence says what is wrong, as a title.
func (c *Cause) Sentence() string {
	of := cmp.Or(c.Operation, "its calls")
	switch c.Signal {
	case CauseErrors:
		return fmt.Sprintf("%s fails %.3g %% of %s", c.Name, c.ErrorRate*100, of)
	case CauseLatency:
		if c.Operation == "" {
			return fmt.Sprintf("%s takes %.3g ms, %.3g ms before", c.Name, c.MeanMs, c.BaselineMeanMs)
		}
		return fmt.Sprintf("%s is slow: calls take %.3g ms, %.3g ms before, most of all %s", c.Name, c.MeanMs, c.BaselineMeanMs, c.Operation)
	}
	return c.otherSentence()
}

// otherSentence says what is wrong where calls neither fail nor take longer.
func (c *Cause) otherSentence() string {
	switch c.Signal {
	case CauseStopped:
		return fmt.Sprintf("%s calls %s %.3g times for each call to it, %.3g times before", c.Name, c.Subject, c.Now, c.Before)
	case CauseSkipped:
		return fmt.Sprintf("%s stopped doing one thing: %q, %.0f times, %.0f times before", c.Name, c.Subject, c.Now, c.Before)
	case CauseBegan:
		return fmt.Sprintf("%s logs what it never logged before: %q, %.0f times", c.Name, c.Subject, c.Now)
	case CauseSeverity:
		return fmt.Sprintf("%s logs warnings and errors in %.3g %% of its lines, %.3g %% before", c.Name, c.Now*100, c.Before*100)
	case CauseCPU, CauseMemory:
		return fmt.Sprintf("%s uses more %s: %s is %.3g, %.3g before", c.Name, map[string]string{CauseCPU: "CPU", CauseMemory: "memory"}[c.Signal],
			c.Subject, c.Now, c.Before)
	}
	return fmt.Sprintf("Calls to %s are new", c.Name)
}

// Operand is a part of an alert's expression and its value at the moment, for the labels of the alert.
type Operand struct {
	Expr   string          `json:"expr"`
	Values []OperandSample `json:"values"`
}

// OperandSample is one element of an operand's result.
type OperandSample struct {
	Labels labels.Labels `json:"labels"`
	Value  Number        `json:"value"`
}

// Text is the evidence in a few lines, for a notification.
func (v *Evidence) Text() string {
	var b strings.Builder
	if v.Cause != nil {
		fmt.Fprintf(&b, "cause: %s (confidence %.0f %%)\n", v.Cause.Sentence(), v.Confidence*100)
	}
	for i, e := range v.Path[:min(len(v.Path), 3)] {
		from := cmp.Or(e.Client, "calls")
		fmt.Fprintf(&b, "%d. %s -> %s (%.0f %%): ", i+1, from, e.Server, e.Score*100)
		if slices.Contains(e.Changed, edges.ChangeErrors) {
			fmt.Fprintf(&b, "errors %.3g %% -> %.3g %% ", e.BaselineErrorRate*100, e.ErrorRate*100)
		}
		if slices.Contains(e.Changed, edges.ChangeLatency) {
			fmt.Fprintf(&b, "mean %.3g ms -> %.3g ms ", e.BaselineMeanMs, e.MeanMs)
		}
		if len(e.NewVersions) > 0 {
			fmt.Fprintf(&b, "new version %s ", strings.Join(e.NewVersions, ", "))
		}
		b.WriteString("\n")
	}
	for _, d := range v.Deployments[:min(len(v.Deployments), 2)] {
		fmt.Fprintf(&b, "deployed: %s %s at %s\n", d.Service, d.Version, d.FirstSeen.Format(time.TimeOnly))
	}
	for _, x := range v.Errors[:min(len(v.Errors), 2)] {
		fmt.Fprintf(&b, "new exception: %s in %s, %d times\n", cmp.Or(x.Type, x.Message), x.Service, x.Count)
	}
	if d := v.Differences; d != nil && len(d.List) > 0 && !d.List[0].Outcome {
		first := &d.List[0]
		fmt.Fprintf(&b, "%s spans of %s: %s in %.0f %%, in %.0f %% of the others\n", d.Select, d.Service, first.Sentence(), first.Values[0].SelectedShare*100,
			first.Values[0].OthersShare*100)
	}
	for _, t := range v.Traces[:min(len(v.Traces), 1)] {
		fmt.Fprintf(&b, "trace: %s (%s, %.3g ms)\n", t.TraceID, t.Status, t.DurationMs)
	}
	return strings.TrimSpace(strings.ReplaceAll(b.String(), " \n", "\n"))
}
