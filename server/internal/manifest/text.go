package manifest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// text is YAML into which lines are inserted at the places of its nodes.
type text struct {
	raw   string
	lines []int // where each begins
	edits []edit
}

// edit inserts text, in place of a few characters that mean "nothing", such as [].
type edit struct {
	at, cut int
	text    string
}

// newText finds the lines as YAML counts them.
func newText(raw string) *text {
	t := &text{raw: raw, lines: []int{0}}
	for at, char := range raw {
		switch char {
		case '\r':
			if strings.HasPrefix(raw[at+1:], "\n") {
				continue
			}
			fallthrough
		case '\n', '\u0085', '\u2028', '\u2029':
			t.lines = append(t.lines, at+utf8.RuneLen(char))
		}
	}
	return t
}

// edited returns the text with all edits. Those at the same place keep their order.
func (t *text) edited() string {
	slices.SortStableFunc(t.edits, func(a, b edit) int { return a.at - b.at })
	var b strings.Builder
	done := 0
	for _, e := range t.edits {
		b.WriteString(t.raw[done:e.at] + e.text)
		done = e.at + e.cut
	}
	b.WriteString(t.raw[done:])
	return b.String()
}

// offset returns where a node is.
func (t *text) offset(n *yaml.Node) int {
	at := t.lines[n.Line-1]
	if n.Line == 1 && strings.HasPrefix(t.raw, "\uFEFF") {
		at += len("\uFEFF")
	}
	for range n.Column - 1 {
		_, size := utf8.DecodeRuneInString(t.raw[at:])
		at += size
	}
	return at
}

// line returns a line, counted from 1, with its end.
func (t *text) line(n int) string {
	if n == len(t.lines) {
		return t.raw[t.lines[n-1]:]
	}
	return t.raw[t.lines[n-1]:t.lines[n]]
}

// add puts text into the value of a mapping's key: items of a list, or entries of a mapping. It
// makes the key, above another one, where there is none. deep is how far below the key its value is
// indented.
func (t *text) add(m *yaml.Node, key, content string, deep int, above string) error {
	k, v := entry(m, key)
	switch {
	case v == nil:
		return t.addKey(m, key+":\n"+indent(content, deep), above)
	case v.Kind == yaml.AliasNode:
		return fmt.Errorf("line %d: %s is an alias (*%s): write it out, so that there is a place for the sidecar's",
			v.Line, key, v.Value)
	case len(v.Content) == 0:
		return t.fill(m, k, v, content, deep)
	case v.Style&yaml.FlowStyle != 0:
		return t.addFlow(v, content)
	default:
		return t.addBlock(v, content)
	}
}

// addKey puts an entry into a mapping that has others.
func (t *text) addKey(m *yaml.Node, content, above string) error {
	if m.Style&yaml.FlowStyle != 0 {
		return t.addFlow(m, content)
	}
	neighbour, _ := entry(m, above)
	if neighbour == nil || !t.beginsLine(neighbour) {
		neighbour = nil
		for i := 0; i < len(m.Content) && neighbour == nil; i += 2 {
			if t.beginsLine(m.Content[i]) {
				neighbour = m.Content[i]
			}
		}
	}
	if neighbour == nil {
		return fmt.Errorf("line %d: there is no line of its own above which something could be inserted", m.Line)
	}
	t.insertAbove(neighbour.Line, neighbour.Column-1, content)
	return nil
}

// fill gives a value to a key that has none, or an empty one.
func (t *text) fill(m, k, v *yaml.Node, content string, deep int) error {
	switch {
	case v.Kind == yaml.ScalarNode && v.Tag != "!!null":
		return fmt.Errorf("line %d: %s is neither a list nor a mapping", v.Line, k.Value)
	case v.Anchor != "" || v.Style&yaml.TaggedStyle != 0 || v.Line != k.Line && !t.beginsLine(v):
		return fmt.Errorf("line %d: cannot insert into this empty value of %s: remove it", v.Line, k.Value)
	}
	written := len(v.Value)
	if v.Kind != yaml.ScalarNode {
		written = strings.IndexAny(t.raw[t.offset(v):], "]}") + 1
	}
	at := t.offset(v)
	if m.Style&yaml.FlowStyle != 0 {
		flow, err := inFlow(content, true)
		if err != nil {
			return err
		}
		t.edits = append(t.edits, edit{at, written, " " + flow})
		return nil
	}
	if v.Line != k.Line { // an empty value on a line of its own
		lines := strings.TrimSuffix(indent(content, v.Column-1), "\n")
		t.edits = append(t.edits, edit{at - (v.Column - 1), written + v.Column - 1, lines})
		return nil
	}
	if written > 0 {
		blank := len(t.raw[:at]) - len(strings.TrimRight(t.raw[:at], " "))
		t.edits = append(t.edits, edit{at - blank, written + blank, ""})
	}
	// It belongs to the line before, so it comes before all that is inserted above the next one.
	t.edits = slices.Insert(t.edits, 0, t.atLine(k.Line+1, indent(content, k.Column-1+deep)))
	return nil
}

// addFlow puts content first into a mapping in braces or a list in brackets.
func (t *text) addFlow(n *yaml.Node, content string) error {
	at := t.offset(n)
	if n.Anchor != "" || !strings.ContainsAny(t.raw[at:at+1], "[{") {
		return fmt.Errorf("line %d: cannot insert into a value in braces that has an anchor or a tag: "+
			"write it over several lines", n.Line)
	}
	flow, err := inFlow(content, false)
	if err != nil {
		return err
	}
	t.edits = append(t.edits, edit{at + 1, 0, flow + ", "})
	return nil
}

// addBlock puts content above the first item or entry.
func (t *text) addBlock(n *yaml.Node, content string) error {
	first := n.Content[0]
	line, column := first.Line, first.Column-1
	if n.Kind == yaml.SequenceNode {
		if dash := strings.TrimLeft(t.line(line), " "); !strings.HasPrefix(dash, "- ") || column == 0 {
			return fmt.Errorf("line %d: cannot find the dash of this item: put it on the item's first line", line)
		}
		column = strings.Index(t.line(line), "-")
	}
	t.insertAbove(line, column, content)
	return nil
}

// insertAbove inserts above a line and the comments that belong to it.
func (t *text) insertAbove(line, column int, content string) {
	for line > 1 {
		before := strings.TrimLeft(t.line(line-1), " ")
		if !strings.HasPrefix(before, "#") || len(t.line(line-1))-len(before) > column {
			break
		}
		line--
	}
	t.edits = append(t.edits, t.atLine(line, indent(content, column)))
}

// atLine inserts before a line, with line ends like that of the one before.
func (t *text) atLine(line int, content string) edit {
	ended := t.line(max(line-1, 1))
	if strings.HasSuffix(ended, "\r\n") {
		content = strings.ReplaceAll(content, "\n", "\r\n")
	}
	at := len(t.raw)
	if line <= len(t.lines) {
		at = t.lines[line-1]
	} else {
		content = "\n" + strings.TrimSuffix(content, "\n")
	}
	return edit{at, 0, content}
}

// beginsLine reports whether only spaces are before a node.
func (t *text) beginsLine(n *yaml.Node) bool {
	return strings.Trim(t.raw[t.lines[n.Line-1]:t.offset(n)], " ") == ""
}

// inFlow returns content as JSON, which is YAML too.
func inFlow(content string, brackets bool) (string, error) {
	var value any
	if err := yaml.Unmarshal([]byte(content), &value); err != nil {
		return "", err
	}
	flow, err := json.Marshal(value)
	if !brackets {
		flow = flow[1 : len(flow)-1]
	}
	return string(flow), err
}

// entry returns a mapping's key and value, or nil.
func entry(m *yaml.Node, key string) (*yaml.Node, *yaml.Node) {
	if m == nil || m.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			return m.Content[i], m.Content[i+1]
		}
	}
	return nil, nil
}

// value returns what a path of keys leads to, through aliases, or nil.
func value(n *yaml.Node, path ...string) *yaml.Node {
	for _, key := range path {
		if _, n = entry(n, key); n != nil && n.Kind == yaml.AliasNode {
			n = n.Alias
		}
	}
	return n
}
