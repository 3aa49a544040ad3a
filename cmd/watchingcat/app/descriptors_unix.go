//go:build unix

package app

import "syscall"

// openFiles is the limit of open files. Go raises it to the hard limit when the process begins.
func openFiles() int {
	var l syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l); err != nil || uint64(l.Cur) > 1<<20 { //nolint:unconvert // the type differs between systems
		return 1 << 20
	}
	return int(l.Cur) //nolint:gosec // it fits
}
