package cli

import (
	"cmp"

	"github.com/stretchr/testify/require"

	"os"
	"strings"
	"testing"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

const settingsDocument = "../../../deploy/docs/settings.md"

// TestSettingsDocument holds deploy/docs/settings.md: it is written from the settings themselves, by -update.
func TestSettingsDocument(t *testing.T) {
	var out strings.Builder
	out.WriteString("# Settings\n\n<!-- written by `make update` from the program's settings -->\n\n" +
		"Each setting has three names: in the file of `--config` (`kafka_brokers`), in the environment (`WATCHINGCAT_KAFKA_BROKERS`) and as a flag\n" +
		"(`--kafka-brokers`). A flag takes precedence over the environment, which takes precedence over the file. Secrets have no flag: set the\n" +
		"variable, or the variable with `_FILE` appended to the name of a file that holds the secret.\n\n" +
		"`watchingcat config print` prints the values in effect with the origin of each, as a file that `--config` reads. `watchingcat serve --help`\n" +
		"shows the same list. Durations are Go's (`90s`, `1h30m`);\n" +
		"`WATCHINGCAT_RETENTION_1H` and `WATCHINGCAT_RETENTION_METRICS` also take days (`7d`). Sizes are `512MiB` or `1GiB`.\n")
	cell := strings.NewReplacer("|", `\|`, "*.", `\*.`, " * ", ` \* `)
	code := strings.NewReplacer("|", `\|`)
	defaults := config.Default()
	config.ByGroup(config.Settings(), func(title string, of []config.Setting) {
		out.WriteString("\n## " + title + "\n\n| environment variable | kind | default | meaning |\n|---|---|---|---|\n")
		for _, s := range of {
			value := strings.TrimSuffix(strings.TrimPrefix(strings.TrimSpace(defaultOf(defaults, s)), "(default "), ")")
			if value != "" {
				value = "`" + code.Replace(value) + "`"
			}
			out.WriteString("| `" + s.Env() + "` | " + cell.Replace(s.Arg) + " | " + cmp.Or(value, "not set") + " | " +
				cell.Replace(s.Help) + " |\n")
		}
	})
	if *update {
		require.NoError(t, os.WriteFile(settingsDocument, []byte(out.String()), 0o600))
	}
	b, err := os.ReadFile(settingsDocument)
	require.NoError(t, err)
	if string(b) != out.String() {
		t.Errorf("%s is not that of the settings; `make update` writes it", settingsDocument)
	}
}
