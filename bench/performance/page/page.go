// Package page prints tables and plots, and puts them into a page of the documentation.
package page

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
)

// Page collects what a run has to show. Each part is printed as soon as it is added.
type Page struct {
	Print io.Writer

	parts []part
}

type part struct {
	block string
	text  string
}

// Addf appends text to a block. Blocks of a page stand between "<!-- NAME: begin -->" and
// "<!-- NAME: end -->".
func (p *Page) Addf(block, format string, values ...any) {
	text := fmt.Sprintf(format, values...)
	p.parts = append(p.parts, part{block, text})
	_, _ = fmt.Fprintln(p.Print, text)
}

// Table appends a table to a block.
func (p *Page) Table(block string, header []string, rows [][]string) {
	var text strings.Builder
	line := func(cells []string) { fmt.Fprintf(&text, "| %s |\n", strings.Join(cells, " | ")) }
	line(header)
	fmt.Fprintln(&text, strings.Repeat("|---", len(header))+"|")
	for _, row := range rows {
		line(row)
	}
	p.Addf(block, "%s", text.String())
}

// WriteTo replaces in the file each block that has something, and leaves the others as they are.
func (p *Page) WriteTo(path string) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	blocks := map[string]string{}
	for _, part := range p.parts {
		blocks[part.block] += part.text + "\n"
	}
	content := string(text)
	for name, block := range blocks {
		begin, end := "<!-- "+name+": begin -->\n", "<!-- "+name+": end -->"
		before, rest, found := strings.Cut(content, begin)
		_, after, closed := strings.Cut(rest, end)
		if !found || !closed {
			return errors.New(path + " has no block " + name)
		}
		content = before + begin + "\n" + strings.TrimRight(block, "\n") + "\n\n" + end + after
	}
	return os.WriteFile(path, []byte(content), 0o644)
}
