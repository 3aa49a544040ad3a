package progress

import (
	"errors"
	"fmt"
	"slices"
	"time"
)

// A Verification is the comparison of the views with a recount of the topics, over a range of event time.
type Verification struct {
	ID       string
	From, To time.Time
	State    VerificationState
	// Minutes of the range, of them compared, and those of which the topics no longer hold every record.
	Minutes, Compared, Skipped int
	Records                    int64 // that were read
	// Cells were compared and Differing of them differ. Uncertain ones were not compared: the order of arrival may
	// decide how they count, or there is no memory for all calls.
	Cells, Uncertain, Differing int64
	Differences                 []Difference // the first MaxDifferences
	Began, Updated              time.Time
	Busy                        time.Duration // decoding, counting and comparing
	Error                       string
}

// VerificationState is how far a verification is.
type VerificationState string

// The states of a verification.
const (
	VerificationRunning  VerificationState = "running"
	VerificationFinished VerificationState = "finished"
	VerificationFailed   VerificationState = "failed"
	VerificationCanceled VerificationState = "canceled"
)

// MaxDifferences is how many differences a verification lists.
const MaxDifferences = 20

// Errors of verifications that the API distinguishes.
var (
	ErrVerificationRuns  = errors.New("another verification is running")
	ErrVerificationRange = errors.New("the range cannot be verified")
)

// A Difference is one cell in which the views and the topics differ.
type Difference struct {
	View   string
	Series string
	Bucket time.Time
	Topics string // the count of the topics
	Views  string // the count of the views
}

func (d Difference) String() string {
	return fmt.Sprintf("%s, %s, %s: the topics have %s, the views %s", d.View, d.Series, d.Bucket.UTC().Format(time.RFC3339), d.Topics, d.Views)
}

// Clone is a copy that shares nothing.
func (v *Verification) Clone() Verification {
	c := *v
	c.Differences = slices.Clone(v.Differences)
	return c
}
