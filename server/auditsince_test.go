package main

import (
	"strings"
	"testing"
	"time"
)

// A time is understood as people write it; without a zone it is UTC.
func TestTimesOfSince(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"2026-11-23":                     "2026-11-23T00:00:00Z",
		"2026-11-23T08:30:00Z":           "2026-11-23T08:30:00Z",
		"2026-11-23t08:30:00z":           "2026-11-23T08:30:00Z",
		"2026-11-23T08:30:00.123456789Z": "2026-11-23T08:30:00.123456789Z",
		"2026-11-23T08:30:00+02:00":      "2026-11-23T06:30:00Z",
		"2026-11-23T08:30:00":            "2026-11-23T08:30:00Z",
		"2026-11-23T08:30":               "2026-11-23T08:30:00Z",
		"2026-11-23 08:30:00":            "2026-11-23T08:30:00Z",
		"2026-11-23 08:30":               "2026-11-23T08:30:00Z",
		"2026-11-23 08:30:00+01:00":      "2026-11-23T07:30:00Z",
		"24h":                            "2026-11-22T12:00:00Z",
		"90m":                            "2026-11-23T10:30:00Z",
		"7d":                             "2026-11-16T12:00:00Z",
		"1d12h":                          "2026-11-22T00:00:00Z",
		"1 H":                            "2026-11-23T11:00:00Z",
		"yesterday":                      "",
		"23.11.2026":                     "",
		"2026-13-01":                     "",
		"1700000000":                     "",
		"-24h":                           "",
		"0":                              "",
	} {
		at, err := timeOf(text, now)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "such as 2026-11-23 or ") || strings.Contains(err.Error(), "pars") {
				t.Errorf("%s: %v, error %v", text, at, err)
			}
			continue
		}
		if err != nil || at.UTC().Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %v, error %v, want %s", text, at, err, want)
		}
	}
}
