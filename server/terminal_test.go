package main

import (
	"os/exec"
	"strings"
	"testing"
)

// On a terminal the words that say what came of something have colours, and lines end at words;
// NO_COLOR, a terminal without colours and a pipe have none.
func TestOnATerminal(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret())
	doctor := program + " doctor --secret-file /no/such --listen 127.0.0.1:0 --admin-listen 127.0.0.1:0"
	for name, test := range map[string]struct{ before, command, want, never string }{
		"doctor":           {"", doctor, "\x1b[31mfailed\x1b[0m   signing secret", ""},
		"doctor, narrow":   {"stty cols 72; ", doctor, "\r\n                           ", ""},
		"NO_COLOR":         {"export NO_COLOR=1; ", doctor, "failed   signing secret", "\x1b["},
		"dumb":             {"export TERM=dumb; ", doctor, "failed   signing secret", "\x1b["},
		"a pipe":           {"", doctor + " --output text | cat", "failed   signing secret", "\x1b["},
		"health":           {"", program + " health --address " + p.address, "\x1b[32mSERVING\x1b[0m", ""},
		"verify":           {"", program + " verify x.y.z --address " + p.address, "Verdict      \x1b[31mmalformed\x1b[0m\r\n", ""},
		"verify, piped":    {"", program + " verify x.y.z --output text --address " + p.address + " | cat", "Verdict      malformed\r\n", "\x1b["},
		"JSON":             {"", program + " health --output json --address " + p.address, `{"status":"SERVING"}`, "\x1b["},
		"an error, narrow": {"stty cols 60; ", program + " serve --listen 0.0.0.0:1", "chatidentity: ", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			shell := exec.CommandContext(t.Context(), "script", "-qec", "stty cols 200; "+test.before+test.command, "/dev/null")
			shell.Env = append(shell.Environ(), "TERM=xterm")
			out, _ := shell.CombinedOutput() // the exit code is the command's
			if !strings.Contains(string(out), test.want) || test.never != "" && strings.Contains(string(out), test.never) {
				t.Errorf("want %q and not %q:\n%q", test.want, test.never, out)
			}
			if !strings.Contains(test.before, "stty") {
				return
			}
			width := 72
			if strings.Contains(test.before, "60") {
				width = 60
			}
			for line := range strings.SplitSeq(string(out), "\r\n") {
				if plain := strings.NewReplacer("\x1b[31m", "", "\x1b[32m", "", "\x1b[33m", "", "\x1b[0m", "").Replace(line); len(plain) > width {
					t.Errorf("a line of %d columns: %q", len(plain), plain)
				}
			}
		})
	}
}

func TestLinesAreWrappedAtWords(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text          string
		width, indent int
		want          string
	}{
		{"no terminal at all, so it stays as it is", 0, 4, "no terminal at all, so it stays as it is"},
		{"too narrow to wrap", 10, 4, "too narrow to wrap"},
		{"short", 20, 4, "short"},
		{"one two three four five six", 20, 4, "one two three four\n    five six"},
		{"ä öü äö üä öüä ö üäöü", 23, 0, "ä öü äö üä öüä ö üäöü"},
		{"/a/path/that/is/longer/than/a/line and more", 20, 2, "/a/path/that/is/longer/than/a/line\n  and more"},
	} {
		if got := wrapped(test.text, test.width, test.indent); got != test.want {
			t.Errorf("%q in %d columns: %q, want %q", test.text, test.width, got, test.want)
		}
	}
}
