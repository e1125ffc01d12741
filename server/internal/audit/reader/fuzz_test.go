package reader

import (
	"encoding/json"
	"io"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// FuzzRead gives the reader anything: it must not fail, nor take for a record
// what JSON does not.
func FuzzRead(f *testing.F) {
	whole := wholeFile(f, testOptions(f), 2)
	f.Add(whole)
	f.Add(asContainerLog(whole))
	f.Add([]byte("\x1f\x8b"))
	keys := []*audit.Key{testKey(f, "k1")}
	f.Fuzz(func(t *testing.T, b []byte) {
		s := new(scanner)
		err := s.scan(t.Context(), []Source{inMemory("fuzz", b)}, func(v scanned) error {
			var l audit.Line
			if l.Parse(v.text) == nil && utf8.Valid(v.text) && !json.Valid(v.text) && !strings.Contains(string(v.text), `\`) {
				t.Errorf("read as a record, but not JSON: %q", v.text)
			}
			return nil
		})
		if err != nil {
			return // a broken gzip
		}
		r, err := Verify(t.Context(), []Source{inMemory("fuzz", b)}, VerifyOptions{Keys: keys})
		if err != nil || (r.Fault == nil && r.Records == 0) { // no input is long enough to be endless
			t.Errorf("Verify = %v, %v", r, err)
		}
		table := FindOptions{Output: OutputTable}
		if _, err := Find(t.Context(), []Source{inMemory("fuzz", b)}, of("caller", "x"), table, io.Discard); err != nil {
			t.Error(err)
		}
	})
}
