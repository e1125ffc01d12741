//go:build unix

package writer

import (
	"bytes"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// FuzzStart starts on an audit file and a rotated one that hold anything. Either it refuses and
// changes nothing, or everything that stood there still stands in some file, and the token that is
// recorded then stands in a chain that verifies from its start on.
func FuzzStart(f *testing.F) {
	o := testOptions(f)
	whole := wholeFile(f, o, 2)
	f.Add(whole, []byte(nil))
	f.Add(whole[:len(whole)-50], whole)
	f.Add(append(slices.Clone(whole), "\x00\x00\x00"...), []byte("x\n"))
	f.Add(append([]byte("x\n"), forgedLine(testKey(f, "attacker"), "ephemeral-0", 1<<63)...), []byte(nil))
	o.File = filepath.Join(f.TempDir(), "audit.jsonl")
	f.Fuzz(func(t *testing.T, current, rotated []byte) {
		disk := newSimDisk(rand.New(rand.NewPCG(1, 1)))
		disk.create("audit.jsonl").now = slices.Clone(current)
		disk.create("audit-20200101T000000.000000Z.jsonl").now = slices.Clone(rotated)
		o := o
		o.disk = &simView{simDisk: disk}
		l, err := Open(o)
		if err == nil {
			mustWrite(t, l, "new")
			mustClose(t, l)
		}
		for _, before := range [][]byte{current, rotated} {
			if !disk.holds(before) {
				t.Fatalf("%q is gone: %q", before, disk.files())
			}
		}
		if err != nil {
			return
		}
		now := disk.names["audit.jsonl"].now
		start := bytes.LastIndex(now, []byte(`"event":"chain.start"`))
		from := bytes.LastIndexByte(now[:start], '\n') + 1
		r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys, TrustFirst: true}, inMemory("audit.jsonl", now[from:]))
		if r.Fault != nil || r.Records != 2 {
			t.Errorf("what was written: %v: %q", r, now[from:])
		}
	})
}

// holds reports whether the text stands in the files, if need be the begin of it in one and the rest
// in another.
func (d *simDisk) holds(text []byte) bool {
	for _, i := range d.names {
		n := 0
		for n < min(len(i.now), len(text)) && i.now[n] == text[n] {
			n++
		}
		for _, rest := range d.names {
			begun := len(text) - len(rest.now)
			if n == len(text) || begun >= 0 && begun <= n && bytes.Equal(rest.now, text[begun:]) {
				return true
			}
		}
	}
	return false
}
