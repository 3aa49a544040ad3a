package views

// What is derived from spans beside RED and the service map: exceptions, database calls, messaging, versions.

// versionSeen is a staged count of spans of one version of a service in one bucket.
type versionSeen struct {
	service, version []byte
	bucket           int64
	tallied
	last uint64
}

func (v *versionSeen) apply() {
	c := v.cell
	c.observe(&v.tallied)
	c.seen(v.at, v.last)
}

// derive stages what a span means to the tables.
func (a *Accumulator) derive(r *Resource, s *Span, o *observation) {
	if len(r.Version) > 0 {
		a.version(r, s, o)
	}
	for i := range s.Exceptions {
		e := &s.Exceptions[i]
		key := appendLabel(a.key[:0], r.Service)
		key = appendLabel(key, s.Name)
		key = appendLabel(key, e.Type)
		key = appendLabel(key, messagePattern(e.Message))
		a.key = appendLabel(key, sourceSpan)
		a.tally(TableErrors, tallied{n: o.n, failed: s.Status == StatusError, at: o.ex.End, ex: o.ex, text: cutText(e.Message)})
	}
	switch {
	case s.Kind == KindClient && (len(s.DBSystemName) > 0 || len(s.DBSystem) > 0):
		key := appendLabel(a.key[:0], r.Service)
		key = appendLabel(key, first(s.DBSystemName, s.DBSystem))
		key = appendLabel(key, first(s.DBNamespace, s.DBName))
		key = appendLabel(key, s.DBOperation)
		a.key = appendLabel(key, s.DBCollection)
		a.tallyCall(TableDatabases, s, o)
	case s.Kind == KindProducer || s.Kind == KindConsumer:
		key := appendLabel(a.key[:0], r.Service)
		key = appendLabel(key, s.MessagingSystem)
		key = appendLabel(key, s.Destination)
		a.key = appendLabel(key, messagingKinds[s.Kind-KindProducer])
		a.tallyCall(TableMessaging, s, o)
	}
}

var (
	sourceSpan     = []byte("span")
	sourceLog      = []byte("log")
	messagingKinds = [2][]byte{[]byte("producer"), []byte("consumer")}
)

// tallyCall stages a span under a.key.
func (a *Accumulator) tallyCall(t Table, s *Span, o *observation) {
	a.tally(t, tallied{n: o.n, size: uint64(o.size), failed: s.Status == StatusError, timed: true, hist: o.hist, at: o.ex.End, ex: o.ex})
}

// tally stages an observation under a.key.
func (a *Accumulator) tally(t Table, o tallied) {
	var over bool
	o.cell, over = a.cur.tables[t].cell(a.set.tables[t].dict, a.key, bucketStart(o.at))
	if over {
		a.counts.Overflowed++
	}
	a.tallied = append(a.tallied, o)
}

// version counts a span for its service's version. Spans of a resource come together, so the last count is nearly always the one.
func (a *Accumulator) version(r *Resource, s *Span, o *observation) {
	bucket := bucketStart(o.ex.End)
	n := len(a.versions)
	if n == 0 || !a.versions[n-1].is(r, bucket, s.Status == StatusError) {
		a.key = appendLabel(appendLabel(a.key[:0], r.Service), r.Version)
		v := versionSeen{service: r.Service, version: r.Version, bucket: bucket, tallied: tallied{failed: s.Status == StatusError, at: o.ex.End}}
		v.cell, _ = a.cur.tables[TableVersions].cell(a.set.tables[TableVersions].dict, a.key, bucket)
		a.versions = append(a.versions, v)
		n++
	}
	v := &a.versions[n-1]
	v.n += o.n
	v.size += uint64(o.size)
	v.at, v.last = min(v.at, o.ex.End), max(v.last, o.ex.End)
}

func (v *versionSeen) is(r *Resource, bucket int64, failed bool) bool {
	return v.bucket == bucket && v.failed == failed && string(v.version) == string(r.Version) && string(v.service) == string(r.Service)
}

// maxText bounds a sample text, in bytes.
const maxText = 1024

func cutText(b []byte) string { return string(b[:min(len(b), maxText)]) }

// messagePattern is a message without what differs from one occurrence to the next: words with digits, and quoted parts, become
// <*>. It is of the first line alone and has at most maxLabel bytes.
func messagePattern(m []byte) []byte { return maskMessage(m, maxLabel) }

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
