// Package packages holds the tests of what WatchingCat is installed with: the Helm chart and the unit of systemd.
package packages
