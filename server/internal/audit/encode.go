package audit

import (
	"strconv"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// RecordStart is how every line begins.
const RecordStart = `{"v":1,"seq":`

// truncated ends a text that was cut.
const truncated = "…"

// AppendBody appends the part of a line that does not depend on its place in the chain: the fields
// that the record itself has.
func AppendBody(b []byte, r *Record) []byte {
	for i := range fields {
		f := &fields[i]
		switch {
		case f.text != nil:
			if s := f.text(r); s != "" {
				b = appendText(append(b, f.key...), s, f.Bound)
			}
		case f.number != nil:
			if n := f.number(r); n != 0 || f.Always {
				b = strconv.AppendInt(append(b, f.key...), n, 10)
			}
		case f.time != nil:
			b = append(AppendTime(append(b, f.key...), f.time(r)), '"')
		}
	}
	return b
}

// AppendTime appends a time as records hold it: RFC 3339, UTC, always nine digits of the fraction.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 { // RFC 3339 has four digits for it
		t = time.Time{}
	}
	const upToSeconds, whole = len("2006-01-02T15:04:05"), len("2006-01-02T15:04:05.000000000")
	start := len(b)
	b = t.AppendFormat(b, time.RFC3339Nano) // twice as fast as a layout of ours, but without the last zeros
	b = b[:len(b)-len("Z")]
	if len(b)-start == upToSeconds {
		b = append(b, '.')
	}
	for len(b)-start < whole {
		b = append(b, '0')
	}
	return append(b, 'Z')
}

// appendText appends s in JSON, at most limit bytes of it, and the closing quote.
func appendText(b []byte, s string, limit int) []byte {
	start := len(b)
	b = append(b, s...)
	if len(s) > limit || !isPlain(b[start:]) {
		b = appendEscaped(b[:start], s, limit)
	}
	return append(b, '"')
}

func isPlain(b []byte) bool {
	for _, c := range b[plainStart(b):] {
		if c < ' ' || c > '~' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// appendEscaped appends s with escapes. What exceeds limit bytes is cut off between two characters
// and marked.
func appendEscaped(b []byte, s string, limit int) []byte {
	start, cut := len(b), len(b)
	for _, r := range s { // bytes that are not UTF-8 come out as U+FFFD
		b = appendRune(b, r)
		if len(b)-start > limit {
			return append(b[:cut], truncated...)
		}
		if len(b)-start <= limit-len(truncated) {
			cut = len(b)
		}
	}
	return b
}

// appendRune escapes what JSON demands and every character that is not visible.
func appendRune(b []byte, r rune) []byte {
	switch {
	case r == '"' || r == '\\':
		return append(b, '\\', byte(r))
	case isVisible(r):
		return utf8.AppendRune(b, r)
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		return appendUnicode(appendUnicode(b, high), low)
	default:
		return appendUnicode(b, r)
	}
}

func appendUnicode(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&0xf], hex[r>>8&0xf], hex[r>>4&0xf], hex[r&0xf])
}

// isVisible reports whether a character has a shape of its own: a record that is printed shows
// everything that it holds, moves no cursor and turns no direction.
func isVisible(r rune) bool {
	return unicode.IsPrint(r) && !unicode.In(r, unicode.Other_Default_Ignorable_Code_Point, unicode.Variation_Selector)
}
