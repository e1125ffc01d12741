package audit

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"strconv"
)

// maxFields is more than a record can have.
const maxFields = 32

var (
	errNotRecord = errors.New("not an audit record")
	errRewritten = errors.New("not an audit record as it was written: " +
		"whatever rewrites its JSON, as some log collectors do, breaks the chain")
	// ErrTooLong is of a line that is longer than any record.
	ErrTooLong = errors.New("a line longer than any audit record")
)

// member is a field's name and value; of a text, what stands between its quotes, still escaped.
type member struct {
	name, value []byte
}

// Line is a record as it is read back. It points into the bytes that it was parsed from.
type Line struct {
	Head

	Raw     []byte // without the newline
	covered []byte // what the mac is over
	members [maxFields]member
	n       int // of members
}

// Parse reads a line without its newline. It demands exactly what the log writes at both ends,
// which the mac does not cover.
func (l *Line) Parse(raw []byte) error {
	if len(raw) >= MaxLine {
		return ErrTooLong
	}
	tail := len(raw) - len(macKey) - macChars - len(macTail) + 1
	if tail < 0 || !bytes.HasPrefix(raw, []byte(RecordStart)) {
		return whyNot(raw)
	}
	sum, ok := bytes.CutPrefix(raw[tail:], []byte(macKey))
	if !ok || string(sum[macChars:]) != `"}` || !isLowerHex(sum[:macChars]) {
		return whyNot(raw)
	}
	_, _ = hex.Decode(l.MAC[:], sum[:macChars]) // isLowerHex checked it
	l.Raw, l.covered = raw, raw[:tail]
	return l.parseFields(l.covered[len(`{"v":1`):])
}

func whyNot(raw []byte) error {
	if json.Valid(raw) {
		return errRewritten
	}
	return errNotRecord
}

func (l *Line) parseFields(b []byte) error {
	for l.n = 0; len(b) > 0; l.n++ {
		if l.n == maxFields {
			return errNotRecord
		}
		name, rest, ok := cutText(b, `,"`)
		if !ok || len(rest) < 2 || rest[0] != ':' {
			return errNotRecord
		}
		var value []byte
		if rest[1] == '"' {
			value, b, ok = cutText(rest, `:"`)
		} else {
			value, b, ok = cutNumber(rest[1:])
		}
		if !ok {
			return errNotRecord
		}
		l.members[l.n] = member{name, value}
	}
	seq, err := strconv.ParseUint(string(l.Get("seq")), 10, 64)
	if err != nil {
		return errNotRecord
	}
	l.Seq = seq
	return nil
}

// cutText returns what stands between open and the next quote that is not escaped, and what follows
// that quote.
func cutText(b []byte, open string) ([]byte, []byte, bool) {
	b, ok := bytes.CutPrefix(b, []byte(open))
	if !ok {
		return nil, nil, false
	}
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case c == '"':
			return b[:i], b[i+1:], true
		case c == '\\':
			i++
		case isControl(b[i:]):
			return nil, nil, false
		}
	}
	return nil, nil, false
}

// isControl reports whether b begins with a control character, including C1. The log escapes them,
// and a record that is printed must not bring them to a terminal.
func isControl(b []byte) bool {
	c := b[0]
	return c < ' ' || c == 0x7f || c == 0xc2 && len(b) > 1 && b[1] < 0xa0
}

func cutNumber(b []byte) ([]byte, []byte, bool) {
	n := 0
	if n < len(b) && b[n] == '-' {
		n++
	}
	digits := n
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	if n > digits+1 && b[digits] == '0' {
		return nil, nil, false
	}
	return b[:n], b[n:], n > digits
}

func isLowerHex(b []byte) bool {
	for _, c := range b {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// Get returns the value of a field as it stands in the line, or nil without that field.
func (l *Line) Get(name string) []byte {
	for i := range l.n {
		if string(l.members[i].name) == name {
			return l.members[i].value
		}
	}
	return nil
}

// Text returns the value of a field unescaped.
func (l *Line) Text(name string) string {
	v := l.Get(name)
	if bytes.IndexByte(v, '\\') < 0 {
		return string(v)
	}
	var s string
	if json.Unmarshal([]byte(`"`+string(v)+`"`), &s) != nil {
		return string(v)
	}
	return s
}

// Is reports whether a field has that value.
func (l *Line) Is(name, value string) bool {
	if v := l.Get(name); bytes.IndexByte(v, '\\') < 0 {
		return string(v) == value
	}
	return l.Text(name) == value
}

// Follows reports whether the line is what was written after prev, under the key of linker.
func (l *Line) Follows(prev Head, linker *Linker) bool {
	return linker.link(prev.MAC, l.covered) == l.MAC
}
