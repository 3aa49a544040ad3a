package evaltest

import (
	"fmt"
	"strings"
)

// TemplateBombs are templates that ended the process, or would take all its memory or time.
var TemplateBombs = map[string]string{
	"padding":       `{{printf "` + strings.Repeat("%1000000d", 17) + `"` + strings.Repeat(" 1", 17) + `}}`,
	"star":          `{{printf "%*d" 1000000 1}}`,
	"precision":     `{{printf "%.900000f" 1.0}}`,
	"loops of text": `{{range 9999}}{{range 9999}}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{{end}}{{end}}`,
	"quoting":       `{{$x := "\\"}}` + strings.Repeat(`{{$x = printf "%q" $x}}`, 60),
	"js":            `{{$x := "\\"}}` + strings.Repeat(`{{$x = js $x}}`, 60),
	"empty groups":  `{{reReplaceAll "` + strings.Repeat("((a?){30}){30}", 12) + `" "" (printf "%0200000d" 1)}}`,
	"named":         `{{printf "%[1]*[1]d" 1000000}}`,
	"doubling":      `{{$x := "aaaaaaaaaaaaaaaa"}}` + strings.Repeat(`{{$x = print $x $x}}`, 40) + `{{$x}}`,
	"replacing":     `{{$x := "aaaaaaaaaaaaaaaa"}}` + strings.Repeat(`{{$x = reReplaceAll "a" "aaaa" $x}}`, 20) + `{{$x}}`,
	"group":         `{{$x := "aaaaaaaaaaaaaaaa"}}` + strings.Repeat(`{{$x = reReplaceAll "(.*)" "$1$1$1$1" $x}}`, 20) + `{{len $x}}`,
	"escaping":      `{{$x := "<<<<<<<<<<<<<<<<"}}` + strings.Repeat(`{{$x = html $x $x $x}}`, 20) + `{{len $x}}`,
	"maps":          `{{$x := args "a" "b"}}` + strings.Repeat(`{{$x = args $x $x}}`, 60) + `{{$x}}`,
	"maps, printed": `{{$x := args "a" "b"}}` + strings.Repeat(`{{$x = args $x $x}}`, 60) + `{{len (print $x)}}`,
	"loop":          `{{range 1000000000}}{{end}}`,
	"loops":         `{{range 10000}}{{range 10000}}{{range 10000}}{{end}}{{end}}{{end}}`,
	"looped text":   `{{range 90000}}some text{{end}}`,
	"calls":         `{{define "a"}}{{template "a" .}}{{template "a" .}}{{end}}{{template "a" .}}`,
	"tree":          `{{define "z"}}{{end}}` + tree(20) + `{{template "t20"}}`,
	"queries":       `{{range 1000}}{{query "vector(1)"}}{{end}}`,
	"regexp": `{{$x := "aaaaaaaaaaaaaaaa"}}` + strings.Repeat(`{{$x = print $x $x}}`, 12) + `{{range 1000}}{{if match "` +
		strings.Repeat("(.?){900}", 5) + `z" $x}}{{end}}{{end}}`,
	"large regexp": `{{match "` + strings.Repeat("a{1000}", 300) + `" "a"}}`,
	"long":         strings.Repeat("x", 70_000),
}

// tree is a template that calls 2^depth others.
func tree(depth int) string {
	text := `{{define "t0"}}{{end}}`
	for i := 1; i <= depth; i++ {
		text += fmt.Sprintf(`{{define "t%d"}}{{template "t%d"}}{{template "t%d"}}{{end}}`, i, i-1, i-1)
	}
	return text
}
