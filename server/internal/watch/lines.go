package watch

import (
	"bytes"
	"iter"
)

// byteOrderMark is what some editors put at the beginning of a text.
var byteOrderMark = []byte("\ufeff")

// Lines yields the lines of a file that say something, with their numbers, from 1. White space around
// a line, a byte order mark, blank lines and comments, which begin with #, are left out.
func Lines(content []byte) iter.Seq2[int, string] {
	return func(yield func(int, string) bool) {
		number := 0
		for line := range bytes.Lines(WithoutMark(content)) {
			number++
			line = bytes.TrimSpace(line)
			if len(line) > 0 && line[0] != '#' && !yield(number, string(line)) {
				return
			}
		}
	}
}

// WithoutMark returns the content without a byte order mark at its beginning.
func WithoutMark(content []byte) []byte { return bytes.TrimPrefix(content, byteOrderMark) }
