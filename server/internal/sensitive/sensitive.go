// Package sensitive holds values that must not be printed: secrets, API keys,
// tokens.
package sensitive

import (
	"fmt"
	"log/slog"
	"sync/atomic"
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
	kept *atomic.Pointer[any] // nil: nothing can be
}

// New wraps text.
func New(text string) String { return String{text: &text} }

// Keeping returns the same text, with which something can be kept.
func (s String) Keeping() String { return String{text: s.text, kept: &atomic.Pointer[any]{}} }

// Reveal returns the text, for the one place that needs it.
func (s String) Reveal() string {
	if s.text == nil {
		return ""
	}
	return *s.text
}

// IsEmpty reports whether there is no text.
func (s String) IsEmpty() bool { return s.text == nil || *s.text == "" }

// Keep returns what is kept with the text, at first what derive returns: something that is dear to
// make from the text and must not outlive it. If nothing can be kept it is derived each time.
func (s String) Keep(derive func() any) any {
	if s.kept == nil {
		return derive()
	}
	if kept := s.kept.Load(); kept != nil {
		return *kept
	}
	derived := derive()
	s.kept.CompareAndSwap(nil, &derived)
	return *s.kept.Load() // perhaps somebody else's, who was faster
}

// Format prints "[redacted]" for every verb and flag.
func (s String) Format(f fmt.State, _ rune) { _, _ = f.Write([]byte(redacted)) }

// MarshalText returns "[redacted]"; encoding/json uses it, for map keys too.
func (s String) MarshalText() ([]byte, error) { return []byte(redacted), nil }

// LogValue returns "[redacted]".
func (s String) LogValue() slog.Value { return slog.StringValue(redacted) }
