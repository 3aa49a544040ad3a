package status

import (
	"context"
	"errors"
	"time"

	"github.com/gaurav/watchingcat/api/answer"
	"github.com/gaurav/watchingcat/api/rest"
	"github.com/gaurav/watchingcat/pipeline/progress"
)

// Verifier is what the API needs to compare the views with the topics. Errors of Start wrap progress.ErrVerificationRuns or
// progress.ErrVerificationRange; others are internal.
type Verifier interface {
	// List is ordered newest first.
	List() []progress.Verification
	Get(id string) (progress.Verification, bool)
	// Start compares a range; zero times are open ends.
	Start(from, to time.Time) (progress.Verification, error)
	// Cancel ends one, whose result so far stays; ok is false if it is not known.
	Cancel(id string) (ok bool)
	// Always is the comparison that runs all the time; ok is false if none does.
	Always() (v progress.Verification, ok bool)
	// Span is the range that can be verified; ok is false while there is none.
	Span() (from, to time.Time, ok bool)
}

// NoVerifier stands for an installation that cannot verify.
var NoVerifier Verifier = unverified{}

type unverified struct{}

func (unverified) List() []progress.Verification { return nil }

func (unverified) Get(string) (progress.Verification, bool) { return progress.Verification{}, false }

func (unverified) Start(time.Time, time.Time) (progress.Verification, error) {
	return progress.Verification{}, progress.ErrVerificationRange
}

func (unverified) Cancel(string) bool { return false }

func (unverified) Always() (progress.Verification, bool) { return progress.Verification{}, false }

func (unverified) Span() (from, to time.Time, ok bool) { return from, to, false }

// Verifications answers for comparisons of the views with the topics.
type Verifications struct{ Verifier Verifier }

func verificationAnswer(v progress.Verification) rest.Verification {
	out := rest.Verification{Id: v.ID, State: rest.VerificationState(v.State), From: answer.TimeOrNil(v.From), To: answer.TimeOrNil(v.To),
		Minutes: v.Minutes, Compared: v.Compared, Skipped: v.Skipped, Records: v.Records, Cells: v.Cells, Uncertain: v.Uncertain,
		Differing: v.Differing, Differences: []rest.CellDifference{}, BusyS: v.Busy.Seconds(), Began: v.Began.UTC(), Updated: v.Updated.UTC(),
		Error: answer.TextOrNil(v.Error)}
	for _, d := range v.Differences {
		out.Differences = append(out.Differences, rest.CellDifference{View: d.View, Series: d.Series, Bucket: d.Bucket, Topics: d.Topics, Views: d.Views})
	}
	return out
}

// ListVerifications implements rest.StrictServerInterface.
func (s *Verifications) ListVerifications(context.Context, rest.ListVerificationsRequestObject) (rest.ListVerificationsResponseObject, error) {
	out := rest.ListVerifications200JSONResponse{Verifications: []rest.Verification{}}
	for _, v := range s.Verifier.List() {
		out.Verifications = append(out.Verifications, verificationAnswer(v))
	}
	if v, ok := s.Verifier.Always(); ok {
		a := verificationAnswer(v)
		out.Continuous = &a
	}
	if from, to, ok := s.Verifier.Span(); ok {
		out.From, out.To = &from, &to
	}
	return out, nil
}

// StartVerification implements rest.StrictServerInterface.
func (s *Verifications) StartVerification(_ context.Context,
	q rest.StartVerificationRequestObject) (rest.StartVerificationResponseObject, error) {
	var from, to time.Time
	if b := q.Body; b != nil {
		for _, t := range []struct {
			name string
			text *string
			at   *time.Time
		}{{"from", b.From, &from}, {"to", b.To, &to}} {
			if t.text == nil {
				continue
			}
			var err error
			if *t.at, err = answer.ParseTime(t.name, *t.text); err != nil {
				return nil, err
			}
		}
	}
	v, err := s.Verifier.Start(from, to)
	switch {
	case errors.Is(err, progress.ErrVerificationRange):
		return nil, answer.Problemf(answer.ErrBadRequest, "invalid_verification", "%v", err)
	case errors.Is(err, progress.ErrVerificationRuns):
		return nil, answer.Advise(answer.Problemf(answer.ErrConflict, "verification_conflict", "%v", err),
			"GET /api/v1/verifications shows how far it is; try again when it has ended.")
	case err != nil:
		return nil, err
	}
	return rest.StartVerification202JSONResponse(verificationAnswer(v)), nil
}

// GetVerification implements rest.StrictServerInterface.
func (s *Verifications) GetVerification(_ context.Context, q rest.GetVerificationRequestObject) (rest.GetVerificationResponseObject, error) {
	v, ok := s.Verifier.Get(q.Id)
	if !ok {
		return nil, noVerification(q.Id)
	}
	return rest.GetVerification200JSONResponse(verificationAnswer(v)), nil
}

// CancelVerification implements rest.StrictServerInterface.
func (s *Verifications) CancelVerification(_ context.Context,
	q rest.CancelVerificationRequestObject) (rest.CancelVerificationResponseObject, error) {
	if !s.Verifier.Cancel(q.Id) {
		return nil, noVerification(q.Id)
	}
	return rest.CancelVerification204Response{}, nil
}

func noVerification(id string) error {
	return answer.Advise(answer.Problemf(answer.ErrNotFound, "verification_not_found", "there is no verification %q", id),
		"GET /api/v1/verifications lists them; they are kept until the process ends.")
}
