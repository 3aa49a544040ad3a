// Package licenses holds the test that knows the licence of everything in the binary and the page.
package licenses
