// Package docs holds the documents for users. api serves them under /docs.
package docs

import "embed"

// FS holds the documents, Markdown, and the files that they show.
//
//go:embed *.md *.png *.css
var FS embed.FS

// Repository is where files outside of this folder, to which documents link, can be read.
const Repository = "https://github.com/gaurav/watchingcat/blob/main/"
