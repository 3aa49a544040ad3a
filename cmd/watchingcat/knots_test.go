package main

import (
	"go/token"
	"go/types"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	gopackages "golang.org/x/tools/go/packages"
)

// knotFiles is how many files of a package may depend on each other in a circle: they have to be read together.
const knotFiles = 10

// TestKnots: most files of a package can be read one after the other, the lower ones first.
func TestKnots(t *testing.T) {
	if testing.Short() {
		t.Skip("it reads the types of the larger packages")
	}
	var paths []string
	for _, p := range packages(t) {
		if len(p.GoFiles) > knotFiles {
			paths = append(paths, p.ImportPath)
		}
	}
	require.NotEmpty(t, paths)
	list, err := gopackages.Load(&gopackages.Config{Mode: gopackages.NeedName | gopackages.NeedSyntax | gopackages.NeedFiles |
		gopackages.NeedCompiledGoFiles | gopackages.NeedImports | gopackages.NeedExportFile | gopackages.NeedTypes |
		gopackages.NeedTypesInfo}, paths...)
	require.NoError(t, err)
	for _, p := range list {
		require.Empty(t, p.Errors)
		if knot := largestKnot(uses(p)); len(knot) > knotFiles {
			t.Errorf("%s: %d files depend on each other, at most %d may: %s", strings.TrimPrefix(p.PkgPath, module), len(knot), knotFiles,
				strings.Join(knot, ", "))
		}
	}
}

// uses says by which files of a package each file uses functions, methods, types, constants and variables.
func uses(p *gopackages.Package) map[string][]string {
	file := func(at token.Pos) string { return filepath.Base(p.Fset.Position(at).Filename) }
	out := map[string][]string{}
	for id, o := range p.TypesInfo.Uses {
		_, function := o.(*types.Func)
		if o.Pkg() != p.Types || !function && o.Parent() != p.Types.Scope() {
			continue
		}
		if from, to := file(id.Pos()), file(o.Pos()); from != to && !slices.Contains(out[from], to) {
			out[from] = append(out[from], to)
		}
	}
	return out
}

// largestKnot is the largest set of files of which each reaches each other, by Tarjan's algorithm.
func largestKnot(uses map[string][]string) (largest []string) {
	number, low, open := map[string]int{}, map[string]int{}, []string{}
	var visit func(f string)
	visit = func(f string) {
		number[f] = len(number) + 1
		low[f] = number[f]
		open = append(open, f)
		for _, to := range uses[f] {
			if number[to] == 0 {
				visit(to)
				low[f] = min(low[f], low[to])
			} else if slices.Contains(open, to) {
				low[f] = min(low[f], number[to])
			}
		}
		if low[f] == number[f] {
			i := slices.Index(open, f)
			if len(open)-i > len(largest) {
				largest = slices.Sorted(slices.Values(open[i:]))
			}
			open = open[:i]
		}
	}
	for f := range uses {
		if number[f] == 0 {
			visit(f)
		}
	}
	return largest
}

func TestLargestKnot(t *testing.T) {
	require.Equal(t, []string{"b", "c", "d"}, largestKnot(map[string][]string{"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b", "e"}, "e": {"f"},
		"f": {"e"}}))
	require.Len(t, largestKnot(map[string][]string{"a": {"b"}}), 1)
}
