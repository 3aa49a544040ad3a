package mcp

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"
)

// maxAnswer is how many bytes an answer has at most: 4,000 tokens, at three bytes each.
const maxAnswer = 12_000

const (
	longText  = 300 // bytes of a text from which on it may be cut
	digits    = 4   // of numbers that are not whole
	leastList = 1   // elements that a list keeps
)

// shorten is an answer as JSON of at most so many bytes: without empty texts and objects, numbers rounded. Where that is not enough, the largest list loses
// its second half, or if it is points over time every other one, until it is; then long texts are cut. "shortened" says what was left out.
func shorten(v any, most int) string {
	root := map[string]any{}
	switch p := plain(v).(type) {
	case map[string]any:
		root = p
	case nil:
	default:
		root["answer"] = p
	}
	cuts := map[string]any{}
	for {
		b, err := json.Marshal(root)
		if err != nil {
			return err.Error() // cannot happen: it was decoded from JSON
		}
		if len(b) <= most {
			return string(b)
		}
		var big, long part
		find(root, "", nil, &big, &long)
		switch {
		case big.set != nil:
			big.halve(cuts)
		case long.set != nil:
			text := long.v.(string)
			long.set(strings.ToValidUTF8(text[:len(text)/2], "") + "…")
			cuts[long.path] = "cut"
		default:
			return string(b[:max(0, most-len(tooLarge))]) + tooLarge
		}
		root["shortened"] = cuts
	}
}

const tooLarge = " … the rest is left out: narrow the question"

// part is a value within an answer.
type part struct {
	path string
	v    any
	size int // bytes, about
	set  func(v any)
}

// find finds the largest list and the longest text, and returns how large a value is.
func find(v any, path string, set func(any), big, long *part) (size int) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			if k == "shortened" {
				continue
			}
			at := k
			if path != "" {
				at = path + "." + k
			}
			size += len(k) + 4 + find(x, at, func(n any) { v[k] = n }, big, long)
		}
		return size + 2
	case []any:
		for i, x := range v {
			size += 1 + find(x, path, func(n any) { v[i] = n }, big, long)
		}
		if size += 2; len(v) > leastList && set != nil && (size > big.size || size == big.size && path < big.path) {
			*big = part{path, v, size, set}
		}
		return size
	case string:
		if len(v) > longText && set != nil && (len(v) > long.size || len(v) == long.size && path < long.path) {
			*long = part{path, v, len(v), set}
		}
		return len(v) + 2
	case json.Number:
		return len(v)
	}
	return 5
}

// halve takes half of the elements out of a list.
func (p *part) halve(cuts map[string]any) {
	list := p.v.([]any)
	left := list[:max(leastList, len(list)/2)]
	if isPoints(list) {
		left = nil
		for i := 1; i < len(list); i += 2 { // the newest stays
			left = append(left, list[len(list)-i])
		}
		for i, j := 0, len(left)-1; i < j; i, j = i+1, j-1 {
			left[i], left[j] = left[j], left[i]
		}
	}
	of := len(list)
	if before, ok := cuts[p.path].(string); ok {
		if _, err := fmt.Sscanf(before, "%d of %d", new(int), &of); err != nil {
			of = len(list)
		}
	}
	cuts[p.path] = fmt.Sprintf("%d of %d", len(left), max(of, len(list)))
	p.set(left)
}

// isPoints reports whether a list is of points over time, as Prometheus writes them: pairs of a time and a value.
func isPoints(list []any) bool {
	pair, ok := list[0].([]any)
	if !ok || len(pair) != 2 {
		return false
	}
	_, ok = pair[0].(json.Number)
	return ok
}

// plain is a value without texts, objects and nulls that are empty, with numbers rounded and text that is valid.
func plain(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if x = plain(x); x != nil {
				out[k] = x
			}
		}
		if len(out) == 0 {
			return nil
		}
		return out
	case []any:
		out := make([]any, 0, len(v))
		for _, x := range v {
			if x = plain(x); x != nil {
				out = append(out, x)
			}
		}
		return out // an empty list is an answer
	case string:
		if v == "" {
			return nil
		}
		if !utf8.ValidString(v) {
			return strings.ToValidUTF8(v, "\uFFFD")
		}
		return v
	case json.Number:
		if f, err := v.Float64(); err == nil && strings.ContainsAny(string(v), ".eE") {
			return json.Number(strconv.FormatFloat(f, 'g', max(digits, whole(f)), 64))
		}
		return v
	}
	return v
}

// whole is how many digits a number has before the point.
func whole(f float64) int {
	return len(strconv.FormatFloat(f, 'f', 0, 64))
}
