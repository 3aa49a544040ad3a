// Package apptest holds what tests of the process and of the command line have in common.
package apptest
