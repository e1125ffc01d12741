package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// withdrawn are the promises of the last release that this one breaks on purpose, each with its
// line in the CHANGELOG. A release begins with none.
var withdrawn = map[string][]string{
	"flags":         {},
	"metrics":       {},
	"events":        {},
	"record fields": {},
}

// What the version number promises does not disappear by accident: the lists of the last release,
// each of which a test of its own holds to the program, are parts of today's.
func TestNothingReleasedDisappears(t *testing.T) {
	t.Parallel()
	old := theReleased(t)
	for name, lists := range map[string]struct{ before, now []string }{
		"flags":         {releasedFlags(t, old), flagsOf(t, func(path string) string { return readFile(t, path) }, helpFiles(t))},
		"metrics":       {metricsOf(old.file(t, "docs/metrics.md")), metricsOf(readFile(t, "../docs/metrics.md"))},
		"events":        {eventsOf(old.file(t, "docs/operations.md")), eventsOf(readFile(t, "../docs/operations.md"))},
		"record fields": {fieldsOf(t, old.file(t, "docs/audit-record.schema.json")), fieldsOf(t, readFile(t, "../docs/audit-record.schema.json"))},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if len(lists.before) < 5 {
				t.Fatalf("the last release has only %q: the list is not read right", lists.before)
			}
			for _, promise := range lists.before {
				if !slices.Contains(lists.now, promise) && !slices.Contains(withdrawn[name], promise) {
					t.Errorf("%s is gone: keep it for a release, or withdraw it here and in the CHANGELOG", promise)
				}
			}
			for _, promise := range withdrawn[name] {
				if slices.Contains(lists.now, promise) || !slices.Contains(lists.before, promise) {
					t.Errorf("%s is withdrawn here, but was not there or still is", promise)
				}
			}
		})
	}
}

// The contract's own judge is buf.
func TestTheContractBreaksNobody(t *testing.T) {
	t.Parallel()
	old := theReleased(t)
	command := exec.CommandContext(t.Context(), "go", "tool", "-modfile=tools/buf/go.mod", "buf", "breaking", "--against", ".git#ref="+old.commit)
	command.Dir = ".."
	if out, err := command.CombinedOutput(); err != nil {
		t.Errorf("buf breaking: %v\n%s", err, out)
	}
}

// No direct dependency without a line that says why it is there.
func TestEachDirectModuleHasAReason(t *testing.T) {
	t.Parallel()
	pages, err := filepath.Glob("../docs/decisions/*.md")
	if err != nil || len(pages) == 0 {
		t.Fatalf("no decisions: %v", err)
	}
	var reasons strings.Builder
	for _, page := range pages {
		reasons.WriteString(readFile(t, page))
	}
	direct, _, _ := strings.Cut(readFile(t, "../go.mod"), "\n)")
	modules := regexp.MustCompile(`(?m)^\t(\S+) v\S+$`).FindAllStringSubmatch(direct, -1)
	if len(modules) < 5 {
		t.Fatalf("only %d direct modules: go.mod is not read right", len(modules))
	}
	for _, module := range modules {
		if !strings.Contains(reasons.String(), "`"+module[1]+"`") {
			t.Errorf("%s has no reason in docs/decisions", module[1])
		}
	}
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func helpFiles(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("testdata/help/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no help: %v", err)
	}
	return files
}

func releasedFlags(t *testing.T, old released) []string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), "git", "-C", "..", "ls-tree", "--name-only", old.commit, "server/testdata/help/").Output()
	if err != nil {
		t.Fatal(err)
	}
	return flagsOf(t, func(path string) string { return old.file(t, path) }, strings.Fields(string(out)))
}

var flagOfHelp = regexp.MustCompile(`(?m)^ +(?:-\w, )?(--[a-z-]+)`)

// flagsOf returns the commands and their flags: "chatidentity serve --listen".
func flagsOf(t *testing.T, read func(string) string, files []string) []string {
	t.Helper()
	var flags []string
	for _, file := range files {
		command := strings.ReplaceAll(strings.TrimSuffix(filepath.Base(file), ".txt"), "-", " ")
		flags = append(flags, command)
		for _, flag := range flagOfHelp.FindAllStringSubmatch(read(file), -1) {
			flags = append(flags, command+" "+flag[1])
		}
	}
	return flags
}

// metricsOf returns the name, the type and each label of the metrics of docs/metrics.md.
func metricsOf(page string) []string {
	var metrics []string
	for line := range strings.Lines(page) {
		cells := strings.Split(line, "|")
		if len(cells) < 6 || !strings.Contains(cells[1], "`") {
			continue
		}
		name := strings.Trim(cells[1], " `")
		metrics = append(metrics, name+" "+strings.TrimSpace(cells[2]))
		for label := range strings.SplitSeq(cells[3], ",") {
			if label = strings.Trim(label, " `"); label != "" {
				metrics = append(metrics, name+"{"+label+"}")
			}
		}
	}
	return metrics
}

func fieldsOf(t *testing.T, schema string) []string {
	t.Helper()
	var decoded struct {
		Properties map[string]any `json:"properties"`
	}
	if err := json.Unmarshal([]byte(schema), &decoded); err != nil {
		t.Fatal(err)
	}
	var fields []string
	for field := range decoded.Properties {
		fields = append(fields, field)
	}
	return fields
}
