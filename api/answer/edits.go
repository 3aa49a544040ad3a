package answer

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/prometheus/promql"

	"github.com/gaurav/watchingcat/evaluator/books"
)

// QueryError makes a problem of an error of a PromQL query: mistakes of the client are bad requests, failures of the server stay.
func QueryError(err error) error {
	var canceled promql.ErrQueryCanceled
	var timeout promql.ErrQueryTimeout
	var many promql.ErrTooManySamples
	var stored promql.ErrStorage
	switch {
	case err == nil:
		return nil
	case errors.As(err, &canceled):
		return fmt.Errorf("%w: %w", context.Canceled, err)
	case errors.As(err, &timeout):
		return fmt.Errorf("%w: %w", context.DeadlineExceeded, err)
	case errors.As(err, &stored):
		return err
	case errors.As(err, &many):
		return Advise(Problemf(ErrBadRequest, "too_many_samples", "query: %v", err), "Ask for fewer series or a shorter range.")
	}
	return Advise(Problemf(ErrBadRequest, "invalid_query", "query: %v", err),
		"See https://prometheus.io/docs/prometheus/latest/querying/basics/ for PromQL.")
}

// RulesAdvice is what to do when rules or objectives cannot be stored.
const RulesAdvice = "Rules are kept in a topic of the brokers (kafka_config_topic); see whether they answer and the topic may be written."

// RuleBook is the rules that users make; an error where they cannot be kept.
func RuleBook(b *books.RuleBook) (*books.RuleBook, error) {
	if b == nil {
		return nil, Advise(Problemf(ErrUnavailable, "", "this server does not store rules created through the API"), RulesAdvice)
	}
	return b, nil
}

// Edited makes a problem of an error of evaluator/books; nil stays nil.
func Edited(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, books.ErrRuleUnknown):
		return ErrNotFound
	case errors.Is(err, books.ErrRuleInvalid), errors.Is(err, books.ErrSLOInvalid), errors.Is(err, books.ErrTemplate):
		return Problemf(ErrBadRequest, "invalid_rule", "%v", err)
	case errors.Is(err, books.ErrChanged):
		return errChanged
	case errors.Is(err, books.ErrRuleOfFile):
		return Advise(Problemf(ErrConflict, "rule_of_file", "the rule comes from a file"),
			"Change the file and reload; here it can only be switched on and off.")
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	}
	return Advise(Problemf(ErrUnavailable, "", "it could not be stored: %v", err), RulesAdvice)
}
