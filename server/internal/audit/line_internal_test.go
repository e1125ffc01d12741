package audit

import (
	"bytes"
	"testing"
)

// What is looked at eight bytes at a time is what each byte by itself would be.
func TestPlainTextEndsAtTheFirstOtherByte(t *testing.T) {
	t.Parallel()
	for length := range 40 {
		for at := range length {
			for c := range 256 {
				b := bytes.Repeat([]byte("x~ "), 14)[:length]
				b[at] = byte(c)
				isPlain := c >= ' ' && c < 0x7f && c != '"' && c != '\\'
				n := plainStart(b)
				if whole := length / 8 * 8; isPlain && n != whole || !isPlain && n != min(at, whole) {
					t.Fatalf("%q: %d bytes are plain, byte %d is %#x", b, n, at, c)
				}
			}
		}
	}
}
