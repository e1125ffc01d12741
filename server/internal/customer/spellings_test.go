package customer_test

import (
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/customer"
)

// TestAddressesThatPeopleHave has the addresses that the standard does not allow and Japanese carriers
// gave out nevertheless, and what must stay refused beside them.
func TestAddressesThatPeopleHave(t *testing.T) {
	t.Parallel()
	domain := "@docomo.ne.jp"
	for email, good := range map[string]bool{
		"a..b" + domain:          true,
		"a." + domain:            true,
		"a.." + domain:           true,
		"a...b" + domain:         true,
		"a..b.c..d." + domain:    true,
		"a-.-b_..c" + domain:     true,
		"ada+chat.." + domain:    true,
		"δοκιμή..α." + domain:    true,
		"a..b@[192.0.2.1]":       true,
		"a.b" + domain:           true,
		"A..B@EZWEB.NE.JP":       true,
		"o'hara..@softbank.jp":   true,
		"." + domain:             false,
		".." + domain:            false,
		".a" + domain:            false,
		"..a" + domain:           false,
		"a@docomo..ne.jp":        false,
		"a..b@.docomo.ne.jp":     false,
		"a..b@docomo.ne.jp.":     false,
		`"a..b"` + domain:        false,
		`"a."` + domain:          false,
		"a..b@c" + domain:        false,
		"a..b(c)" + domain:       false,
		"a .. b" + domain:        false,
		"<a..b" + domain + ">":   false,
		"A <a..b" + domain + ">": false,
		"a..b":                   false,
		"a..b@":                  false,
		"a..,b." + domain:        false,
	} {
		t.Run(email, func(t *testing.T) {
			t.Parallel()
			if violations := (customer.Customer{Email: email}).Check(); (len(violations) == 0) != good {
				t.Errorf("accepted %t, want %t: %v", !good, good, violations)
			}
		})
	}
}

// TestCharactersThatReadersDoNotSee puts each character at the ends and in the middle of an external ID
// and of an address.
func TestCharactersThatReadersDoNotSee(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		character string
		hidden    bool
	}{
		"soft hyphen":                       {"\u00ad", true},
		"Arabic letter mark":                {"\u061c", true},
		"Mongolian vowel separator":         {"\u180e", true},
		"zero width space":                  {"\u200b", true},
		"zero width non-joiner":             {"\u200c", true},
		"zero width joiner":                 {"\u200d", true},
		"left-to-right mark":                {"\u200e", true},
		"right-to-left mark":                {"\u200f", true},
		"left-to-right embedding":           {"\u202a", true},
		"pop directional formatting":        {"\u202c", true},
		"right-to-left override":            {"\u202e", true},
		"word joiner":                       {"\u2060", true},
		"invisible separator":               {"\u2063", true},
		"left-to-right isolate":             {"\u2066", true},
		"pop directional isolate":           {"\u2069", true},
		"byte order mark":                   {"\ufeff", true},
		"interlinear annotation":            {"\ufff9", true},
		"tag":                               {"\U000e0041", true},
		"line separator":                    {"\u2028", true},
		"paragraph separator":               {"\u2029", true},
		"no-break space":                    {"\u00a0", true},
		"ogham space":                       {"\u1680", true},
		"en quad":                           {"\u2000", true},
		"hair space":                        {"\u200a", true},
		"narrow no-break space":             {"\u202f", true},
		"medium mathematical space":         {"\u205f", true},
		"ideographic space":                 {"\u3000", true},
		"combining acute accent":            {"e\u0301", false},
		"emoji":                             {"🦄", false},
		"Persian letter":                    {"می", false},
		"Devanagari with virama":            {"क्ष", false},
		"hiragana":                          {"あ", false},
		"replacement character, as it came": {"\ufffd", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for where, value := range map[string]string{
				"begins": test.character + "ada", "ends": "ada" + test.character, "holds": "a" + test.character + "da",
			} {
				id := customer.Customer{ExternalID: value}.Check()
				if refused := len(id) > 0; refused != (test.hidden && where != "holds") {
					t.Errorf("an external ID that %s with it: refused %t", where, refused)
				}
				local := customer.Customer{Email: value + "@example.com"}.Check()
				domain := customer.Customer{Email: "ada@" + value + ".example.com"}.Check()
				if (len(local) > 0) != test.hidden || (len(domain) > 0) != test.hidden {
					t.Errorf("an address that %s with it: violations %v, %v", where, local, domain)
				}
				for _, violation := range append(append(id, local...), domain...) {
					if strings.Contains(violation.Description, test.character) {
						t.Errorf("the description %q repeats the character", violation.Description)
					}
				}
			}
		})
	}
}
