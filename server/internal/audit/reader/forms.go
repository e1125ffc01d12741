package reader

import (
	"bytes"
	"encoding/json"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// The beginning of a record, as it stands in a line and as it stands in a JSON string.
var (
	recordStart  = []byte(audit.RecordStart)
	escapedStart = bytes.ReplaceAll(recordStart, []byte(`"`), []byte(`\"`))
)

// traces are names of fields that every record has. A line that holds most of them is a record that
// was changed, or wrapped by a collector in a way of its own.
var traces = [][]byte{[]byte("seq"), []byte("audit_id"), []byte("duration_us"), []byte("key_id")}

// unwrap takes off what log collectors put around a record: whatever stands before it in the line
// (time, name of a pod, syslog header, "MESSAGE="), a carriage return behind it, or JSON that holds
// the line as a string. It reports whether the line is plainly something else.
func unwrap(line []byte) ([]byte, bool) {
	line = bytes.TrimSuffix(line, []byte("\r"))
	if i := bytes.Index(line, recordStart); i >= 0 {
		return line[i:], false
	}
	if i := bytes.Index(line, escapedStart); i >= 0 {
		return unquote(line[i:]), false
	}
	return line, !hasTraces(line)
}

func hasTraces(line []byte) bool {
	n := 0
	for _, trace := range traces {
		if bytes.Contains(line, trace) {
			n++
		}
	}
	return n >= len(traces)-1 // one may be what was changed
}

// unquote returns what stands in a JSON string up to its end, without the line's. A string that does
// not end comes back as it is.
func unquote(b []byte) []byte {
	end := 0
	for end < len(b) && b[end] != '"' {
		if b[end] == '\\' {
			end++
		}
		end++
	}
	if end >= len(b) {
		return b
	}
	var text string
	if json.Unmarshal(append(append([]byte{'"'}, b[:end]...), '"'), &text) != nil {
		return b
	}
	return bytes.TrimRight([]byte(text), "\r\n")
}
