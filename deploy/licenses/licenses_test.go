package licenses

import (
	"bytes"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/licensecheck"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var update = flag.Bool("update", false, "write deploy/docs/licenses.md")

const document = "../docs/licenses.md"

// allowed are the licences whose terms a program under Apache-2.0 can keep by naming them.
var allowed = []string{"0BSD", "Apache-2.0", "BlueOak-1.0.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC-BY-4.0", "CC0-1.0", "ISC", "MIT", "MPL-2.0", "OFL-1.1", "Unlicense", "Zlib"}

// part is a library and its licences.
type part struct{ name, version, licence string }

// modules are those of which a package is in the binary.
func modules(t *testing.T) (list []part) {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "-f", "{{with .Module}}{{.Path}}\t{{.Version}}\t{{.Dir}}{{end}}", "./cmd/watchingcat")
	cmd.Dir = "../.."
	cmd.Env = append(os.Environ(), "GOOS=linux", "GOARCH=amd64", "CGO_ENABLED=0") // as the image is built
	var problems bytes.Buffer
	cmd.Stderr = &problems
	out, err := cmd.Output()
	require.NoError(t, err, "%s", &problems)
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	slices.Sort(lines)
	for _, line := range slices.Compact(lines) {
		f := strings.Split(line, "\t")
		if len(f) != 3 || f[1] == "" { // our own
			continue
		}
		list = append(list, part{f[0], f[1], ofFolder(t, f[2])})
	}
	require.Greater(t, len(list), 50)
	return list
}

// ofFolder are the licences that the files of a module's root hold.
func ofFolder(t *testing.T, dir string) string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var found []string
	for _, e := range entries {
		name := strings.ToUpper(e.Name())
		if e.IsDir() || !strings.HasPrefix(name, "LICENSE") && !strings.HasPrefix(name, "LICENCE") && !strings.HasPrefix(name, "COPYING") &&
			!strings.HasPrefix(name, "UNLICENSE") {
			continue
		}
		text, err := os.ReadFile(filepath.Join(dir, e.Name()))
		require.NoError(t, err)
		for _, m := range licensecheck.Scan(text).Match {
			found = append(found, m.ID)
		}
	}
	slices.Sort(found)
	return strings.Join(slices.Compact(found), ", ")
}

// packages are those that the page is built from.
func packages(t *testing.T) (list []part) {
	t.Helper()
	text, err := os.ReadFile("../../api/ui/package-lock.json")
	require.NoError(t, err)
	var lock struct {
		Packages map[string]struct {
			Version, License string
			Dev, Optional    bool
		}
	}
	require.NoError(t, json.Unmarshal(text, &lock))
	for path, p := range lock.Packages {
		_, name, ok := cutLast(path, "node_modules/")
		if ok && !p.Dev && !p.Optional {
			list = append(list, part{name, p.Version, p.License})
		}
	}
	slices.SortFunc(list, func(a, b part) int { return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.version, b.version)) })
	require.Greater(t, len(list), 20)
	return slices.Compact(list)
}

func cutLast(s, sep string) (before, after string, ok bool) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+len(sep):], true
}

// TestLicenses: every library has a licence whose terms are kept, and the document names all of them.
func TestLicenses(t *testing.T) {
	var b strings.Builder
	b.WriteString("# Licences\n\n<!-- written by `make update` -->\n\nWatchingCat is under the Apache License 2.0. The binary and the page contain these libraries.\n")
	for _, section := range []struct {
		title string
		parts []part
	}{{"Go modules in the binary", modules(t)}, {"Packages in the page", packages(t)}} {
		fmt.Fprintf(&b, "\n## %s\n\n| library | version | licence |\n|---|---|---|\n", section.title)
		for _, p := range section.parts {
			assert.NotEmpty(t, p.licence, "%s has no licence that is known: read it, and replace the library or add what it is here", p.name)
			for one := range strings.SplitSeq(p.licence, ", ") {
				choice := strings.Split(strings.Trim(one, "()"), " OR ")
				assert.True(t, slices.ContainsFunc(choice, func(l string) bool { return slices.Contains(allowed, l) }), "%s %s: %s", p.name, p.version, one)
			}
			fmt.Fprintf(&b, "| %s | %s | %s |\n", p.name, p.version, p.licence)
		}
	}
	if *update {
		require.NoError(t, os.WriteFile(document, []byte(b.String()), 0o600))
	}
	want, err := os.ReadFile(document)
	require.NoError(t, err)
	require.Equal(t, string(want), b.String(), "`make update` writes %s", document)
}
