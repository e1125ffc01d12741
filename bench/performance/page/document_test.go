package page

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const twoTables = `# Title

<!-- calls: begin -->

Cost:

| way | calls | cost |
|---|---|---|
| tcp | 1 | 2.5 |
| tcp | 64 | 1.5 |

| way | calls | rate |
|---|---|---|
| tcp | 64 | 900 |

<!-- calls: end -->

Text.
`

func TestCell(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		block, column string
		row           []string
		want          string // "": an error
	}{
		{"calls", "cost", []string{"tcp", "64"}, "1.5"},
		{"calls", "rate", []string{"tcp", "64"}, "900"},
		{"calls", "rate", []string{"tcp", "1"}, ""},
		{"calls", "latency", []string{"tcp", "64"}, ""},
		{"open", "cost", []string{"tcp", "64"}, ""},
	} {
		got, err := Document(twoTables).Cell(test.block, test.column, test.row...)
		if got != test.want || (err == nil) != (test.want != "") {
			t.Errorf("%s, %s, %v: %q, want %q; %v", test.block, test.column, test.row, got, test.want, err)
		}
	}
}

// A run writes a block into the page that has it, and nothing else changes.
func TestWriteTo(t *testing.T) {
	t.Parallel()
	first, second := filepath.Join(t.TempDir(), "first.md"), filepath.Join(t.TempDir(), "second.md")
	const other = "<!-- profile: begin -->\n\nold\n\n<!-- profile: end -->\n"
	for path, text := range map[string]string{first: twoTables, second: other} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := Page{Print: t.Output()}
	p.Addf("profile", "new\n")
	p.Table("profile", []string{"a"}, [][]string{{"1"}})
	if err := p.WriteTo(first, second); err != nil {
		t.Fatal(err)
	}
	want := strings.Replace(other, "old", "new\n\n| a |\n|---|\n| 1 |", 1)
	for path, want := range map[string]string{first: twoTables, second: want} {
		if got, err := os.ReadFile(path); err != nil || string(got) != want {
			t.Errorf("%s: %q, want %q; %v", path, got, want, err)
		}
	}
	p.Addf("gone", "text")
	if err := p.WriteTo(first, second); err == nil {
		t.Error("a block that no page has is dropped without a word")
	}
}
