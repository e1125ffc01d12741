package main

import (
	"io"
	"os"
	"strings"
	"unicode/utf8"

	"golang.org/x/term"
)

// columns returns the width of the terminal that is written to, 0 if there is none.
func columns(to io.Writer) int {
	file, isFile := to.(*os.File)
	if !isFile {
		return 0
	}
	width, _, err := term.GetSize(int(file.Fd()))
	if err != nil {
		return 0
	}
	return width
}

// hasColour reports whether what is written may have colours: on a terminal that knows them, unless
// NO_COLOR asks for none (no-color.org).
func hasColour(to *os.File) bool {
	return term.IsTerminal(int(to.Fd())) && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}

// Colours of a terminal.
const (
	green  = "32"
	yellow = "33"
	red    = "31"
)

// verdictLabel stands before the verdict of verify.
const verdictLabel = "Verdict      "

// colours are those of the words that say what came of something, at the beginning of a line.
var colours = map[string]string{
	"ok": green, "warning": yellow, "failed": red, // of doctor
	"SERVING": green, "NOT_SERVING": red, // of health and wait
	verdictAccepted: green, "expired": red, "not_yet_valid": red, "bad_signature": red, "malformed": red,
	"previous_secret": red,
}

// coloured returns the text with colours.
func coloured(text string) string {
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		rest := strings.TrimPrefix(line, verdictLabel)
		word, _, _ := strings.Cut(rest, " ")
		if colour, known := colours[word]; known {
			lines[i] = strings.TrimSuffix(line, rest) + "\x1b[" + colour + "m" + word + "\x1b[0m" + rest[len(word):]
		}
	}
	return strings.Join(lines, "\n")
}

// minWrap is the least width in columns at which text is worth wrapping.
const minWrap = 20

// wrapped breaks a text at words into lines of at most width columns; all but the first are indented.
func wrapped(text string, width, indent int) string {
	if width < minWrap {
		return text // the terminal breaks it
	}
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(text) {
		length := utf8.RuneCountInString(word)
		switch {
		case i == 0:
		case column+1+length > width:
			b.WriteString("\n" + strings.Repeat(" ", indent))
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += length
	}
	return b.String()
}
