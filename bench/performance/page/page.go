// Package page prints tables and plots, and puts them into a page of the documentation.
package page

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode/utf8"
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

// Addf appends text to a block, wrapped like the rest of the page. Blocks of a page stand between
// "<!-- NAME: begin -->" and "<!-- NAME: end -->".
func (p *Page) Addf(block, format string, values ...any) {
	p.add(block, wrap(fmt.Sprintf(format, values...)))
}

func (p *Page) add(block, text string) {
	p.parts = append(p.parts, part{block, text})
	_, _ = fmt.Fprintln(p.Print, text)
}

const columns = 100

// wrap breaks long lines of text between words.
func wrap(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		at := 0
		for i, word := range strings.Fields(line) {
			length := utf8.RuneCountInString(word)
			switch {
			case i == 0:
			case at+1+length > columns:
				b.WriteByte('\n')
				at = 0
			default:
				b.WriteByte(' ')
				at++
			}
			b.WriteString(word)
			at += length
		}
		b.WriteByte('\n')
	}
	if !strings.HasSuffix(text, "\n") {
		return strings.TrimSuffix(b.String(), "\n")
	}
	return b.String()
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
	p.add(block, text.String())
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
