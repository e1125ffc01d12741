package listen

import (
	"slices"
	"testing"
)

// What grpc does by itself is reported as what it is, and what a client asked for is not.
func TestWhatTheTransportDoesByItselfIsReported(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		kind    frameType
		change  change
		payload []byte
		want    string
	}{
		"an error alone":           {frameHeaders, change{failed: true}, nil, kindUnexplained},
		"an answer":                {frameHeaders, change{}, nil, ""},
		"a reset":                  {frameResetStream, change{reset: true}, []byte{0, 0, 0, 1}, kindReset},
		"for its metadata":         {frameResetStream, change{reset: true}, []byte{0, 0, 0, frameSizeError}, kindMetadata},
		"when its deadline passed": {frameResetStream, change{reset: true}, []byte{0, 0, 0, cancelled}, ""},
		"without an error":         {frameResetStream, change{reset: true}, []byte{0, 0, 0, noError}, ""},
		"cut short":                {frameResetStream, change{reset: true}, []byte{0, 0, 0}, ""},
		"of no call":               {frameResetStream, change{}, []byte{0, 0, 0, 1}, ""},
		"goodbye":                  {frameGoAway, change{}, []byte{0, 0, 0, 1}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var kinds []string
			server := &traffic{report: func(kind string) { kinds = append(kinds, kind) }}
			server.reportOwn(frame{kind: test.kind}, test.change, test.payload)
			if want := slices.DeleteFunc([]string{test.want}, func(s string) bool { return s == "" }); !slices.Equal(kinds, want) {
				t.Errorf("reported %v, want %v", kinds, want)
			}
			if server.over.Load() != (test.kind == frameGoAway) {
				t.Error("only a goodbye is a reason to close the connection")
			}
		})
	}
}
