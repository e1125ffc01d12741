package page

import (
	"strings"
	"testing"
)

func TestWrap(t *testing.T) {
	t.Parallel()
	long := "Measured on 2 cores (AMD EPYC), Linux 6.18.44; the load generator and the servers share the cores of it"
	for text, want := range map[string]string{
		"":                                 "",
		"short\n":                          "short\n",
		"a line\nand another":              "a line\nand another",
		long + "\nand more\n\n":            "Measured on 2 cores (AMD EPYC), Linux 6.18.44; the load generator and the servers share the cores of\nit\nand more\n\n",
		"- " + strings.Repeat("item ", 20): "- " + strings.Repeat("item ", 18) + "item\n" + "  item",
	} {
		if got := Wrap(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
