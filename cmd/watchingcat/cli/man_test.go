package cli

import (
	"bytes"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/cmd/watchingcat/config"
)

// manual writes the pages and returns them by name.
func manual(t *testing.T) map[string]string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "new", "man")
	var out bytes.Buffer
	require.Equal(t, exitOK, run(t.Context(), []string{"man", dir}, &out, &out), out.String())
	pages := map[string]string{}
	require.NoError(t, filepath.WalkDir(dir, func(file string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(file)
		name := filepath.Base(file)
		pages[name] = string(b)
		require.Equal(t, "man"+name[len(name)-1:], filepath.Base(filepath.Dir(file)))
		return err
	}))
	return pages
}

// TestManual: every command has a page with its flags, every setting is in watchingcat.yml(5), and the pages depend on SOURCE_DATE_EPOCH and
// not on the time.
func TestManual(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	pages := manual(t)
	root := rootCommand()
	root.InitDefaultCompletionCmd()
	want := []string{"watchingcat.yml.5"}
	var walk func(c *cobra.Command)
	walk = func(c *cobra.Command) {
		name := manName(c) + ".1"
		want = append(want, name)
		for _, part := range []string{".SH NAME", ".SH SYNOPSIS", ".SH DESCRIPTION", ".SH OPTIONS", ".SH EXIT STATUS", ".SH SEE ALSO"} {
			require.Contains(t, pages[name], "\n"+part+"\n", name)
		}
		if c.Example != "" {
			require.Contains(t, pages[name], "\n.SH EXAMPLES\n")
		}
		for _, s := range strings.Fields(c.Annotations[config.ShownSettings]) {
			require.Contains(t, pages[name], config.EnvPrefix+strings.ToUpper(s))
		}
		for _, sub := range c.Commands() {
			if sub.IsAvailableCommand() {
				walk(sub)
			}
		}
	}
	walk(root)
	for _, s := range config.Settings() {
		require.Contains(t, pages["watchingcat.yml.5"], "\\fB"+s.Name+"\\fR", s.Name)
	}
	for name, text := range pages {
		require.Contains(t, want, name)
		require.Contains(t, strings.SplitN(text, "\n", 2)[0], `"2023-11-14"`)
		for line := range strings.Lines(text) {
			if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
				require.Regexp(t, `^\.(TH|ad|SH|SS|TP|PP|br|nf|fi|RS|RE)( |\n)`, line, name)
			}
			for _, escape := range regexp.MustCompile(`\\.`).FindAllString(line, -1) {
				require.Contains(t, []string{`\f`, `\-`, `\e`, `\(`, `\&`}, escape, line)
			}
		}
	}
	require.Len(t, pages, len(want))
	require.Equal(t, pages, manual(t))
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	var out bytes.Buffer
	require.Equal(t, exitUsage, run(t.Context(), []string{"man", t.TempDir()}, &out, &out))
}

// TestManualIsWellFormed: the programs that show manuals have no complaint.
func TestManualIsWellFormed(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1700000000")
	pages := manual(t)
	linters := map[string][]string{"mandoc": {"-T", "lint", "-W", "style"}, "groff": {"-man", "-ww", "-z", "-T", "utf8"}}
	for program, args := range linters {
		path, err := exec.LookPath(program)
		if err != nil {
			t.Logf("%s is not installed", program)
			continue
		}
		for name, text := range pages {
			cmd := exec.CommandContext(t.Context(), path, args...)
			cmd.Stdin = strings.NewReader(text)
			out, _ := cmd.CombinedOutput()
			for line := range strings.Lines(string(out)) { // pages are longer than a line of text in a file
				if !strings.Contains(line, "longer than 80 bytes") && !strings.Contains(line, "referenced manual not found") {
					t.Errorf("%s of %s: %s", program, name, line)
				}
			}
		}
	}
}

// TestCompletions: shells accept their scripts, and the scripts get commands, flags and values of flags from the program.
func TestCompletions(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish"} {
		var out bytes.Buffer
		require.Equal(t, exitOK, run(t.Context(), []string{"completion", shell}, &out, &out))
		require.Contains(t, out.String(), "__complete")
		path, err := exec.LookPath(shell)
		if err != nil {
			t.Logf("%s is not installed", shell)
			continue
		}
		cmd := exec.CommandContext(t.Context(), path, "-n", writeFile(t, "completion", out.String()))
		text, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s: %s", shell, text)
	}
	complete := func(args ...string) []string {
		var out bytes.Buffer
		require.Equal(t, exitOK, run(t.Context(), append([]string{"__complete"}, args...), &out, &out))
		return slices.DeleteFunc(strings.Split(out.String(), "\n"), func(s string) bool { return s == "" })
	}
	require.Contains(t, strings.Join(complete("se"), "\n"), "serve\t")
	require.Contains(t, strings.Join(complete("serve", "--kafka-br"), "\n"), "--kafka-brokers\t")
}
