package drain

import "github.com/gaurav/watchingcat/views/model"

// MessagePattern is a message without what differs from one occurrence to the next: words with digits, and quoted parts, become
// <*>. It is of the first line alone and has at most maxLabel bytes.
func MessagePattern(m []byte) []byte { return maskMessage(m, model.MaxLabel) }

func maskMessage(m []byte, limit int) []byte {
	out := make([]byte, 0, min(len(m), limit)+8)
	wild := func() {
		if len(out) < 3 || string(out[len(out)-3:]) != "<*>" {
			out = append(out, "<*>"...)
		}
	}
	for i := 0; i < len(m) && len(out) < limit; {
		c := m[i]
		switch {
		case c == '\n' || c == '\r':
			return out // what follows is a stack trace or a detail
		case (c == '"' || c == '\'' || c == '`') && (i == 0 || !isWord(m[i-1])):
			end := i + 1
			for end < len(m) && m[end] != c && m[end] != '\n' {
				end++
			}
			if end < len(m) && m[end] == c {
				out = append(out, c)
				wild()
				out = append(out, c)
				i = end + 1
				continue
			}
			out = append(out, c)
			i++
		case isWord(c):
			end, digit := i, false
			for end < len(m) && (isWord(m[end]) || digit && isJoint(m[end:])) {
				digit = digit || m[end] >= '0' && m[end] <= '9'
				end++
			}
			if digit {
				wild()
			} else {
				out = append(out, m[i:end]...)
			}
			i = end
		default:
			out = append(out, c)
			i++
		}
	}
	return out[:min(len(out), limit)]
}

// isJoint reports whether b begins with what holds numbers together: 3.14, 10:15, 1,000.
func isJoint(b []byte) bool {
	return len(b) > 1 && (b[0] == '.' || b[0] == ':' || b[0] == ',') && b[1] >= '0' && b[1] <= '9'
}

// isWord reports whether c belongs to a word; letters of other scripts do.
func isWord(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' || c == '-' || c >= 0x80
}
