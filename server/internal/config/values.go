package config

import (
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Bytes is a size in bytes.
type Bytes int64

// String returns the form that parseBytes reads, in whole MiB.
func (b Bytes) String() string { return strconv.FormatInt(int64(b)>>20, 10) + "MiB" }

// byteUnits are those that people and Kubernetes write, in lower case.
var byteUnits = map[string]int64{
	"": 1, "b": 1,
	"k": 1e3, "kb": 1e3, "ki": 1 << 10, "kib": 1 << 10,
	"m": 1e6, "mb": 1e6, "mi": 1 << 20, "mib": 1 << 20,
	"g": 1e9, "gb": 1e9, "gi": 1 << 30, "gib": 1 << 30,
}

// parseBytes reads a whole number of bytes or of one of the units.
func parseBytes(text string) (Bytes, error) {
	end := strings.IndexFunc(text, func(char rune) bool { return char < '0' || char > '9' })
	if end < 0 {
		end = len(text)
	}
	unit, known := byteUnits[strings.ToLower(strings.TrimSpace(text[end:]))]
	n, err := strconv.ParseInt(text[:end], 10, 64)
	if !known || err != nil || n > math.MaxInt64/unit {
		return 0, fmt.Errorf("%q must be a whole number of bytes, or one with KiB, MiB or GiB, such as 100MiB", text)
	}
	return Bytes(n * unit), nil
}

// maxDays keeps days within a duration.
const maxDays = 100_000

// ParseDuration reads a duration with units from ns to h, after days (d) of 24 hours if there are any.
func ParseDuration(text string) (time.Duration, error) {
	rest := strings.ToLower(strings.ReplaceAll(text, " ", ""))
	var whole time.Duration
	if days, after, found := strings.Cut(rest, "d"); found {
		n, err := strconv.ParseUint(days, 10, 32)
		if err != nil || n > maxDays {
			return 0, durationError(text)
		}
		if whole = time.Duration(n) * 24 * time.Hour; after == "" {
			return whole, nil
		}
		rest = after
	}
	more, err := time.ParseDuration(rest)
	if err != nil {
		return 0, durationError(text)
	}
	return whole + more, nil
}

func durationError(text string) error {
	return fmt.Errorf("%q must be a duration with a unit, such as 500ms, 10s or 5m", text)
}

// parseSwitch reads a word for on or off.
func parseSwitch(text string) (bool, error) {
	switch strings.ToLower(text) {
	case "true", "on", "yes", "1":
		return true, nil
	case "false", "off", "no", "0":
		return false, nil
	default:
		return false, fmt.Errorf("%q must be true or false, or on or off", text)
	}
}

// parseFileMode reads permissions in octal.
func parseFileMode(text string) (fs.FileMode, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || n > 0o777 {
		return 0, fmt.Errorf("%q must be permissions in octal, such as 0660", text)
	}
	return fs.FileMode(n), nil
}

// parseCount reads a number of things, from 0 on.
func parseCount(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 31)
	if err != nil {
		return 0, fmt.Errorf("%q must be a whole number, such as 10", text)
	}
	return int(n), nil
}

// ParseUserID reads a user ID.
func ParseUserID(text string) (uint32, error) {
	id, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0, fmt.Errorf("%q must be a user ID in digits, such as 1000", text)
	}
	return uint32(id), nil
}

// parseLevel reads a level of the log.
func parseLevel(text string) (slog.Level, error) {
	switch strings.ToLower(text) {
	case "debug":
		return slog.LevelDebug, nil
	case "info":
		return slog.LevelInfo, nil
	case "warn", "warning":
		return slog.LevelWarn, nil
	case "error":
		return slog.LevelError, nil
	default:
		return 0, fmt.Errorf("%q is not one of debug, info, warn, error", text)
	}
}

var instanceName = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._-]{0,126}[A-Za-z0-9])?$`)
})

// parseInstance reads a name that may be part of a path.
func parseInstance(text string) (string, error) {
	if !instanceName().MatchString(text) {
		return "", fmt.Errorf("%q must be 1 to 128 letters, digits, dots, hyphens and underscores, "+
			"such as chatidentity-0", text)
	}
	return text, nil
}
