package expand

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/template/parse"
)

// The functions that a template under account calls: at the head of a body, for a text, and last in what is printed.
const (
	stepFunction  = "watchingcat_step"
	enterFunction = "watchingcat_enter"
	leaveFunction = "watchingcat_leave"
	textFunction  = "watchingcat_text"
	outFunction   = "watchingcat_out"
)

// accountedText is a template that calls the functions of its account.
func accountedText(name, text string) (string, error) {
	t := parse.New(name)
	t.Mode = parse.SkipFuncCheck
	trees := map[string]*parse.Tree{}
	if _, err := t.Parse(text, "", "", trees); err != nil {
		return "", err
	}
	trees[name] = t
	var b strings.Builder
	for _, n := range slices.Sorted(maps.Keys(trees)) {
		root := trees[n].Root
		if root == nil {
			continue
		}
		insert(root)
		if n == name {
			b.WriteString(root.String())
		} else {
			fmt.Fprintf(&b, "{{define %q}}{{%s}}%s{{%s}}{{end}}", n, enterFunction, root.String(), leaveFunction)
		}
	}
	return b.String(), nil
}

// call is an action that calls a function.
func call(args ...parse.Node) *parse.ActionNode {
	return &parse.ActionNode{NodeType: parse.NodeAction, Pipe: &parse.PipeNode{NodeType: parse.NodePipe,
		Cmds: []*parse.CommandNode{{NodeType: parse.NodeCommand, Args: args}}}}
}

// insert makes every body, text and output of a list account for itself.
func insert(list *parse.ListNode) {
	if list == nil {
		return
	}
	loop := func(b *parse.BranchNode) {
		insert(b.List)
		insert(b.ElseList)
		if b.List != nil {
			b.List.Nodes = slices.Insert(b.List.Nodes, 0, parse.Node(call(parse.NewIdentifier(stepFunction))))
		}
	}
	for i, n := range list.Nodes {
		switch n := n.(type) {
		case *parse.TextNode:
			s := string(n.Text)
			list.Nodes[i] = call(parse.NewIdentifier(textFunction),
				&parse.StringNode{NodeType: parse.NodeString, Quoted: strconv.Quote(s), Text: s})
		case *parse.ActionNode:
			if len(n.Pipe.Decl) == 0 {
				n.Pipe.Cmds = append(n.Pipe.Cmds,
					&parse.CommandNode{NodeType: parse.NodeCommand, Args: []parse.Node{parse.NewIdentifier(outFunction)}})
			}
		case *parse.IfNode:
			loop(&n.BranchNode)
		case *parse.WithNode:
			loop(&n.BranchNode)
		case *parse.RangeNode:
			loop(&n.BranchNode)
		}
	}
}

// plain reports whether a template can only put values into its text: then its length is that of the text and of the values.
func plain(text string) (actions int, ok bool) {
	actions = strings.Count(text, "{{")
	for _, word := range []string{"range", "template", "define", "block", "printf", "print", "reReplaceAll", "query", "html", "js", "args",
		"match", "urlquery", "Link", ":=", "urlQueryEscape"} {
		if actions > 0 && strings.Contains(text, word) {
			if word == "printf" && !strings.ContainsAny(strings.ReplaceAll(text, "%.", ""), "%") {
				continue // a precision at most
			}
			return actions, false
		}
	}
	return actions, true
}

const templateDefs = "{{$labels := .Labels}}{{$externalLabels := .ExternalLabels}}{{$externalURL := .ExternalURL}}{{$value := .Value}}"
