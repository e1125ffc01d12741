package watch

import (
	"fmt"
	"strings"
	"testing"
)

// What editors add to a line-based file changes nothing, and the numbers are those that they show.
func TestLines(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                              "",
		"\n":                            "",
		"a":                             "1:a",
		"a\nb\n":                        "1:a 2:b",
		"a\r\nb\r\n":                    "1:a 2:b",
		"\ufeffa\nb":                    "1:a 2:b",
		"\ufeff\na":                     "2:a",
		"# c\na":                        "2:a",
		"  # c\n\ta \n":                 "2:a",
		"\ufeff# c\r\n\r\na\r\n# d\r\n": "3:a",
		"a # c":                         "1:a # c", // part of the line
		"#":                             "",
	} {
		var got []string
		for number, line := range Lines([]byte(text)) {
			got = append(got, fmt.Sprintf("%d:%s", number, line))
		}
		if joined := strings.Join(got, " "); joined != want {
			t.Errorf("%q: %q, want %q", text, joined, want)
		}
	}
}
