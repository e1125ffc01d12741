package audit

import (
	"errors"
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
		"no escape, and its digits":   `\x001f`,
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
	for _, name := range []string{"added_later", "az_09"} {
		newer := strings.Replace(whole, `"caller":"backend"`, `"caller":"backend","`+name+`":1`, 1)
		if err := l.Parse([]byte(newer)); err != nil || string(l.Get(name)) != "1" {
			t.Errorf("a field of a later version: %v", err)
		}
	}
}

// Each of these differs from a record in one thing, and some of them end too early.
func TestALineThatBeginsOrEndsOtherwiseIsNoRecord(t *testing.T) {
	t.Parallel()
	const mac = `,"mac":"`
	sum := strings.Repeat("0", macChars)
	var l Line
	if err := l.Parse([]byte(RecordStart + "1" + mac + sum + `"}`)); err != nil {
		t.Fatal(err)
	}
	for name, raw := range map[string]string{
		"only the beginning":       RecordStart + "1",
		"another version":          `{"v":2,"seq":1` + mac + sum + `"}`,
		"another end":              RecordStart + "1" + mac + sum + `"]`,
		"a mac in capitals":        RecordStart + "1" + mac + strings.Repeat("A", macChars) + `"}`,
		"no mac":                   RecordStart + "1" + `,"mic":"` + sum + `"}`,
		"two macs":                 RecordStart + `1,"mac":"` + sum + `"` + mac + sum + `"}`,
		"half of a field":          RecordStart + `1,` + mac + sum + `"}`,
		"a field without a name":   RecordStart + `1,"` + mac + sum + `"}`,
		"a field without a colon":  RecordStart + `1,"zz"` + mac + sum + `"}`,
		"a field without a value":  RecordStart + `1,"zz":` + mac + sum + `"}`,
		"a known one without":      RecordStart + `1,"caller":` + mac + sum + `"}`,
		"a field without a comma":  RecordStart + `1;"zz":1` + mac + sum + `"}`,
		"a text that does not end": RecordStart + `1,"zz":"x` + mac + sum + `"}`,
		"an escape that does not":  RecordStart + `1,"zz":"\` + mac + sum + `"}`,
		"a sign without a number":  RecordStart + `1,"zz":-` + mac + sum + `"}`,
		"nothing where a value is": RecordStart + `1,"yy":,"zz":1` + mac + sum + `"}`,
	} {
		if err := l.Parse([]byte(raw)); err == nil {
			t.Errorf("%s: %q is taken for a record", name, raw)
		}
	}
	long := RecordStart + `1,"zz":"` + strings.Repeat("x", MaxLine)
	if err := l.Parse([]byte(long[:MaxLine])); !errors.Is(err, ErrTooLong) {
		t.Errorf("a line that leaves no room for its newline: %v", err)
	}
	if err := l.Parse([]byte(long[:MaxLine-1])); errors.Is(err, ErrTooLong) {
		t.Errorf("the longest line: %v", err)
	}
}

func TestALineHasItsValuesUnescaped(t *testing.T) {
	t.Parallel()
	raw := seal(t, &Record{Instance: "\nb", Caller: `a\b`, Event: EventIssue}, 0)
	var l Line
	if err := l.Parse(raw[:len(raw)-1]); err != nil {
		t.Fatal(err)
	}
	for _, field := range []struct{ name, value, other string }{
		{"event", "token.issue", "token.verify"}, {"instance", "\nb", `\u000ab`}, {"caller", `a\b`, `a\\b`}, {"peer", "", "x"},
	} {
		if !l.Is(field.name, field.value) || l.Is(field.name, field.other) {
			t.Errorf("%s is %q: %t; is %q: %t", field.name,
				field.value, l.Is(field.name, field.value), field.other, l.Is(field.name, field.other))
		}
	}
}

func TestALineFollowsTheOneBefore(t *testing.T) {
	t.Parallel()
	key, other := testKey(t, "k"), testKey(t, "other")
	chain := NewChain(key, Head{})
	chain.Seal(nil, AppendBody(nil, &Record{Event: EventIssue}), 0)
	first := chain.Head().MAC
	raw := chain.Seal(nil, AppendBody(nil, &Record{Event: EventVerify}), 0)
	var l Line
	if err := l.Parse(raw[:len(raw)-1]); err != nil {
		t.Fatal(err)
	}
	if !l.Follows(first, NewLinker(key)) || l.Follows(MAC{}, NewLinker(key)) || l.Follows(first, NewLinker(other)) {
		t.Error("the second line follows the first under its key, and nothing else")
	}
}

// Only these replies wait for their record.
func TestOnlyAnAnsweredIssueCarriesAToken(t *testing.T) {
	t.Parallel()
	for _, event := range []Event{EventIssue, EventVerify, EventRefused, EventStart, EventCopyGap} {
		for _, outcome := range []string{OutcomeOK, OutcomeUnavailable, ""} {
			r := Record{Event: event, Outcome: outcome}
			if got, want := r.CarriesToken(), event == EventIssue && outcome == "OK"; got != want {
				t.Errorf("%s, %s: carries a token: %t", event, outcome, got)
			}
		}
	}
}
