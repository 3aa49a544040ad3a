// Package packages holds the tests of what WatchingCat is installed with: the Helm chart, the Kustomize base, the unit of systemd, the Compose
// file, the image, Linux packages and archives, and the commands of README.md.
package packages
