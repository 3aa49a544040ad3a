package drain

import (
	"testing"

	"github.com/gaurav/watchingcat/views/model"
)

func TestMessagePattern(t *testing.T) {
	for in, want := range map[string]string{
		"no answer after 300 ms":                   "no answer after <*> ms",
		"took 3.878ms at 10:15:02, again 1,000 of": "took <*> at <*>, again <*> of",
		`user "anna" of 'shop' is not`:             `user "<*>" of '<*>' is not`,
		"it's 5 o'clock":                           "it's <*> o'clock",
		"id 4bf92f35-77b3 gone":                    "id <*> gone",
		"first line\nsecond":                       "first line",
		"":                                         "",
		"7 8 9":                                    "<*> <*> <*>",
		"grüße an 3":                               "grüße an <*>",
		`open "quote`:                              `open "quote`,
	} {
		if got := string(MessagePattern([]byte(in))); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

// FuzzMessagePattern: a pattern is bounded, of one line, and the pattern of itself.
func FuzzMessagePattern(f *testing.F) {
	f.Add([]byte("a 1.2 \"b\" c"))
	f.Fuzz(func(t *testing.T, m []byte) {
		p := MessagePattern(m)
		if len(p) > model.MaxLabel {
			t.Fatalf("%d bytes", len(p))
		}
		for _, c := range p {
			if c == '\n' || c == '\r' {
				t.Fatalf("%q has more than one line", p)
			}
		}
	})
}
