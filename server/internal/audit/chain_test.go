package audit

import (
	"strings"
	"testing"
)

func TestHeadText(t *testing.T) {
	t.Parallel()
	h := Head{Seq: 42, MAC: MAC{1, 2, 3}}
	if got, err := ParseHead(h.String()); err != nil || got != h {
		t.Fatalf("ParseHead(%q) = %v, %v", h, got, err)
	}
	zeros := strings.Repeat("0", 64)
	for _, bad := range []string{"", "42", "42:", "x:" + zeros, "42:" + strings.Repeat("g", 64), "-1:" + zeros} {
		if _, err := ParseHead(bad); err == nil {
			t.Errorf("ParseHead(%q): no error", bad)
		}
	}
}
