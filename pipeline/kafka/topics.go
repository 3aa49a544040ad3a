package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
)

// Topics are the topics of one signal: a list of names, or a pattern that is compared with the whole name of every topic.
type Topics struct {
	text    string
	names   []string
	pattern *regexp.Regexp
}

// MaxTopics is how many topics of a signal are read: each has a client.
const MaxTopics = 100

// ParseTopics reads names separated by commas, or one pattern: /expression/ or ^expression. It reports what Kafka would refuse.
func ParseTopics(text string) (Topics, error) {
	t := Topics{text: strings.TrimSpace(text)}
	expression, slashes := strings.CutPrefix(t.text, "/")
	if slashes {
		var ends bool
		if expression, ends = strings.CutSuffix(expression, "/"); !ends || expression == "" {
			return t, fmt.Errorf("%q begins as a pattern and does not end as one: write /expression/", text)
		}
	}
	if slashes || strings.HasPrefix(t.text, "^") {
		var err error
		if t.pattern, err = regexp.Compile("^(?:" + expression + ")$"); err != nil {
			return t, fmt.Errorf("the pattern %s is no regular expression (RE2): %w", text, err)
		}
		return t, nil
	}
	if t.text == "" {
		return t, nil
	}
	for name := range strings.SplitSeq(t.text, ",") {
		name = strings.TrimSpace(name)
		if err := CheckTopic(name); err != nil {
			return t, err
		}
		if slices.ContainsFunc(t.names, func(other string) bool { return plain(other) == plain(name) }) {
			return t, fmt.Errorf("%q is given twice, or Kafka does not distinguish it from another name of the list", name)
		}
		t.names = append(t.names, name)
	}
	if len(t.names) > MaxTopics {
		return t, fmt.Errorf("%d topics are too many: at most %d are read for a signal", len(t.names), MaxTopics)
	}
	return t, nil
}

// plain: Kafka keeps names apart only if they differ by more than dots and underscores.
func plain(name string) string { return strings.ReplaceAll(name, ".", "_") }

// TopicsOf are the topics with these names.
func TopicsOf(names ...string) Topics { return Topics{text: strings.Join(names, ","), names: names} }

// String is the setting.
func (t Topics) String() string { return t.text }

// Empty reports whether no topic is meant.
func (t Topics) Empty() bool { return t.text == "" }

// Names are the topics that are named; none of a pattern.
func (t Topics) Names() []string { return t.names }

// Pattern reports whether topics are found by a pattern.
func (t Topics) Pattern() bool { return t.pattern != nil }

// Match reports whether a topic is one of them. Topics that Kafka keeps for itself match no pattern.
func (t Topics) Match(name string) bool {
	if t.pattern != nil {
		return !strings.HasPrefix(name, "__") && t.pattern.MatchString(name)
	}
	return slices.Contains(t.names, name)
}

// Group is what a topic has for the first group of the pattern; "" where there is none.
func (t Topics) Group(name string) string {
	if t.pattern == nil {
		return ""
	}
	if m := t.pattern.FindStringSubmatch(name); len(m) > 1 {
		return m[1]
	}
	return ""
}

// Grouped reports whether the pattern has a group.
func (t Topics) Grouped() bool { return t.pattern != nil && t.pattern.NumSubexp() > 0 }

// Overlap names a topic that both have, as far as names say it; "" if none is known.
func (t Topics) Overlap(o Topics) string {
	for _, name := range t.names {
		if o.Match(name) || slices.ContainsFunc(o.names, func(other string) bool { return plain(other) == plain(name) }) {
			return name
		}
	}
	for _, name := range o.names {
		if t.Match(name) {
			return name
		}
	}
	if t.pattern != nil && o.pattern != nil && t.pattern.String() == o.pattern.String() {
		return t.text
	}
	return ""
}

// Find are the topics in order: those that are named, whether they exist or not, or those that match now.
func (t Topics) Find(ctx context.Context, adm *kadm.Client) ([]string, error) {
	if t.pattern == nil {
		return t.names, nil
	}
	listed, err := adm.ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list the topics that match %s: %w", t, err)
	}
	list := slices.DeleteFunc(slices.Sorted(maps.Keys(listed)), func(name string) bool { return !t.Match(name) || listed[name].Err != nil })
	if len(list) > MaxTopics {
		return list[:MaxTopics], fmt.Errorf("%w: %d match %s, at most %d are read: make the pattern narrower", ErrManyTopics, len(list), t, MaxTopics)
	}
	return list, nil
}

// ErrManyTopics is wrapped when more topics match a pattern than are read.
var ErrManyTopics = errors.New("too many topics")
