package views_test

import (
	"testing"

	"github.com/cockroachdb/datadriven"

	"github.com/gaurav/watchingcat/views/viewstest"
)

func TestScripts(t *testing.T) { datadriven.Walk(t, "testdata", viewstest.Run) }
