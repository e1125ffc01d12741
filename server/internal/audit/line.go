package audit

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"math/bits"
	"slices"
	"strconv"
	"unicode/utf8"
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
	if !ok || string(sum[macChars:]) != `"}` || !decodeLowerHex(l.MAC[:], sum) {
		return whyNot(raw)
	}
	l.Raw, l.covered = raw, raw[:tail]
	return l.parseFields(l.covered[len(`{"v":1`):])
}

func whyNot(raw []byte) error {
	if json.Valid(raw) {
		return errRewritten
	}
	return errNotRecord
}

// parseFields takes only what the log writes: each field once, the known ones in the order of the
// table. A reader of JSON would take the last of two, and so see another record.
func (l *Line) parseFields(b []byte) error {
	row := 1 // of the table; "v" has been
	for l.n = 0; len(b) > 0; l.n++ {
		if l.n == maxFields {
			return errNotRecord
		}
		name, rest, next, ok := cutName(b, row, l.members[:l.n])
		if !ok || len(rest) == 0 {
			return errNotRecord
		}
		var value []byte
		if rest[0] == '"' {
			value, b, ok = cutText(rest[1:])
		} else {
			value, b, ok = cutNumber(rest)
		}
		if !ok {
			return errNotRecord
		}
		l.members[l.n], row = member{name, value}, next
	}
	seq, err := strconv.ParseUint(string(l.Get("seq")), 10, 64)
	if err != nil {
		return errNotRecord
	}
	l.Seq = seq
	return nil
}

// cutName returns the name of the next field, what follows its colon, and the row of the table
// behind it.
func cutName(b []byte, row int, before []member) ([]byte, []byte, int, bool) {
	const open, end = `,"`, `":`
	if len(b) <= len(open) || string(b[:len(open)]) != open {
		return nil, nil, 0, false
	}
	for i := row; i < len(fields)-1; i++ { // the last is the mac, which ends a line
		key := fields[i].key[:len(open)+len(fields[i].Name)+len(end)]
		// Most rows differ in the first letter.
		if b[len(open)] == key[len(open)] && len(b) > len(key) && string(b[:len(key)]) == key {
			return b[len(open) : len(key)-len(end)], b[len(key):], i + 1, true
		}
	}
	name, rest, ok := cutText(b[len(open):])
	if !ok || len(rest) == 0 || rest[0] != ':' {
		return nil, nil, 0, false
	}
	return name, rest[1:], row, isAddedLater(name, before)
}

// isAddedLater reports whether a field may be one that a later version adds: it has no row in the
// table, and is not among those before it.
func isAddedLater(name []byte, before []member) bool {
	known := slices.ContainsFunc(fields, func(f Field) bool { return f.Name == string(name) })
	twice := slices.ContainsFunc(before, func(m member) bool { return bytes.Equal(m.name, name) })
	return !known && !twice && isFieldName(name)
}

func isFieldName(name []byte) bool {
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return len(name) > 0
}

// cutText returns what stands before the next quote that is not escaped, and what follows it. It
// takes only the characters and escapes that the log writes.
func cutText(b []byte) ([]byte, []byte, bool) {
	for i := plainStart(b); i < len(b); {
		switch c := b[i]; {
		case c == '"':
			return b[:i], b[i+1:], true
		case c >= ' ' && c < 0x7f && c != '\\':
			i++
		default:
			size := lengthOfRune(b[i:])
			if size == 0 {
				return nil, nil, false
			}
			i += size
		}
	}
	return nil, nil, false
}

// plainStart is how many bytes at the start are surely printable ASCII other than quotes and
// backslashes. It looks at eight at a time: most of a line is such text.
func plainStart(b []byte) int {
	const each, top = 0x0101010101010101, 0x8080808080808080
	n := 0
	for ; len(b)-n >= 8; n += 8 {
		word := binary.LittleEndian.Uint64(b[n:])
		quote, backslash, del := word^each*'"', word^each*'\\', word^each*0x7f
		// The top bit of a byte: of those below ' ', of those that are 0, of those beyond ASCII.
		special := (word-each*' ')&^word | (quote-each)&^quote | (backslash-each)&^backslash | (del-each)&^del | word
		if special &= top; special != 0 {
			return n + bits.TrailingZeros64(special)/8
		}
	}
	return n
}

// lengthOfRune is how many bytes the escape or the visible character takes with which b begins; 0
// if the log writes no such thing.
func lengthOfRune(b []byte) int {
	if b[0] == '\\' {
		return lengthOfEscape(b)
	}
	r, size := utf8.DecodeRune(b)
	if !isVisible(r) || r == utf8.RuneError && size == 1 {
		return 0
	}
	return size
}

func lengthOfEscape(b []byte) int {
	const unicode = len(`\u0000`)
	switch {
	case len(b) > 1 && (b[1] == '"' || b[1] == '\\'):
		return len(`\"`)
	case len(b) < unicode || b[1] != 'u' || !isLowerHex(b[2:unicode]):
		return 0
	}
	r, _ := strconv.ParseInt(string(b[2:unicode]), 16, 32) // isLowerHex checked it
	if isVisible(rune(r)) {
		return 0
	}
	return unicode
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

// decodeLowerHex fills dst, and reports whether text begins with that much hex in lower case.
func decodeLowerHex(dst, text []byte) bool {
	var all byte
	for i := range dst {
		high, low := lowerHex[text[2*i]], lowerHex[text[2*i+1]]
		all |= high | low
		dst[i] = high<<4 | low
	}
	return all <= 0xf
}

// lowerHex is the value of each digit, and 0xff of every other character.
var lowerHex = func() [256]byte {
	var values [256]byte
	for c := range values {
		values[c] = 0xff
	}
	for value, c := range []byte("0123456789abcdef") {
		values[c] = byte(value)
	}
	return values
}()

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

// Follows reports whether the line is what was written after the line with the mac prev, under the
// key of linker.
func (l *Line) Follows(prev MAC, linker *Linker) bool {
	return linker.link(prev, l.covered) == l.MAC
}
