package page

import (
	"fmt"
	"slices"
	"strings"
)

// Document is the text of a page.
type Document string

// Table is a table of a page.
type Table struct {
	Header []string
	Rows   [][]string
}

// Block returns what stands in a block.
func (d Document) Block(name string) (string, error) {
	_, block, _, err := d.cut(name)
	return strings.TrimSpace(block), err
}

// Put returns the page with another text in a block.
func (d Document) Put(name, text string) (Document, error) {
	before, _, after, err := d.cut(name)
	return Document(before + "\n\n" + strings.Trim(text, "\n") + "\n\n" + after), err
}

// cut returns what stands before, in and after a block. The marks belong to the outer parts.
func (d Document) cut(name string) (string, string, string, error) {
	begin, end := "<!-- "+name+": begin -->", "<!-- "+name+": end -->"
	before, rest, found := strings.Cut(string(d), begin)
	block, after, closed := strings.Cut(rest, end)
	if !found || !closed {
		return "", "", "", fmt.Errorf("there is no block %s", name)
	}
	return before + begin, block, end + after, nil
}

// Tables returns the tables of a block.
func (d Document) Tables(block string) ([]Table, error) {
	text, err := d.Block(block)
	if err != nil {
		return nil, err
	}
	var all []Table
	inTable := false
	for line := range strings.Lines(text) {
		line, isRow := strings.CutPrefix(strings.TrimSpace(line), "|")
		switch cells := cellsOf(line); {
		case !isRow:
			inTable = false
		case !inTable:
			inTable = true
			all = append(all, Table{Header: cells})
		case cells[0] != "---":
			last := &all[len(all)-1]
			last.Rows = append(last.Rows, cells)
		}
	}
	return all, nil
}

// cellsOf splits a line after its first bar.
func cellsOf(line string) []string {
	cells := strings.Split(strings.TrimSuffix(line, "|"), "|")
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	return cells
}

// Cell returns what stands in a column of a block's tables, in the row that begins with these
// cells.
func (d Document) Cell(block, column string, row ...string) (string, error) {
	tables, err := d.Tables(block)
	if err != nil {
		return "", err
	}
	for _, table := range tables {
		at := slices.Index(table.Header, column)
		if at < 0 {
			continue
		}
		for _, cells := range table.Rows {
			if len(cells) == len(table.Header) && slices.Equal(cells[:len(row)], row) {
				return cells[at], nil
			}
		}
	}
	return "", fmt.Errorf("no table of %s has a column %q and a row %q", block, column, row)
}
