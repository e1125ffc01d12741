// Package customer says who a token is for: the identifiers, their rules, and which of them are
// signed. It is a leaf: any room may import it, and it imports none.
package customer

import (
	"fmt"
	"log/slog"
	"net/mail"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Bounds of the identifiers, in bytes of UTF-8.
const (
	MaxExternalIDBytes = 512
	MaxEmailBytes      = 254
)

// Names of the fields in the contract, for Violation.Field.
const (
	FieldCustomer   = "customer"
	FieldExternalID = "customer.external_id"
	FieldEmail      = "customer.email"
)

// Customer is the person whom a token identifies. An empty identifier was not given. It prints as
// "[redacted]", because its values are personal data.
type Customer struct {
	ExternalID string
	Email      string
}

// Format prints "[redacted]" for every verb.
func (Customer) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte("[redacted]")) }

// LogValue returns "[redacted]".
func (Customer) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// MarshalText returns "[redacted]".
func (Customer) MarshalText() ([]byte, error) { return []byte("[redacted]"), nil }

// Login returns the identifier that Kustomer uses for c, and its value: the email address if c has
// both.
func (c Customer) Login() (Identifier, string) {
	switch {
	case c.Email != "":
		return Email, c.Email
	case c.ExternalID != "":
		return ExternalID, c.ExternalID
	default:
		return Unspecified, ""
	}
}

// Violation is one broken rule. Neither field repeats a value.
type Violation struct {
	Field       string // as in the contract, such as "customer.email"
	Description string // what the value must be
}

// Check returns the rules that c breaks, at most one for each field.
func (c Customer) Check() []Violation {
	if c == (Customer{}) {
		return []Violation{{FieldCustomer, "must have an external_id, an email, or both"}}
	}
	var violations []Violation
	for _, field := range []struct{ name, problem string }{
		{FieldExternalID, problem(c.ExternalID, MaxExternalIDBytes)},
		{FieldEmail, emailProblem(c.Email)},
	} {
		if field.problem != "" {
			violations = append(violations, Violation{field.name, field.problem})
		}
	}
	return violations
}

func emailProblem(email string) string {
	if email == "" {
		return ""
	}
	if p := problem(email, MaxEmailBytes); p != "" {
		return p
	}
	if strings.ContainsFunc(email, isInvisible) {
		return "must not contain invisible characters, bidirectional controls or spaces"
	}
	// The parser also accepts display names, comments and quoted parts. Only for one bare address
	// does it return the same text.
	standard := withStandardDots(email)
	address, err := mail.ParseAddress(standard)
	if err != nil || address.Address != standard {
		return "must be one bare address such as ada@example.com, with no display name, comment or angle brackets"
	}
	return ""
}

// withStandardDots returns the address with single dots inside its local part. Japanese carriers gave
// out addresses such as a..b@ and a.@, which the standard does not allow and people still have.
func withStandardDots(email string) string {
	at := strings.LastIndexByte(email, '@')
	if at < 0 || strings.HasPrefix(email, ".") {
		return email
	}
	parts := strings.FieldsFunc(email[:at], func(r rune) bool { return r == '.' })
	return strings.Join(parts, ".") + email[at:]
}

// isInvisible reports whether a reader may not see the character, or may see others in another order
// because of it: with it, an identifier looks like somebody else's.
func isInvisible(r rune) bool {
	return unicode.In(r, unicode.Cf, unicode.Zl, unicode.Zp) || r != ' ' && unicode.Is(unicode.Zs, r)
}

// isEdge reports whether a value must not begin or end with the character.
func isEdge(r rune) bool { return unicode.IsSpace(r) || isInvisible(r) }

func problem(value string, maxBytes int) string {
	switch {
	case len(value) > maxBytes:
		return fmt.Sprintf("must be at most %d bytes of UTF-8", maxBytes)
	case !utf8.ValidString(value):
		return "must be valid UTF-8"
	case strings.ContainsFunc(value, unicode.IsControl):
		return "must not contain control characters"
	case strings.TrimFunc(value, isEdge) != value:
		return "must not begin or end with white space or an invisible character; " +
			"it is not trimmed, because a different string is a different person"
	default:
		return ""
	}
}
