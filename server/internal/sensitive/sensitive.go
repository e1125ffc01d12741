// Package sensitive holds values that must not be printed: secrets, API keys,
// tokens.
package sensitive

import (
	"fmt"
	"log/slog"
)

const redacted = "[redacted]"

// String is text that prints as "[redacted]" by every route: the verbs of fmt
// (within other structs too), JSON, text and slog. Only Reveal gives it out.
// The zero value is the empty text.
//
// The text sits behind a pointer because fmt reads unexported fields of other
// structs by reflection, past every method: there it finds an address.
type String struct {
	text *string
}

// New wraps text.
func New(text string) String { return String{text: &text} }

// Reveal returns the text, for the one place that needs it.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsEmpty reports whether there is no text.
func (s String) IsEmpty() bool { return s.text == nil || *s.text == "" }

// Format prints "[redacted]" for every verb and flag.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "[redacted]"; encoding/json uses it, for map keys too.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }
