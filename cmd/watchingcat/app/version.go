package app

import "runtime/debug"

// Release is the version of a released binary; main sets it before anything runs. Empty: that of the build.
var Release string

// Version is that of the program.
func Version() string {
	if Release != "" {
		return Release
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
