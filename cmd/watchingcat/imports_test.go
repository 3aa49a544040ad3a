package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/gaurav/watchingcat/"

// may says which rooms each room may import, and why not the others. Data goes one way; so do imports.
var may = map[string]struct {
	rooms  []string
	reason string
}{
	"storage":   {nil, "storage keeps bytes and knows nothing of what they mean, so that a simulation can replace it"},
	"views":     {[]string{"storage"}, "views are a function of records: no Kafka, no HTTP, no clock, so that a replay gives the same"},
	"pipeline":  {[]string{"storage", "views"}, "the pipeline knows nobody downstream: views tell who wants to know"},
	"evaluator": {[]string{"storage", "views"}, "rules read views and write state; who is told is notify's business"},
	"notify":    {[]string{"storage", "evaluator"}, "notify drains the outbox; it never looks at telemetry"},
	"docs":      {nil, "the documents are text"},
	"api":       {[]string{"storage", "views", "evaluator", "notify", "docs"}, "the API knows no Kafka: it declares what it needs and cmd adapts"},
	"cmd":       {[]string{"storage", "views", "pipeline", "evaluator", "notify", "api"}, "only cmd wires everything"},
	"deploy":    {[]string{"storage", "views", "pipeline", "evaluator", "notify", "api", "cmd"}, "tests against real servers may look at everything"},
}

func room(path string) string {
	rest, ok := strings.CutPrefix(path, module)
	if !ok {
		return ""
	}
	if rest == "deploy/docs" {
		return "docs" // the only part of deploy that is in the binary
	}
	r, _, _ := strings.Cut(rest, "/")
	return r
}

func TestImportsGoOneWay(t *testing.T) {
	out, err := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...").Output()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for d := json.NewDecoder(strings.NewReader(string(out))); d.More(); {
		var p struct {
			ImportPath string
			Imports    []string
		}
		if err := d.Decode(&p); err != nil {
			t.Fatal(err)
		}
		from := room(p.ImportPath)
		seen[from] = true
		rule, ok := may[from]
		if !ok {
			t.Errorf("%s is in no known room: the top-level folders are given", p.ImportPath)
		}
		for _, i := range p.Imports {
			if to := room(i); to != "" && to != from && !slices.Contains(rule.rooms, to) {
				t.Errorf("%s imports %s: %s", p.ImportPath, i, rule.reason)
			}
		}
	}
	for r := range may {
		if !seen[r] && r != "deploy" {
			t.Errorf("no package in %s was looked at", r)
		}
	}
}

// forbidden are packages that a room must not import, standard ones included.
var forbidden = map[string]map[string]string{
	"views": {"os": "no I/O in views", "net": "no I/O in views", "net/http": "no I/O in views", "math/rand": "views are deterministic", "math/rand/v2": "views are deterministic"},
	"api":   {"github.com/twmb/franz-go/pkg/kgo": "api knows no Kafka"},
}

func TestForbiddenImports(t *testing.T) {
	for r, list := range forbidden {
		out, err := exec.Command("go", "list", "-f", `{{join .Imports "\n"}}`, module+r).Output()
		if err != nil {
			t.Fatal(err)
		}
		for i := range strings.Lines(string(out)) {
			if reason, bad := list[strings.TrimSpace(i)]; bad {
				t.Errorf("%s imports %s: %s", r, strings.TrimSpace(i), reason)
			}
		}
	}
}
