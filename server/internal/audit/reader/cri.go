package reader

import (
	"bytes"
	"time"
)

// criLine is a line of a container log in Kubernetes, such as
// "2026-11-23T07:08:09.123456789Z stdout F text".
type criLine struct {
	stream  string // stdout or stderr
	partial bool   // P: the next line goes on with it
	text    []byte
}

func parseCRI(b []byte) (criLine, bool) {
	stamp, rest, ok1 := bytes.Cut(b, []byte(" "))
	stream, rest, ok2 := bytes.Cut(rest, []byte(" "))
	tag, text, ok3 := bytes.Cut(rest, []byte(" "))
	if !ok1 || !ok2 || !ok3 || (string(tag) != "F" && string(tag) != "P") {
		return criLine{}, false
	}
	if _, err := time.Parse(time.RFC3339Nano, string(stamp)); err != nil {
		return criLine{}, false
	}
	return criLine{string(stream), string(tag) == "P", text}, true
}
