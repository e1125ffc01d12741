package main

import (
	"cmp"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const (
	referencePage = "../docs/reference.md"
	referenceHead = `# Reference

Every command and flag. Each flag has the variable that stands beside it: a flag overrides its
variable, and a variable that is empty counts as not set, except
` + "`KUSTOMER_SECRET_KEY`" + ` where it is the only source. Secrets are never in flags:
` + "`KUSTOMER_SECRET_KEY` and `KUSTOMER_API_KEY`" + ` are variables alone.
[Exit codes](troubleshooting.md#exit-codes) has what each command ends with.

| value | what to write |
|---|---|
| DURATION | a number with a unit: ` + "`500ms`, `10s`, `5m`, `24h`, `1d`" + ` |
| SIZE | bytes, or with a unit: ` + "`100MiB`, `1GiB`, `100MB`" + ` (a million bytes each) |
| RATE | ` + "`N/s`, `N/m` or `N/h`, with `:BURST` for what passes at once from rest, N and BURST from 1 to 1000000; or `off`" + ` |
| ADDRESS, HOST:PORT | ` + "`127.0.0.1:9451`, `[::1]:9451`; ADDRESS also `unix:/run/chatidentity/chatidentity.sock`" + ` |
| PATH | a file |
| repeatable | several times, or once with commas |
| none | the flag alone; or ` + "`=true`, `=false`" + ` |

*Since* is the first version with the flag; *next* is the coming one. This page is made from the
program: ` + "`go test ./server -run TestReferencePage -update`" + `.

| command | |
|---|---|
`
)

// docs/reference.md is what the program's flags say. A row keeps its version; a new one gets "next".
func TestReferencePage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(referencePage)
	if err != nil && !*update {
		t.Fatal(err)
	}
	want := referenceOf(newRoot(&console{}), sinceOf(string(page)))
	if *update {
		if err := os.WriteFile(referencePage, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if string(page) == want {
		return
	}
	listed := strings.Split(string(page), "\n")
	for line := range strings.SplitSeq(want, "\n") {
		if len(listed) == 0 || listed[0] != line {
			t.Fatalf("run with -update: the page does not have\n%s", line)
		}
		listed = listed[1:]
	}
	t.Errorf("run with -update: the page has more at its end: %q", listed)
}

// sinceOf returns the version in each row of the page, by command and flag.
func sinceOf(page string) map[string]string {
	since := map[string]string{}
	command := ""
	for line := range strings.Lines(page) {
		line = strings.TrimSpace(line)
		if title, isTitle := strings.CutPrefix(line, "## "); isTitle {
			command = title
		}
		cells := strings.Split(line, " | ")
		if flag, isFlag := strings.CutPrefix(cells[0], "| `--"); isFlag {
			since[command+" --"+strings.TrimSuffix(flag, "`")] = strings.TrimSuffix(cells[len(cells)-1], " |")
		}
	}
	return since
}

func referenceOf(root *cobra.Command, since map[string]string) string {
	var page strings.Builder
	_, _ = page.WriteString(referenceHead)
	entries := manualEntries(root)
	for _, entry := range entries {
		name := nameOf(entry)
		_, _ = fmt.Fprintf(&page, "| [%s](#%s) | %s |\n", name, strings.ReplaceAll(name, " ", "-"), entry.Short)
	}
	for _, entry := range entries {
		name := nameOf(entry)
		_, _ = fmt.Fprintf(&page, "\n## %s\n\n%s\n", name, entry.Short)
		if entry.likeServe {
			_, _ = page.WriteString("\nIt also takes the flags of [serve](#serve).\n")
		}
		for _, group := range entry.groups {
			if group.title != "Flags" {
				_, _ = fmt.Fprintf(&page, "\n%s:\n", group.title)
			}
			_, _ = page.WriteString("\n| flag | value | default | variable | meaning | since |\n|---|---|---|---|---|---|\n")
			group.flags.VisitAll(func(flag *pflag.Flag) {
				_, _ = page.WriteString(referenceRow(flag, cmp.Or(since[name+" --"+flag.Name], "next")))
			})
		}
	}
	return page.String()
}

func nameOf(entry manualEntry) string {
	return strings.TrimPrefix(entry.CommandPath(), "chatidentity ")
}

func referenceRow(flag *pflag.Flag, since string) string {
	value, ours := flag.Value.(*flagValue)
	if !ours {
		return ""
	}
	standard := ""
	if value.Default != "" {
		standard = "`" + value.Default + "`"
	}
	cells := []string{"`--" + flag.Name + "`", value.Placeholder, standard, "`" + value.Variable() + "`", value.Help, since}
	for i, cell := range cells {
		cells[i] = strings.ReplaceAll(cell, "|", `\|`)
	}
	return "| " + strings.Join(cells, " | ") + " |\n"
}
