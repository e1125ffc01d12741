package main

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/outage"
)

// Every line of the program log has an event, and docs/operations.md lists those that there are. That
// lines have one at run time too, each test of the running program checks: see start.
func TestEventsAreListed(t *testing.T) {
	t.Parallel()
	events := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		for _, call := range logCalls(t, path) {
			event := eventOf(call.args)
			if event == "" {
				t.Errorf("%s: a log line without an event", call.place)
			}
			events[event] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	listed := listedEvents(t)
	for event := range events {
		if !slices.Contains(listed, event) {
			t.Errorf("docs/operations.md does not list %q", event)
		}
	}
	for _, event := range listed {
		if !events[event] {
			t.Errorf("docs/operations.md lists %q, which no line has", event)
		}
	}
}

type logCall struct {
	place string
	args  []ast.Expr
}

// logCalls returns the calls of a file that log a line: methods of slog on what is named a log.
func logCalls(t *testing.T, path string) []logCall {
	t.Helper()
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var calls []logCall
	ast.Inspect(file, func(node ast.Node) bool {
		call, ok := node.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		switch method.Sel.Name {
		case "Debug", "Info", "Warn", "Error", "LogAttrs", "NewLogLogger":
			if len(call.Args) > 0 && isLog(method) {
				calls = append(calls, logCall{files.Position(call.Pos()).String(), call.Args})
			}
		}
		return true
	})
	return calls
}

func isLog(method *ast.SelectorExpr) bool {
	var name string
	switch on := method.X.(type) {
	case *ast.Ident:
		name = on.Name
	case *ast.SelectorExpr:
		name = on.Sel.Name
	}
	return slices.Contains([]string{"log", "Logger", "logger", "l", "slog"}, name)
}

// eventOf returns the text after "event", wherever in the arguments it stands.
func eventOf(args []ast.Expr) string {
	event, next := "", false
	for _, arg := range args {
		ast.Inspect(arg, func(node ast.Node) bool {
			var text string
			switch value := node.(type) {
			case *ast.BasicLit:
				text, _ = strconv.Unquote(value.Value)
			case *ast.Ident:
				text = map[string]string{"Began": outage.Began, "Ended": outage.Ended}[value.Name]
			}
			if next && text != "" {
				event = text
			}
			if text != "" {
				next = text == "event"
			}
			return true
		})
	}
	return event
}

func listedEvents(t *testing.T) []string {
	t.Helper()
	events := eventsOf(readFile(t, "../docs/operations.md"))
	if len(events) < 20 {
		t.Fatalf("only %d events are listed", len(events))
	}
	return events
}

// eventsOf returns the events that a page lists in a table.
func eventsOf(page string) []string {
	_, table, _ := strings.Cut(page, "| `event` |")
	table, _, _ = strings.Cut(table, "\n\n")
	var events []string
	for row := range strings.Lines(table) {
		cells := strings.Split(row, "|")
		if len(cells) < 3 {
			continue
		}
		for _, name := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(cells[1], -1) {
			events = append(events, name[1])
		}
	}
	return events
}
