package reader

import (
	"bytes"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// criLine is a line of a container log in Kubernetes, such as
// "2026-11-23T07:08:09.123456789Z stdout F text".
type criLine struct {
	stream  string // stdout or stderr
	partial bool   // P: the next line goes on with it
	text    []byte
}

func parseCRI(b []byte) (criLine, bool) {
	stamp, rest, ok1 := bytes.Cut(b, []byte(" "))
	stream, rest, ok2 := bytes.Cut(rest, []byte(" "))
	tag, text, ok3 := bytes.Cut(rest, []byte(" "))
	if !ok1 || !ok2 || !ok3 || (string(tag) != "F" && string(tag) != "P") {
		return criLine{}, false
	}
	if _, err := time.Parse(time.RFC3339Nano, string(stamp)); err != nil {
		return criLine{}, false
	}
	return criLine{string(stream), string(tag) == "P", text}, true
}

// join takes the CRI prefix off a line, if it has one, and puts the parts of a split line together.
// It reports whether that makes a line: a part makes none yet.
func (s *scanner) join(v *scanned) bool {
	line, ok := parseCRI(v.line)
	switch {
	case !ok && v.torn && len(v.line) == 0: // the source ends between two parts
		v.text = s.parts
		return true
	case !ok:
		v.text = v.line
		return true
	case line.stream != "stdout":
		v.text, v.foreign = v.line, true
		return true
	case !line.partial && !s.parted:
		v.text = line.text
		return true
	}
	if !s.parted {
		s.parts = s.parts[:0]
	}
	if len(s.parts) <= audit.MaxLine { // longer lines are refused later, but not kept
		s.parts = append(s.parts, line.text...)
	}
	s.parted = line.partial
	v.text = s.parts
	return !line.partial
}
