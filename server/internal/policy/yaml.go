package policy

import (
	"bytes"
	"encoding"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// parseYAML returns the root of a text that holds one document. The functions below read the tree,
// instead of decoding it by reflection, so that every error has its line and column.
func parseYAML(text []byte) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var document, more yaml.Node
	if err := loader.Load(&document); err != nil {
		return nil, syntaxError(err)
	}
	if len(document.Content) != 1 {
		return nil, errNoDocument
	}
	if err := loader.Load(&more); err == nil {
		return nil, at(&more, "a second document: the file must hold exactly one")
	} else if !errors.Is(err, io.EOF) {
		return nil, syntaxError(err)
	}
	return document.Content[0], nil
}

var errNoDocument = errors.New("line 1, column 1: there is nothing in it")

func syntaxError(err error) error {
	failure, ok := errors.AsType[*yaml.LoadError](err)
	switch {
	case errors.Is(err, io.EOF):
		return errNoDocument
	case !ok:
		return errors.New("not valid YAML")
	case failure.Mark.Line == 0:
		return errors.New("not valid YAML: " + failure.Message)
	default:
		return fmt.Errorf("line %d, column %d: %s", failure.Mark.Line, failure.Mark.Column, failure.Message)
	}
}

// at returns an error that begins with the node's position.
func at(node *yaml.Node, format string, args ...any) error {
	return fmt.Errorf("line %d, column %d: %s", node.Line, node.Column, fmt.Sprintf(format, args...))
}

// reader reads one value.
type reader func(node *yaml.Node) error

// readFields reads a mapping with known keys.
func readFields(node *yaml.Node, fields map[string]reader) error {
	return readEntries(node, func(key, value *yaml.Node) error {
		read, known := fields[key.Value]
		if !known {
			return at(key, "unknown key %q; known keys: %s", key.Value, strings.Join(slices.Sorted(maps.Keys(fields)), ", "))
		}
		return read(value)
	})
}

// readEntries reads a mapping, which must not be empty.
func readEntries(node *yaml.Node, read func(key, value *yaml.Node) error) error {
	if node.Kind != yaml.MappingNode || node.Anchor != "" {
		return at(node, "must be a mapping of keys to values, without an anchor or an alias")
	}
	if len(node.Content) == 0 {
		return at(node, "must not be empty")
	}
	lines := map[string]int{}
	for i := 0; i+1 < len(node.Content); i += 2 {
		key, value := node.Content[i], node.Content[i+1]
		if !isText(key) {
			return at(key, "a key must be text")
		}
		if line, found := lines[key.Value]; found {
			return at(key, "duplicate key %q: line %d has it too", key.Value, line)
		}
		lines[key.Value] = key.Line
		if err := read(key, value); err != nil {
			return err
		}
	}
	return nil
}

func isText(node *yaml.Node) bool {
	return node.Kind == yaml.ScalarNode && node.Tag == "!!str" && node.Anchor == "" && node.Style&yaml.TaggedStyle == 0
}

// text reads text that is not empty. A number or a boolean is not text unless it is in quotes.
func text(into *string) reader {
	return func(node *yaml.Node) error {
		if !isText(node) || node.Value == "" {
			return at(node, "must be text; put it in quotes if it looks like something else")
		}
		*into = node.Value
		return nil
	}
}

// parsed reads text that the type itself parses.
func parsed(into encoding.TextUnmarshaler) reader {
	return func(node *yaml.Node) error {
		var value string
		if err := text(&value)(node); err != nil {
			return err
		}
		if err := into.UnmarshalText([]byte(value)); err != nil {
			return at(node, "%v", err)
		}
		return nil
	}
}

func duration(into *time.Duration) reader {
	return func(node *yaml.Node) error {
		var value string
		if err := text(&value)(node); err != nil {
			return err
		}
		d, err := time.ParseDuration(value)
		if err != nil || d <= 0 {
			return at(node, "must be a duration such as 10m")
		}
		*into = d
		return nil
	}
}

// texts reads a list of distinct texts that is not empty.
func texts(node *yaml.Node, check func(item *yaml.Node) error) ([]string, error) {
	if node.Kind != yaml.SequenceNode || node.Anchor != "" || len(node.Content) == 0 {
		return nil, at(node, "must be a list that is not empty, such as [one, two]")
	}
	var list []string
	for _, item := range node.Content {
		var value string
		if err := text(&value)(item); err != nil {
			return nil, err
		}
		if slices.Contains(list, value) {
			return nil, at(item, "%q is listed twice", value)
		}
		if err := check(item); err != nil {
			return nil, err
		}
		list = append(list, value)
	}
	return list, nil
}
