//go:build !unix

package app

// openFiles is large where there is no limit to be found.
func openFiles() int { return 1 << 20 }
