package config

import (
	"cmp"
	"encoding"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Flag is one flag of the command line. A flag that is not given takes its environment variable,
// and without that its default. A variable that is blank is none.
type Flag struct {
	Name        string // without dashes
	Placeholder string // stands for the value in help, such as PATH; empty: the flag is a switch
	Default     string // as on the command line; empty: none
	Help        string
	Set         func(text string) error // parses and stores a value; says what it expected
}

// PathPlaceholder is that of flags that name a file.
const PathPlaceholder = "PATH"

// VariablePrefix begins the name of every flag's environment variable.
const VariablePrefix = "CHATIDENTITY_"

// Variable returns the name of the flag's environment variable.
func (f Flag) Variable() string {
	return VariablePrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// Example returns a value that the flag may have; empty: help says enough.
func (f Flag) Example() string { return cmp.Or(f.Default, examples[f.Placeholder]) }

// examples are those of flags without a default, by placeholder.
var examples = map[string]string{
	"":              "true",
	"ADDRESS":       "127.0.0.1:9451",
	"DURATION":      "10s",
	"EMAIL":         "ada@example.com",
	"ID":            "user_id",
	"INSTANCE":      "chatidentity-0",
	"NAME":          "acme",
	PathPlaceholder: "/etc/chatidentity/file",
	"SEQ:MAC":       "12:" + strings.Repeat("0", 64),
	"TIME":          "24h",
	"UID":           "1000",
	"URL":           "rediss://redis:6379",
}

// IsBlank reports whether a text is no value: it is empty, or white space alone.
func IsBlank(text string) bool { return strings.TrimSpace(text) == "" }

// Group is the flags that stand together in help.
type Group struct {
	Title string // empty: the command's own flags
	Flags []Flag
}

// Value returns a flag whose value is what parse returns. White space around the text is dropped.
func Value[T any](to *T, parse func(text string) (T, error), name, placeholder, standard, help string) Flag {
	return Flag{name, placeholder, standard, help, func(text string) error {
		value, err := parse(strings.TrimSpace(text))
		if err == nil {
			*to = value
		}
		return err
	}}
}

// List returns a flag that may be repeated and takes several values separated by commas. White space
// around a value is dropped, and so are blank values.
func List[T any](to *[]T, parse func(text string) (T, error), name, placeholder, standard, help string) Flag {
	return Flag{name, placeholder, standard, help, func(text string) error {
		var values []T
		for part := range strings.SplitSeq(text, ",") {
			if IsBlank(part) {
				continue
			}
			value, err := parse(strings.TrimSpace(part))
			if err != nil {
				return err
			}
			values = append(values, value)
		}
		if values == nil {
			return errors.New("there is no value between the commas")
		}
		*to = append(*to, values...)
		return nil
	}}
}

// Text returns a flag whose value parses itself. An underscore stands for a hyphen too.
func Text(to encoding.TextUnmarshaler, name, placeholder, standard, help string) Flag {
	return Flag{name, placeholder, standard, help, func(text string) error {
		return to.UnmarshalText([]byte(hyphenated(strings.TrimSpace(text))))
	}}
}

// String returns a flag that takes any text, as it is.
func String(to *string, name, placeholder, standard, help string) Flag {
	return Flag{name, placeholder, standard, help, func(text string) error {
		*to = text
		return nil
	}}
}

// Path returns a flag that takes the path of a file.
func Path(to *string, name, standard, help string) Flag {
	return Value(to, func(text string) (string, error) { return text, nil }, name, PathPlaceholder, standard, help)
}

// Duration returns a flag that takes a duration.
func Duration(to *time.Duration, name, standard, help string) Flag {
	return Value(to, ParseDuration, name, "DURATION", standard, help)
}

// Switch returns a flag that is on or off. It is off unless it is given.
func Switch(to *bool, name, help string) Flag {
	return Value(to, parseSwitch, name, "", "", help)
}

// OneOf returns a parser that accepts only the choices, in any case and with underscores for hyphens.
func OneOf[T ~string](choices ...T) func(text string) (T, error) {
	return func(text string) (T, error) {
		names := make([]string, len(choices))
		for i, choice := range choices {
			names[i] = string(choice)
		}
		meant := slices.IndexFunc(names, func(name string) bool { return strings.EqualFold(name, hyphenated(text)) })
		if meant < 0 {
			return "", fmt.Errorf("%q is not one of %s", text, strings.Join(names, ", "))
		}
		return choices[meant], nil
	}
}

func hyphenated(text string) string { return strings.ReplaceAll(text, "_", "-") }
