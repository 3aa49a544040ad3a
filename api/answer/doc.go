// Package answer is the shape of the API's answers: parameters, errors, freshness (meta), tags, and how they are written.
//
// Handlers return errors; this package makes statuses of them (errors.go) and nothing else does. A Moment is the one version of the views
// that a request reads, and Moments.Meta describes an answer by it.
package answer
