package audit

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestEveryCharacterComesBack writes every character, some at a time, and reads them back.
func TestEveryCharacterComesBack(t *testing.T) {
	t.Parallel()
	const atOnce = 40 // of at most 12 bytes
	var l Line
	for first := rune(0); first <= utf8.MaxRune; first += atOnce {
		var text strings.Builder
		for r := first; r < min(first+atOnce, utf8.MaxRune+1); r++ {
			_, _ = text.WriteRune(r) // U+FFFD for half of a pair
		}
		body := AppendBody([]byte(RecordStart+"1"), &Record{Caller: text.String()})
		if err := l.parseFields(body[len(`{"v":1`):]); err != nil {
			t.Fatalf("%U: %v: %q", first, err, body)
		}
		if got := l.Text("caller"); got != text.String() {
			t.Fatalf("%U: %q came back as %q", first, text.String(), got)
		}
	}
}

// TestOnlyWhatTheLogWritesIsARecord: whoever can write to a file must not bring anything to the
// terminal of whoever reads it, nor show them another record than another reader sees.
func TestOnlyWhatTheLogWritesIsARecord(t *testing.T) {
	t.Parallel()
	sealed := string(seal(t, &Record{Caller: "backend", Event: EventIssue}, 0))
	whole := strings.TrimSuffix(sealed, "\n")
	var l Line
	if err := l.Parse([]byte(whole)); err != nil {
		t.Fatal(err)
	}
	for name, caller := range map[string]string{
		"a control character":         "\x1b[2J",
		"an 8-bit control character":  "\x9b2J",
		"a C1 control character":      "\u009b2J",
		"delete":                      "\x7f",
		"not UTF-8":                   "\xff",
		"half of a character":         "\xe2\x80",
		"right to left":               "\u202e",
		"an isolate":                  "\u2066",
		"a zero-width space":          "\u200b",
		"a zero-width joiner":         "\u200d",
		"a byte-order mark":           "\ufeff",
		"a soft hyphen":               "\u00ad",
		"a filler":                    "\u3164",
		"a variation selector":        "\ufe0f",
		"a tag":                       "\U000e0041",
		"a grapheme joiner":           "\u034f",
		"a line separator":            "\u2028",
		"a paragraph separator":       "\u2029",
		"a space that is not a space": "\u00a0",
		"an escape of JSON's":         `\n`,
		"an escape of a letter":       `\u0061`,
		"an escape in capitals":       `\u001B`,
		"half of an escape":           `\u00`,
		"no escape":                   `\x`,
		"an escaped control":          "\\\x1b",
		"twice":                       `backend","caller":"other`,
		"twice, unknown":              `backend","zz":"1","zz":"2`,
		"an earlier field":            `backend","event":"token.verify`,
		"the version again":           `backend","v":"2`,
		"the number again":            `backend","seq":"7`,
		"a mac in the middle":         `backend","mac":"00`,
		"a name with an escape":       `backend","c\u0061ller":"x`,
		"a name in capitals":          `backend","Caller":"x`,
		"a name of nothing":           `backend","":"x`,
	} {
		raw := strings.Replace(whole, `"caller":"backend`, `"caller":"`+caller, 1)
		if raw == whole {
			t.Fatal("nothing was replaced")
		}
		if err := l.Parse([]byte(raw)); err == nil {
			t.Errorf("%s: %q is taken for a record", name, raw)
		}
	}
	newer := strings.Replace(whole, `"caller":"backend"`, `"caller":"backend","added_later":1`, 1)
	if err := l.Parse([]byte(newer)); err != nil || string(l.Get("added_later")) != "1" {
		t.Errorf("a field of a later version: %v", err)
	}
}
