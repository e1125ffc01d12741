package docs

import (
	"bytes"
	"fmt"
	"regexp"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/yuin/goldmark"
	"github.com/yuin/goldmark/ast"
	"github.com/yuin/goldmark/extension"
	"github.com/yuin/goldmark/text"
)

// Page is what the checks look at.
type Page struct {
	Path     string
	Blocks   []Block
	Links    []Reference
	Commands []Reference     // code within prose
	Anchors  map[string]bool // of headings, as GitHub makes them
	Problems []string

	source []byte
	code   map[int]bool // lines within blocks
}

// Block is a fenced block of code.
type Block struct {
	Line     int // of its first line of code
	Language string
	Text     string
	Marks    map[string]string
}

// Reference is a link's target, or a command in prose.
type Reference struct {
	Line int
	Text string
}

// Parse reads a page and finds what is wrong with it alone.
func Parse(path string, source []byte) *Page {
	p := &Page{Path: path, Anchors: map[string]bool{}, source: source, code: map[int]bool{}}
	root := goldmark.New(goldmark.WithExtensions(extension.GFM)).Parser().Parse(text.NewReader(source))
	_ = ast.Walk(root, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // never fails
		if entering {
			p.visit(n)
		}
		return ast.WalkContinue, nil
	})
	p.checkColumns()
	return p
}

func (p *Page) visit(n ast.Node) {
	switch n := n.(type) {
	case *ast.FencedCodeBlock:
		p.addBlock(n)
	case *ast.CodeBlock:
		p.addCode(n)
		p.problemf(p.line(n), "indented code: fence it, with its language")
	case *ast.Heading:
		p.addAnchor(plain(n, p.source))
	case *ast.Link:
		p.Links = append(p.Links, Reference{p.line(n), string(n.Destination)})
	case *ast.Image:
		p.Links = append(p.Links, Reference{p.line(n), string(n.Destination)})
	case *ast.AutoLink:
		if n.AutoLinkType == ast.AutoLinkURL {
			p.Links = append(p.Links, Reference{p.line(n), string(n.URL(p.source))})
		}
	case *ast.CodeSpan:
		p.Commands = append(p.Commands, Reference{p.line(n), strings.Join(strings.Fields(plain(n, p.source)), " ")})
	}
}

func (p *Page) problemf(line int, format string, arguments ...any) {
	p.Problems = append(p.Problems, fmt.Sprintf("%s:%d: ", p.Path, line)+fmt.Sprintf(format, arguments...))
}

func (p *Page) addBlock(n *ast.FencedCodeBlock) {
	p.addCode(n)
	text := string(n.Lines().Value(p.source))
	b := Block{Line: p.line(n), Language: string(n.Language(p.source)), Text: text, Marks: map[string]string{}}
	before := n.PreviousSibling()
	for ; before != nil && before.Kind() == ast.KindHTMLBlock; before = before.PreviousSibling() {
		p.addMarks(&b, before.(*ast.HTMLBlock))
	}
	p.Blocks = append(p.Blocks, b)
}

// addCode remembers which lines are code.
func (p *Page) addCode(n ast.Node) {
	for i := range n.Lines().Len() {
		p.code[p.lineAt(n.Lines().At(i).Start)] = true
	}
}

var mark = regexp.MustCompile(`(?s)^<!-- (run by|not run|setup|background|exit|then):\s+(.+?)\s+-->\s*$`)

func (p *Page) addMarks(b *Block, comment *ast.HTMLBlock) {
	source := string(comment.Lines().Value(p.source))
	if comment.HasClosure() {
		source += string(comment.ClosureLine.Value(p.source))
	}
	if found := mark.FindStringSubmatch(source); found != nil {
		b.Marks[found[1]] = found[2]
		return
	}
	p.problemf(p.line(comment), "no such mark of a code block: tools/docs/doc.go has the list")
}

// addAnchor makes a heading's anchor by GitHub's rules.
func (p *Page) addAnchor(heading string) {
	anchor := strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsNumber(r) || unicode.IsMark(r):
			return unicode.ToLower(r)
		}
		return -1
	}, heading)
	unique := anchor
	for i := 1; p.Anchors[unique]; i++ {
		unique = fmt.Sprintf("%s-%d", anchor, i)
	}
	p.Anchors[unique] = true
}

const columns = 100

var definition = regexp.MustCompile(`^\s*\[[^\]]+\]:\s`)

func (p *Page) checkColumns() {
	number := 0
	for line := range strings.Lines(string(p.source)) {
		number++
		line = strings.TrimSpace(line)
		breaks := strings.Contains(line, " ") && !strings.HasPrefix(line, "|") && !definition.MatchString(line)
		if width := utf8.RuneCountInString(line); width > columns && breaks && !p.code[number] {
			p.problemf(number, "%d columns of prose: wrap it at %d", width, columns)
		}
	}
}

// plain is the text of a node without its markup.
func plain(n ast.Node, source []byte) string {
	var s strings.Builder
	_ = ast.Walk(n, func(n ast.Node, entering bool) (ast.WalkStatus, error) { // never fails
		if words, is := n.(*ast.Text); is && entering {
			s.Write(words.Segment.Value(source))
		}
		return ast.WalkContinue, nil
	})
	return s.String()
}

// line is the line on which a node's text begins, or else the block around it.
func (p *Page) line(n ast.Node) int {
	for first := n.FirstChild(); first != nil; first = first.FirstChild() {
		if words, is := first.(*ast.Text); is {
			return p.lineAt(words.Segment.Start)
		}
	}
	for ; n != nil; n = n.Parent() {
		if n.Type() != ast.TypeInline && n.Lines().Len() > 0 {
			return p.lineAt(n.Lines().At(0).Start)
		}
	}
	return 1
}

func (p *Page) lineAt(offset int) int { return 1 + bytes.Count(p.source[:offset], []byte("\n")) }
