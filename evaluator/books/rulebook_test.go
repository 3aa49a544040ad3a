package books

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/gaurav/watchingcat/evaluator/evaltest"
)

// Users learn of a template that goes beyond a bound when they save its rule.
func TestTemplatesOfRulesAreChecked(t *testing.T) {
	for name, text := range evaltest.TemplateBombs {
		spec := RuleSpec{Name: "x", Expr: "vector(1)", Annotations: map[string]string{"a": text}}
		_, err := spec.Source()
		if name == "queries" {
			continue // how many it makes depends on what they return
		}
		require.ErrorIs(t, err, ErrRuleInvalid, name)
		require.ErrorContains(t, err, "beyond the bound", name)
	}
}
