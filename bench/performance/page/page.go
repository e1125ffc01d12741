// Package page prints tables and plots, and puts them into a page of the documentation.
package page

import (
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
	p.add(block, Wrap(fmt.Sprintf(format, values...)))
}

func (p *Page) add(block, text string) {
	p.parts = append(p.parts, part{block, text})
	_, _ = fmt.Fprintln(p.Print, text)
}

const columns = 100

// Wrap breaks long lines of text between words. An item of a list goes on below its first word.
func Wrap(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		indent := ""
		if strings.HasPrefix(line, "- ") {
			indent = "  "
		}
		at := 0
		for i, word := range strings.Fields(line) {
			length := utf8.RuneCountInString(word)
			switch {
			case i == 0:
			case at+1+length > columns:
				b.WriteString("\n" + indent)
				at = len(indent)
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

// WriteTo writes each block into the page that has it, and leaves the other blocks as they are.
func (p *Page) WriteTo(paths ...string) error {
	documents := make([]Document, len(paths))
	for i, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		documents[i] = Document(text)
	}
	blocks := map[string]string{}
	for _, part := range p.parts {
		blocks[part.block] += part.text + "\n"
	}
	for name, text := range blocks {
		if err := put(documents, name, text); err != nil {
			return fmt.Errorf("%s: %w", strings.Join(paths, ", "), err)
		}
	}
	for i, path := range paths {
		if err := os.WriteFile(path, []byte(documents[i]), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func put(documents []Document, name, text string) error {
	var err error
	for i, d := range documents {
		var changed Document
		if changed, err = d.Put(name, text); err == nil {
			documents[i] = changed
			return nil
		}
	}
	return err
}
