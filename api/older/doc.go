// Package older answers from the views and from the stores of raw data as one: traces, log lines, and names of services and operations.
//
// The views answer for the time that they hold, a store for what lies before. A store that fails leaves a warning in the Provenance of an
// answer, and the answer without its part.
package older
