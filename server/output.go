package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/config"
)

// outputAuto is text on a terminal and machine-readable output elsewhere.
const outputAuto = "auto"

// outputFlag chooses between text for people and JSON for programs.
type outputFlag struct {
	Output string
}

func (f *outputFlag) flags() []config.Flag {
	return []config.Flag{
		outputChoice(&f.Output, "text, json, or auto: text on a terminal and machine-readable output elsewhere."),
	}
}

// outputChoice is the flag of every command that prints an answer. What one of them takes all take,
// since its variable is one for all: a table is the text of audit find.
func outputChoice(to *string, help string) config.Flag {
	return config.Value(to, config.OneOf(outputAuto, "text", "table", "json"), "output", "FORMAT", outputAuto, help)
}

// print writes the answer as JSON, or as text on a terminal. Either controls no terminal, whatever
// is in it.
func (f *outputFlag) print(console *console, answer any, text string) error {
	if wantsText(f.Output, console) {
		text = visible(text)
		if console.colour {
			text = coloured(text)
		}
		_, err := fmt.Fprintln(console.out, text)
		return err
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(answer); err != nil {
		return err
	}
	_, err := console.out.Write(visibleJSON(b.Bytes()))
	return err
}

func wantsText(output string, console *console) bool {
	return output == "text" || output == "table" || output == outputAuto && console.terminal
}

// visible escapes what is not visible in a text: controls other than ends of lines, directions,
// bytes that are not UTF-8.
func visible(text string) string {
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		shown := text[:size]
		if !isVisible(r, size) && r != '\n' {
			shown = strings.Trim(strconv.QuoteToASCII(shown), `"`)
		}
		_, _ = b.WriteString(shown)
		text = text[size:]
	}
	return b.String()
}

// visibleLine is visible for what must stay on one line, such as a file's name.
func visibleLine(text string) string {
	return strings.ReplaceAll(visible(text), "\n", `\n`)
}

// visibleJSON escapes in JSON what visible escapes: the values stay the same.
func visibleJSON(text []byte) []byte {
	var b []byte
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case isVisible(r, size) || r == '\n':
			b = append(b, text[:size]...)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			b = fmt.Appendf(b, `\u%04x\u%04x`, high, low)
		default:
			b = fmt.Appendf(b, `\u%04x`, r)
		}
		text = text[size:]
	}
	return b
}

func isVisible(r rune, size int) bool {
	return unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) &&
		!unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
