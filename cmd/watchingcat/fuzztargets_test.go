package main

import (
	"go/ast"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestFuzzTargetsAreListed: deploy/docs/security.md lists every fuzz target, and none that does not exist.
func TestFuzzTargetsAreListed(t *testing.T) {
	var exist, listed []string
	for _, p := range packages(t) {
		for _, f := range sourceFiles(t, p, slices.Concat(p.TestGoFiles, p.XTestGoFiles)) {
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok && fn.Recv == nil && strings.HasPrefix(fn.Name.Name, "Fuzz") {
					exist = append(exist, strings.TrimPrefix(p.ImportPath, module)+" "+fn.Name.Name)
				}
			}
		}
	}
	text, err := os.ReadFile("../../deploy/docs/security.md")
	require.NoError(t, err)
	_, table, found := strings.Cut(string(text), "\n## Fuzz targets\n")
	require.True(t, found)
	for _, of := range regexp.MustCompile("`([a-z0-9/]+)` (Fuzz[A-Za-z0-9, ]+)").FindAllStringSubmatch(table, -1) {
		for name := range strings.SplitSeq(of[2], ",") {
			listed = append(listed, of[1]+" "+strings.TrimSpace(name))
		}
	}
	require.NotEmpty(t, exist)
	require.ElementsMatch(t, exist, listed)
}
