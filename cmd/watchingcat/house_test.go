package main

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// What a reader has to take in at once is bounded, except where a reason says why not.
const (
	packageLines  = 4000
	fileLines     = 500
	functionLines = 70
	columns       = 140 // a tab counts as four
)

// longer are the packages, files and functions that are over a bound, and why.
var longer = map[string]string{
	"pipeline/otlp/scan.go oneSpan": "the hot path: one switch over the fields of a span, without calls",
}

// goPackage is what `go list` says of a package of ours.
type goPackage struct {
	Dir, ImportPath                                    string
	Imports                                            []string
	GoFiles, TestGoFiles, XTestGoFiles, IgnoredGoFiles []string
}

var listed = sync.OnceValues(func() (list []goPackage, err error) {
	out, err := exec.Command("go", "list", "-json=Dir,ImportPath,Imports,GoFiles,TestGoFiles,XTestGoFiles,IgnoredGoFiles", module+"...").Output()
	if err != nil {
		return nil, err
	}
	for d := json.NewDecoder(bytes.NewReader(out)); d.More(); {
		var p goPackage
		if err := d.Decode(&p); err != nil {
			return nil, err
		}
		list = append(list, p)
	}
	return list, nil
})

func packages(t *testing.T) []goPackage {
	t.Helper()
	list, err := listed()
	require.NoError(t, err)
	return list
}

// sourceFile is a file that was written by hand.
type sourceFile struct {
	path  string // below the module
	text  string
	lines int
	fset  *token.FileSet
	ast   *ast.File
}

func sourceFiles(t *testing.T, p goPackage, names []string) (list []sourceFile) {
	t.Helper()
	for _, name := range names {
		text, err := os.ReadFile(filepath.Join(p.Dir, name))
		require.NoError(t, err)
		f := sourceFile{path: strings.TrimPrefix(p.ImportPath+"/"+name, module), lines: bytes.Count(text, []byte("\n")),
			fset: token.NewFileSet()}
		if f.ast, err = parser.ParseFile(f.fset, name, text, parser.ParseComments|parser.SkipObjectResolution); err != nil {
			t.Fatal(err)
		}
		if !ast.IsGenerated(f.ast) {
			list = append(list, f)
		}
	}
	return list
}

func TestSizes(t *testing.T) {
	used := map[string]bool{}
	check := func(what string, lines, bound int) {
		t.Helper()
		if lines <= bound {
			return
		}
		if used[what] = true; longer[what] == "" {
			t.Errorf("%s has %d lines; more than %d are too much to read at once", what, lines, bound)
		}
	}
	for _, p := range packages(t) {
		all := 0
		for _, f := range sourceFiles(t, p, p.GoFiles) {
			all += f.lines
			check(f.path, f.lines, fileLines)
			for _, d := range f.ast.Decls {
				if fn, ok := d.(*ast.FuncDecl); ok {
					check(f.path+" "+fn.Name.Name, f.fset.Position(fn.End()).Line-f.fset.Position(fn.Pos()).Line+1, functionLines)
				}
			}
		}
		check(strings.TrimPrefix(p.ImportPath, module), all, packageLines)
	}
	for what := range longer {
		if !used[what] {
			t.Errorf("%s is no longer over a bound: it needs no exception", what)
		}
	}
}

// TestColumns: a line is read without moving the eyes twice. A text that is one string, or a tag, may be longer.
func TestColumns(t *testing.T) {
	for _, p := range packages(t) {
		for _, f := range sourceFiles(t, p, slices.Concat(p.GoFiles, p.TestGoFiles, p.XTestGoFiles, p.IgnoredGoFiles)) {
			whole := map[int]bool{} // lines with a string that is not broken
			ast.Inspect(f.ast, func(n ast.Node) bool {
				if s, ok := n.(*ast.BasicLit); ok && s.Kind == token.STRING && len(s.Value) > columns/4 {
					for l := f.fset.Position(s.Pos()).Line; l <= f.fset.Position(s.End()).Line; l++ {
						whole[l] = true
					}
				}
				return true
			})
			for i, line := range strings.Split(f.text, "\n") {
				if n := utf8.RuneCountInString(line) + 3*strings.Count(line, "\t"); n > columns && !whole[i+1] {
					t.Errorf("%s:%d has %d columns", f.path, i+1, n)
				}
			}
		}
	}
}

// TestNamesDifferByMoreThanCase: Set and set in one package are two things that a reader takes for one.
func TestNamesDifferByMoreThanCase(t *testing.T) {
	for _, p := range packages(t) {
		by := map[string][]string{}
		for _, f := range sourceFiles(t, p, p.GoFiles) {
			for _, name := range declared(f.ast) {
				if key := strings.ToLower(name); !slices.Contains(by[key], name) {
					by[key] = append(by[key], name)
				}
			}
		}
		for _, names := range by {
			if len(names) > 1 && names[0] != "_" {
				t.Errorf("%s: %s differ by case alone", p.ImportPath, strings.Join(names, " and "))
			}
		}
	}
}

// declared are the names that a file adds to its package.
func declared(f *ast.File) (names []string) {
	for _, d := range f.Decls {
		switch d := d.(type) {
		case *ast.FuncDecl:
			if d.Recv == nil {
				names = append(names, d.Name.Name)
			}
		case *ast.GenDecl:
			for _, s := range d.Specs {
				switch s := s.(type) {
				case *ast.TypeSpec:
					names = append(names, s.Name.Name)
				case *ast.ValueSpec:
					for _, n := range s.Names {
						names = append(names, n.Name)
					}
				}
			}
		}
	}
	return names
}
