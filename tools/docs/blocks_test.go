package docs

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"
)

// What becomes of a block.
const (
	Run    = "run"
	Output = "output of the block before"
	Parsed = "parsed"
	Held   = "run by another test"
	NotRun = "not run"
)

// CheckBlocks wants each block to be run, parsed or marked, and returns what becomes of each.
func (t *Tree) CheckBlocks(p *Page) []string {
	var kinds []string
	for i, b := range p.Blocks {
		kind, err := t.kind(p.Blocks[:i], b)
		if err != nil {
			p.problemf(b.Line, "%v", err)
		}
		kinds = append(kinds, kind)
	}
	return kinds
}

func (t *Tree) kind(before []Block, b Block) (string, error) {
	holders, held := b.Marks["run by"]
	_, excused := b.Marks["not run"]
	if (held || excused) && len(b.Marks) > 1 {
		return "", fmt.Errorf("marked as run elsewhere or not at all: no other mark goes with that")
	}
	switch {
	case excused:
		return NotRun, nil
	case held:
		for holder := range strings.SplitSeq(holders, ",") {
			if err := t.calls(strings.TrimSpace(holder)); err != nil {
				return Held, err
			}
		}
		return Held, nil
	case b.Language == "sh":
		return Run, nil
	case b.Language == "text" && len(before) > 0 && before[len(before)-1].runs():
		return Output, nil
	case b.Language == "json":
		return Parsed, json.Unmarshal([]byte(b.Text), new(any))
	case b.Language == "yaml":
		return Parsed, yaml.Unmarshal([]byte(b.Text), new(any))
	}
	return "", fmt.Errorf("a block of %q is not run here: say in a comment before it what runs it, or why nothing does: "+
		"<!-- run by: TestName, make target or script --> or <!-- not run: reason -->", b.Language)
}

func (b Block) runs() bool {
	return b.Language == "sh" && b.Marks["run by"] == "" && b.Marks["not run"] == ""
}

// Script is what runs the page's blocks. It writes a zero byte and the line of each before it.
func (p *Page) Script() string {
	var s strings.Builder
	for _, b := range p.Blocks {
		if !b.runs() {
			continue
		}
		fmt.Fprintf(&s, "printf '\\0%%d\\n' %d\n%s\n", b.Line, b.Marks["setup"])
		switch ready, exit := b.Marks["background"], b.Marks["exit"]; {
		case ready != "":
			fmt.Fprintf(&s, "end_background\nexec 9>&2 2>/dev/null\nset -m\n(\n%s) >background.log 2>&1 9>&- &\nbackground=$!\nset +m\nexec 2>&9 9>&-\n"+
				"ready() { %s\n}\nawait_background\n", b.Text, ready)
		case exit != "":
			fmt.Fprintf(&s, "set +e\n%scode=$?\nset -e\ntest $code = %s\n", b.Text, exit)
		default:
			s.WriteString(b.Text)
		}
		if then := b.Marks["then"]; then != "" {
			fmt.Fprintf(&s, "(\n%s\n)\n", then)
		}
	}
	if s.Len() == 0 {
		return ""
	}
	return prologue + s.String() + "end_background\n"
}

const prologue = `set -euo pipefail
ip link set lo up
mount --make-rprivate /
mount --bind . "$CHECKOUT"
mount -t tmpfs none /var/log
cd "$CHECKOUT"
background=
end_background() {
	test -n "$background" || return 0
	kill -- "-$background"
	while kill -0 -- "-$background" 2>/dev/null; do sleep 0.05; done
	background=
}
await_background() {
	for ((i = 0; i < 1500; i++)); do
		kill -0 -- "-$background" 2>/dev/null || break
		if ready >/dev/null 2>&1; then return; fi
		sleep 0.1
	done
	cat background.log
	return 1
}
`

// CheckOutput compares what a script printed with the page, and tells which block ended it.
func (p *Page) CheckOutput(printed string, failure error) {
	outputs, last := map[int]string{}, 0
	for part := range strings.SplitSeq(printed, "\x00") {
		var line int
		if number, output, found := strings.Cut(part, "\n"); found {
			if _, err := fmt.Sscan(number, &line); err == nil {
				outputs[line], last = output, line
			}
		}
	}
	if failure != nil {
		p.problemf(last, "this block fails: %v\n%s", failure, outputs[last])
		return
	}
	for i, b := range p.Blocks {
		if b.Language != "text" || len(b.Marks) > 0 || i == 0 || !p.Blocks[i-1].runs() {
			continue
		}
		if got := outputs[p.Blocks[i-1].Line]; !matches(b.Text, got) {
			p.problemf(b.Line, "the block before prints something else:\n%s", got)
		}
	}
}

// varying are the parts of an output that differ from run to run.
var varying = regexp.MustCompile(`\d{4}-\d\d-\d\dT[\d:.]+Z|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|` +
	`ey[\w-]+\.[\w-]+\.[\w-]+|\b[0-9a-f]{12,}\b|127\.0\.0\.1:\d+`)

func matches(want, got string) bool {
	parts := strings.Split(varying.ReplaceAllString(strings.TrimSpace(want), "…"), "…")
	for i := range parts {
		parts[i] = regexp.QuoteMeta(parts[i])
	}
	return regexp.MustCompile(`(?s)^` + strings.Join(parts, ".*") + `$`).MatchString(strings.TrimSpace(got))
}

// CheckCommands wants what prose names to exist: make's targets, tests, and the program's own commands
// with their flags. help returns the help of a command line.
func (t *Tree) CheckCommands(p *Page, help func(words []string) string) {
	for _, c := range p.Commands {
		words := strings.Fields(c.Text)
		switch {
		case len(words) > 1 && words[0] == "make" && t.targets[words[1]] == "":
			p.problemf(c.Line, "the Makefile has no target %s", words[1])
		case len(words) > 1 && words[0] == "chatidentity":
			p.checkCommand(c, words[1:], help)
		case testWord.MatchString(c.Text) && t.tests[c.Text] == "":
			p.problemf(c.Line, "there is no test %s", c.Text)
		}
	}
}

var (
	commandWord = regexp.MustCompile(`^[a-z][a-z-]*$`)
	testWord    = regexp.MustCompile(`^Test[A-Z]\w+$`)
	flagWord    = regexp.MustCompile(`^--[a-z-]+`)
)

func (p *Page) checkCommand(c Reference, words []string, help func([]string) string) {
	end := slices.IndexFunc(words, func(word string) bool { return !commandWord.MatchString(word) })
	if end < 0 {
		end = len(words)
	}
	said := help(words[:end])
	if said == "" {
		p.problemf(c.Line, "`%s`: the program has no such command", c.Text)
	}
	for _, word := range words[end:] {
		if flag := flagWord.FindString(word); flag != "" && said != "" && !strings.Contains(said, flag) {
			p.problemf(c.Line, "`%s`: the command has no %s", c.Text, flag)
		}
	}
}
