package audit

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"
)

// FuzzLine reads any line. One that is taken for a record is JSON, shows all that it holds, and has
// the fields that any reader of JSON finds in it.
func FuzzLine(f *testing.F) {
	r := filled("caller", 7)
	f.Add(bytes.TrimSuffix(seal(f, r, 3), []byte("\n")))
	f.Add([]byte(`{"v":1,"seq":1,"seq":2,"mac":"` + strings.Repeat("0", 64) + `"}`))
	f.Add([]byte(`{"v":1,"seq":18446744073709551616,"x":"\u202e","mac":"` + strings.Repeat("a", 64) + `"}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		var l Line
		if l.Parse(raw) != nil {
			return
		}
		var fields map[string]any
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.UseNumber()
		if err := decoder.Decode(&fields); err != nil || !utf8.Valid(raw) {
			t.Fatalf("taken for a record, and no JSON: %v: %q", err, raw)
		}
		if len(fields) != l.n+2 { // "v" and "mac" are none of the members
			t.Fatalf("%d fields, and JSON has %d: %q", l.n, len(fields), raw)
		}
		for name, value := range fields {
			text, isText := value.(string)
			if number, isNumber := value.(json.Number); isNumber {
				text = number.String()
			} else if !isText {
				t.Fatalf("%s is neither text nor number: %q", name, raw)
			}
			if name != "v" && name != "mac" && l.Text(name) != text {
				t.Fatalf("%s is %q, and JSON has %q: %q", name, l.Text(name), text, raw)
			}
		}
		for _, r := range string(raw) {
			if !isVisible(r) {
				t.Fatalf("it hides %U: %q", r, raw)
			}
		}
	})
}

// FuzzPseudonym compares two identifiers. They have the same pseudonym only if they are the same, or
// emails that differ in ASCII case alone.
func FuzzPseudonym(f *testing.F) {
	k := testKey(f, "k")
	f.Add("ada@example.com", "ADA@example.com", true, true)
	f.Add("a", "a", true, false)
	f.Add("\u212aelvin@example.com", "kelvin@example.com", true, true)
	f.Fuzz(func(t *testing.T, a, b string, aIsEmail, bIsEmail bool) {
		kind := func(isEmail bool) string {
			if isEmail {
				return KindEmail
			}
			return KindExternalID
		}
		same := a == b
		if aIsEmail && len(a) == len(b) {
			same = true
			for i := range len(a) {
				same = same && lower(a[i]) == lower(b[i])
			}
		}
		if got := k.Pseudonym(kind(aIsEmail), a) == k.Pseudonym(kind(bIsEmail), b); got != (same && aIsEmail == bIsEmail) {
			t.Errorf("%q (%t) and %q (%t) share a pseudonym: %t", a, aIsEmail, b, bIsEmail, got)
		}
	})
}

func lower(c byte) byte {
	if c >= 'A' && c <= 'Z' {
		c += 'a' - 'A'
	}
	return c
}
