package customer_test

import (
	"encoding/json"
	"fmt"
	"net/mail"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/customer"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	longestEmail := strings.Repeat("a", customer.MaxEmailBytes-len("@example.com")) + "@example.com"
	id, email, whole := customer.FieldExternalID, customer.FieldEmail, customer.FieldCustomer
	for name, test := range map[string]struct {
		customer customer.Customer
		fields   []string
	}{
		"external id":                {customer.Customer{ExternalID: "user_id"}, nil},
		"email":                      {customer.Customer{Email: "ada@example.com"}, nil},
		"both":                       {customer.Customer{ExternalID: "user_id", Email: "ada@example.com"}, nil},
		"unicode":                    {customer.Customer{ExternalID: "Ωμέγα 🦄 <>&\"\\\u2028.", Email: "δοκιμή@παράδειγμα.gr"}, nil},
		"plus and dots":              {customer.Customer{Email: "a.d.a+chat@mail.example.co.uk"}, nil},
		"domain without dot":         {customer.Customer{Email: "ada@localhost"}, nil},
		"longest values":             {customer.Customer{ExternalID: strings.Repeat("x", 512), Email: longestEmail}, nil},
		"inner space in external id": {customer.Customer{ExternalID: "user 1"}, nil},

		"neither":                    {customer.Customer{}, []string{whole}},
		"long external id":           {customer.Customer{ExternalID: strings.Repeat("x", 513)}, []string{id}},
		"bytes are counted":          {customer.Customer{ExternalID: strings.Repeat("é", 257)}, []string{id}},
		"long email":                 {customer.Customer{Email: "a" + longestEmail}, []string{email}},
		"control character":          {customer.Customer{ExternalID: "user\x00id"}, []string{id}},
		"line feed":                  {customer.Customer{ExternalID: "user\nid"}, []string{id}},
		"C1 control":                 {customer.Customer{ExternalID: "user\u0085id"}, []string{id}},
		"delete":                     {customer.Customer{ExternalID: "user\x7fid"}, []string{id}},
		"leading space":              {customer.Customer{ExternalID: " user_id"}, []string{id}},
		"trailing space":             {customer.Customer{ExternalID: "user_id "}, []string{id}},
		"trailing no-break space":    {customer.Customer{ExternalID: "user_id\u00a0"}, []string{id}},
		"leading line separator":     {customer.Customer{ExternalID: "\u2028user_id"}, []string{id}},
		"leading byte order mark":    {customer.Customer{ExternalID: "\ufeffuser_id"}, []string{id}},
		"email, byte order mark":     {customer.Customer{Email: "\ufeffada@example.com"}, []string{email}},
		"only a space":               {customer.Customer{ExternalID: " "}, []string{id}},
		"not UTF-8":                  {customer.Customer{ExternalID: "user\xff"}, []string{id}},
		"padded email":               {customer.Customer{Email: " ada@example.com"}, []string{email}},
		"two addresses":              {customer.Customer{Email: "ada@example.com,bob@example.com"}, []string{email}},
		"two addresses, spaced":      {customer.Customer{Email: "ada@example.com bob@example.com"}, []string{email}},
		"display name":               {customer.Customer{Email: "Ada <ada@example.com>"}, []string{email}},
		"angle brackets":             {customer.Customer{Email: "<ada@example.com>"}, []string{email}},
		"comment":                    {customer.Customer{Email: "ada@example.com (Ada)"}, []string{email}},
		"comment before":             {customer.Customer{Email: "(Ada)ada@example.com"}, []string{email}},
		"group":                      {customer.Customer{Email: "team:ada@example.com;"}, []string{email}},
		"no at sign":                 {customer.Customer{Email: "ada"}, []string{email}},
		"no local part":              {customer.Customer{Email: "@example.com"}, []string{email}},
		"no domain":                  {customer.Customer{Email: "ada@"}, []string{email}},
		"two at signs":               {customer.Customer{Email: "ada@bob@example.com"}, []string{email}},
		"encoded word":               {customer.Customer{Email: "=?utf-8?q?ada?= <ada@example.com>"}, []string{email}},
		"bad external id, bad email": {customer.Customer{ExternalID: "\t", Email: "ada"}, []string{id, email}},
		"good external id, bad mail": {customer.Customer{ExternalID: "user_id", Email: "ada"}, []string{email}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var fields []string
			for _, violation := range test.customer.Check() {
				fields = append(fields, violation.Field)
				if violation.Description == "" {
					t.Errorf("the violation of %s has no description", violation.Field)
				}
			}
			if !slices.Equal(fields, test.fields) {
				t.Errorf("violations of %q, want %q", fields, test.fields)
			}
		})
	}
}

func FuzzCheckedEmailIsOneBareAddress(f *testing.F) {
	for _, seed := range []string{"ada@example.com", "a@b,c@d", "A <a@b>", "\"a b\"@c", "a@[1.2.3.4]", " a@b", "a@b\u2028"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, email string) {
		violations := customer.Customer{ExternalID: "x", Email: email}.Check()
		if len(violations) == 0 && strings.ContainsAny(email, " \t\r\n,;<>\x00") {
			t.Errorf("accepted %q", email)
		}
		if len(violations) > 0 && isBareAddress(email) {
			t.Errorf("refused %q: %v", email, violations)
		}
		for _, violation := range violations {
			if len(email) > 20 && strings.Contains(violation.Description, email) {
				t.Errorf("the description repeats the value %q", email)
			}
		}
	})
}

// isBareAddress reports whether a standard parser takes all of a text that readers see as an address.
func isBareAddress(text string) bool {
	address, err := mail.ParseAddress(text)
	unseen := func(r rune) bool { return unicode.In(r, unicode.C, unicode.Z) }
	return err == nil && address.Address == text && len(text) <= customer.MaxEmailBytes &&
		utf8.ValidString(text) && !strings.ContainsFunc(text, unseen)
}

func TestIdentifierPolicyApply(t *testing.T) {
	t.Parallel()
	id, email := customer.Customer{ExternalID: "user_id"}, customer.Customer{Email: "ada@example.com"}
	both := customer.Customer{ExternalID: "user_id", Email: "ada@example.com"}
	for _, test := range []struct {
		policy string
		given  customer.Customer
		signed customer.Customer
		login  customer.Identifier
		field  string
	}{
		{"as-given", id, id, customer.ExternalID, ""},
		{"as-given", email, email, customer.Email, ""},
		{"as-given", both, both, customer.Email, ""},
		{"external-id", id, id, customer.ExternalID, ""},
		{"external-id", both, id, customer.ExternalID, ""},
		{"external-id", email, customer.Customer{}, 0, customer.FieldExternalID},
		{"email", email, email, customer.Email, ""},
		{"email", both, email, customer.Email, ""},
		{"email", id, customer.Customer{}, 0, customer.FieldEmail},
		{"exclusive", id, id, customer.ExternalID, ""},
		{"exclusive", email, email, customer.Email, ""},
		{"exclusive", both, customer.Customer{}, 0, customer.FieldCustomer},
	} {
		name := fmt.Sprintf("%s, external id %t, email %t", test.policy, test.given.ExternalID != "", test.given.Email != "")
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var policy customer.IdentifierPolicy
			if err := policy.UnmarshalText([]byte(test.policy)); err != nil {
				t.Fatal(err)
			}
			if policy.String() != test.policy {
				t.Errorf("String = %q, want %q", policy.String(), test.policy)
			}
			signed, violations := policy.Apply(test.given)
			if signed != test.signed {
				t.Errorf("signs %+v", signed)
			}
			if login, _ := signed.Login(); login != test.login {
				t.Errorf("login identifier %q, want %q", login, test.login)
			}
			if refused := len(violations) > 0; refused != (test.field != "") || refused && violations[0].Field != test.field {
				t.Errorf("violations %v, want one of %q", violations, test.field)
			}
		})
	}
}

func TestUnknownIdentifierPolicyIsNamedWithTheKnownOnes(t *testing.T) {
	t.Parallel()
	if name := (customer.Exclusive + 1).String(); name != "IdentifierPolicy(4)" {
		t.Errorf("the policy after the last is %s", name)
	}
	var policy customer.IdentifierPolicy
	err := policy.UnmarshalText([]byte("both"))
	if err == nil || !strings.Contains(err.Error(), `"both"`) || !strings.Contains(err.Error(), "as-given, external-id, email, exclusive") {
		t.Errorf("error %v must name the value and the choices", err)
	}
}

func TestCustomerPrintsRedacted(t *testing.T) {
	t.Parallel()
	canary := customer.Customer{ExternalID: "canary-id", Email: "canary@example.com"}
	asJSON, err := json.Marshal(canary)
	if err != nil {
		t.Fatal(err)
	}
	for _, printed := range []string{fmt.Sprintf("%v %+v %#v %s", canary, canary, canary, &canary), string(asJSON)} {
		if strings.Contains(printed, "canary") {
			t.Errorf("printed %s", printed)
		}
	}
}
