package config

import "fmt"

// UsageError is a mistake in what the user said.
type UsageError struct{ msg string }

func (e UsageError) Error() string { return e.msg }

// Usage returns a UsageError.
func Usage(format string, args ...any) error { return UsageError{fmt.Sprintf(format, args...)} }
