package alert

// Candidate is something that may be at fault: a service, a database, a broker or a peer that sends no spans.
type Candidate struct {
	Name       string  `json:"name"`
	Connection string  `json:"connection_type"` // of the calls to it, "" for a service
	Score      float64 `json:"score"`           // 0 to 1: 1 less the product of 1 less the score of each term
	Terms      []Term  `json:"terms"`           // the highest score first
}

// What a term of a candidate is about.
const (
	TermErrors   = "errors"   // calls to it fail that did not before, beyond what the calls that it makes explain
	TermLatency  = "latency"  // calls to it take longer, beyond what the calls that it makes explain
	TermStopped  = "stopped"  // it makes fewer calls for each call to it
	TermSeverity = "severity" // a larger share of its log lines are warnings or errors
	TermBegan    = "began"    // it logs warnings or errors with many of its requests that it never logged before
	TermSkipped  = "skipped"  // of two things that it did equally often, log lines or operations, it does one no more
	TermCPU      = "cpu"      // it uses more CPU
	TermMemory   = "memory"   // it uses more memory
)

// Term is one observation that speaks for a candidate.
type Term struct {
	Signal  string  `json:"signal"`  // one of the Term constants
	Subject string  `json:"subject"` // the operation, callee, log pattern or metric that it is about; may be empty
	Before  float64 `json:"before"`  // in the baseline
	Now     float64 `json:"now"`
	Unit    string  `json:"unit"`  // of both: ratio, ms, calls per call, lines, spans, or that of the metric
	Share   float64 `json:"share"` // 0 to 1: of what all candidates have of this signal
	Score   float64 `json:"score"` // 0 to 1
}
