// Command watchingcat keeps live views of what OpenTelemetry Collectors export to Kafka, evaluates alert rules on them and answers
// dashboards. `watchingcat help` lists its commands.
package main

import (
	"os"

	"github.com/gaurav/watchingcat/cmd/watchingcat/cli"
)

// release is set by the linker for released binaries.
var release string

func main() { os.Exit(cli.Main(release)) }
