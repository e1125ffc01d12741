package config

import (
	"encoding"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Flag is one flag of the command line. A flag that is not given takes its environment variable,
// and without that its default.
type Flag struct {
	Name        string // without dashes
	Placeholder string // stands for the value in help, such as PATH; empty: the flag is a switch
	Default     string // as on the command line; empty: none
	Help        string
	Set         func(text string) error // parses and stores a value; says what it expected
}

// VariablePrefix begins the name of every flag's environment variable.
const VariablePrefix = "CHATIDENTITY_"

// Variable returns the name of the flag's environment variable.
func (f Flag) Variable() string {
	return VariablePrefix + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))
}

// Group is the flags that stand together in help.
type Group struct {
	Title string // empty: the command's own flags
	Flags []Flag
}

// Value returns a flag whose value is what parse returns.
func Value[T any](to *T, parse func(text string) (T, error), name, placeholder, standard, help string) Flag {
	return Flag{name, placeholder, standard, help, func(text string) error {
		value, err := parse(text)
		if err == nil {
			*to = value
		}
		return err
	}}
}

// List returns a flag that may be repeated and takes several values separated by commas. An empty
// text is no value.
func List[T any](to *[]T, parse func(text string) (T, error), name, placeholder, standard, help string) Flag {
	return Flag{name, placeholder, standard, help, func(text string) error {
		if text == "" {
			return nil
		}
		for part := range strings.SplitSeq(text, ",") {
			value, err := parse(part)
			if err != nil {
				return err
			}
			*to = append(*to, value)
		}
		return nil
	}}
}

// Text returns a flag whose value parses itself.
func Text(to encoding.TextUnmarshaler, name, placeholder, standard, help string) Flag {
	return Flag{name, placeholder, standard, help, func(text string) error { return to.UnmarshalText([]byte(text)) }}
}

// String returns a flag that takes any text.
func String(to *string, name, placeholder, standard, help string) Flag {
	return Value(to, func(text string) (string, error) { return text, nil }, name, placeholder, standard, help)
}

// Duration returns a flag that takes a duration.
func Duration(to *time.Duration, name, standard, help string) Flag {
	return Value(to, parseDuration, name, "DURATION", standard, help)
}

// Switch returns a flag that is on or off. It is off unless it is given.
func Switch(to *bool, name, help string) Flag {
	return Value(to, parseSwitch, name, "", "", help)
}

// OneOf returns a parser that accepts only the choices.
func OneOf[T ~string](choices ...T) func(text string) (T, error) {
	return func(text string) (T, error) {
		if slices.Contains(choices, T(text)) {
			return T(text), nil
		}
		names := make([]string, len(choices))
		for i, choice := range choices {
			names[i] = string(choice)
		}
		return "", fmt.Errorf("%q is not one of %s", text, strings.Join(names, ", "))
	}
}

func parseDuration(text string) (time.Duration, error) {
	duration, err := time.ParseDuration(text)
	if err != nil {
		return 0, fmt.Errorf("%q must be a duration with a unit, such as 500ms, 10s or 5m", text)
	}
	return duration, nil
}

func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "1", "yes":
		return true, nil
	case "false", "0", "no":
		return false, nil
	default:
		return false, fmt.Errorf("%q must be true or false", text)
	}
}

func parseOnOff(text string) (bool, error) {
	choice, err := OneOf("on", "off")(text)
	return choice == "on", err
}

func parseUserID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q must be a user ID in digits, such as 1000", text)
	}
	return uint32(id), nil
}

func parseLevel(text string) (slog.Level, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(text)); err != nil {
		return 0, errors.New(strconv.Quote(text) + " is not one of debug, info, warn, error")
	}
	return level, nil
}
