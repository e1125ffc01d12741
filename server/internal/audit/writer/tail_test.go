package writer

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// forgedLine is a record that an attacker makes, with a key of their own or that of k.
func forgedLine(k *audit.Key, keyID string, seq uint64) []byte {
	chain := audit.NewChain(k, audit.Head{Seq: seq - 1})
	line := chain.Seal(nil, audit.AppendBody(nil, issued("forged")), 0)
	return bytes.Replace(line, []byte(k.ID()), []byte(keyID), 1)
}

// TestChainFollowsOnlyWhatCanBeBelieved puts a hostile or broken file in the place of the audit file
// and starts.
func TestChainFollowsOnlyWhatCanBeBelieved(t *testing.T) {
	t.Parallel()
	const far = math.MaxUint64
	attacker := testKey(t, "attacker")
	rotatedName := func(o *Options, stamp string) string { return rotatedPath(o.File, stamp) }
	appendForged := func(keyID string, seq uint64) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) {
			t.Helper()
			runOnce(t, *o, "a") // two records
			appendTo(t, o.File, string(forgedLine(attacker, keyID, seq)))
		}
	}
	alone := func(keyID string, seq uint64) func(*testing.T, *Options) {
		return func(t *testing.T, o *Options) {
			t.Helper()
			mustDo(t, os.WriteFile(o.File, forgedLine(attacker, keyID, seq), 0o600))
		}
	}
	known := testKey(t, "k1").ID()
	const ephemeral, gone = "ephemeral-0011223344556677", "0011223344556677"
	for name, test := range map[string]struct {
		prepare func(*testing.T, *Options)
		start   string // number and reason of the new chain.start
		aside   bool
	}{
		"whole":                         {func(t *testing.T, o *Options) { runOnce(t, *o, "a") }, "3 RESTARTED", false},
		"forged, known key, next":       {appendForged(known, 3), "1 UNTRUSTED_TAIL", true},
		"forged, known key, last":       {appendForged(known, far), "1 UNTRUSTED_TAIL", true},
		"forged, ephemeral, next":       {appendForged(ephemeral, 3), "4 KEY_CHANGED", false},
		"forged, ephemeral, not next":   {appendForged(ephemeral, 5), "1 UNTRUSTED_TAIL", true},
		"forged, ephemeral, last":       {appendForged(ephemeral, far), "1 UNTRUSTED_TAIL", true},
		"forged, unknown key, before":   {appendForged(gone, 1), "1 UNTRUSTED_TAIL", true},
		"forged, number 0":              {appendForged(gone, 0), "1 UNTRUSTED_TAIL", true},
		"alone, known key, first":       {alone(known, 1), "1 UNTRUSTED_TAIL", true},
		"alone, ephemeral":              {alone(ephemeral, 7), "8 KEY_CHANGED", false},
		"alone, ephemeral, last":        {alone(ephemeral, far), "1 UNTRUSTED_TAIL", true},
		"alone, ephemeral, nearly last": {alone(ephemeral, far/2+1), "1 UNTRUSTED_TAIL", true},
		"behind garbage, known key": {func(t *testing.T, o *Options) {
			runOnce(t, *o, "a")
			appendTo(t, o.File, "x\n"+string(forgedLine(attacker, known, 3)))
		}, "1 UNTRUSTED_TAIL", true},
		"behind garbage, ephemeral": {func(t *testing.T, o *Options) {
			runOnce(t, *o, "a")
			appendTo(t, o.File, "x\n"+string(forgedLine(attacker, ephemeral, 3)))
		}, "4 KEY_CHANGED", false},
		"edited": {func(t *testing.T, o *Options) {
			runOnce(t, *o, "a")
			replaceIn(t, o.File, `"caller":"backend"`, `"caller":"backenD"`)
		}, "1 UNTRUSTED_TAIL", true},
		"the record before edited":      {func(t *testing.T, o *Options) { runOnce(t, *o, "a"); replaceIn(t, o.File, `NEW_CHAIN`, `NEW_CHAIM`) }, "3 RESTARTED", false},
		"below the rotated file":        {func(t *testing.T, o *Options) { rotateOnce(t, o); alone(ephemeral, 1)(t, o) }, "1 UNTRUSTED_TAIL", true},
		"follows the rotated file":      {func(t *testing.T, o *Options) { rotateOnce(t, o); runOnce(t, *o, "b") }, "5 RESTARTED", false},
		"one record after rotated":      {oneRecordAfterRotation, "4 RESTARTED", false},
		"one record, rotated is gone":   {func(t *testing.T, o *Options) { oneRecordAfterRotation(t, o); removeRotated(t, o) }, "4 RESTARTED", false},
		"one record, forged, after one": {func(t *testing.T, o *Options) { rotateOnce(t, o); alone(known, 3)(t, o) }, "1 UNTRUSTED_TAIL", true},
		"rotated and forged": {func(t *testing.T, o *Options) {
			mustDo(t, os.WriteFile(rotatedName(o, "20991231T000000.000000Z"), forgedLine(attacker, ephemeral, far), 0o600))
		}, "1 UNTRUSTED_TAIL", true},
		"rotated and forged, known key": {func(t *testing.T, o *Options) {
			rotateOnce(t, o)
			mustDo(t, os.WriteFile(rotatedName(o, "20991231T000000.000000Z"), append(forgedLine(attacker, known, 6), forgedLine(attacker, known, 7)...), 0o600))
		}, "1 UNTRUSTED_TAIL", true},
		"beside one rotated and forged": {func(t *testing.T, o *Options) {
			runOnce(t, *o, "a")
			mustDo(t, os.WriteFile(rotatedName(o, "20991231T000000.000000Z"), forgedLine(attacker, ephemeral, far), 0o600))
		}, "3 RESTARTED", false},
		"many zeros": {func(t *testing.T, o *Options) { runOnce(t, *o, "a"); extend(t, o.File, 20<<20) }, "3 RESTARTED", false},
		"a MB of zeros in front": {func(t *testing.T, o *Options) {
			extend(t, o.File, 1<<20)
			appendTo(t, o.File, "\n"+string(forgedLine(attacker, ephemeral, 3)))
		}, "4 KEY_CHANGED", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := testOptions(t)
			var log bytes.Buffer
			test.prepare(t, &o)
			before := contents(t, &o)
			in, err := Inspect(o)
			mustDo(t, err)
			o.Logger = slog.New(slog.NewJSONHandler(&log, nil))
			l := mustOpen(t, o)
			mustWrite(t, l, "z")
			if counted := metricsOf(t, l)["chatidentity_audit_file_replacements_total"]; (counted == 1) != test.aside {
				t.Errorf("%v replacements are counted", counted)
			}
			mustClose(t, l)
			if got := lastStart(t, o.File); got != test.start {
				t.Errorf("last start %q, want %q", got, test.start)
			}
			aside, _ := filepath.Glob(filepath.Join(filepath.Dir(o.File), "*.untrusted-*"))
			if isAside := len(aside) == 1; isAside != test.aside || (in.Untrusted != "") != test.aside {
				t.Errorf("put aside: %v, and Inspect foresaw %q; want %v", aside, in.Untrusted, test.aside)
			}
			if test.aside && (!strings.Contains(log.String(), `"level":"ERROR"`) || !before[readFile(t, aside[0])]) {
				t.Errorf("not kept as it was, or not told: %s", log.String())
			}
			if r := mustVerify(t, reader.VerifyOptions{Keys: o.Keys}, reader.Files(o.File)...); test.aside && r.Fault != nil {
				t.Errorf("the new chain: %v", r)
			}
		})
	}
}

// lastStart is the number and reason of the last chain.start in a file of anything.
func lastStart(t *testing.T, path string) string {
	t.Helper()
	last := ""
	for raw := range strings.Lines(readFile(t, path)) {
		if l := parse([]byte(strings.TrimSuffix(raw, "\n"))); l != nil && l.Text("event") == string(audit.EventStart) {
			last = l.Text("seq") + " " + l.Text("reason")
		}
	}
	return last
}

// contents is what the files beside the audit file hold.
func contents(t *testing.T, o *Options) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	for name, text := range listing(t, filepath.Dir(o.File)) {
		if !strings.HasSuffix(name, ".lock") {
			all[text] = true
		}
	}
	return all
}

func readFile(t *testing.T, path string) string {
	t.Helper()
	text, err := os.ReadFile(path)
	mustDo(t, err)
	return string(text)
}

func replaceIn(t *testing.T, path, old, by string) {
	t.Helper()
	text := readFile(t, path)
	mustDo(t, os.WriteFile(path, []byte(strings.Replace(text, old, by, 1)), 0o600))
}

func oneRecordAfterRotation(t *testing.T, o *Options) {
	t.Helper()
	l := mustOpen(t, *o)
	mustWrite(t, l, "a")
	mustDo(t, l.Rotate(t.Context()))
	mustWrite(t, l, "b")
	mustClose(t, l)
}

func removeRotated(t *testing.T, o *Options) {
	t.Helper()
	o.disk = osDisk{}
	name, err := o.lastRotated()
	mustDo(t, errors.Join(err, os.Remove(name)))
}

// extend makes a file longer, with zeros.
func extend(t *testing.T, path string, by int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	mustDo(t, err)
	info, err := f.Stat()
	mustDo(t, errors.Join(err, f.Truncate(info.Size()+by), f.Close()))
}

// sparse is a file that ends in something else than records. It keeps the largest read.
type sparse struct {
	records []byte
	filler  byte
	largest int
}

func (s *sparse) ReadAt(p []byte, at int64) (int, error) {
	s.largest = max(s.largest, len(p))
	n := 0
	if at < int64(len(s.records)) {
		n = copy(p, s.records[at:])
	}
	copy(p[n:], bytes.Repeat([]byte{s.filler}, len(p)-n))
	return len(p), nil
}

// TestTailsOfAnySizeTakeLittleMemory: what stands behind the last record is as long as somebody
// likes.
func TestTailsOfAnySizeTakeLittleMemory(t *testing.T) {
	t.Parallel()
	records := wholeFile(t, testOptions(t), 3)
	for _, filler := range []byte{0, 'x', '\n', '{'} {
		f := &sparse{records: records, filler: filler}
		found, err := findTail(f, 8<<20)
		if err != nil || found.record == nil || found.record.Seq != 4 || found.end != int64(len(records)) || f.largest > tailWindow {
			t.Errorf("%q: found %+v, %v, reading %d bytes at a time", filler, found.head(), err, f.largest)
		}
	}
}

// TestTailIsFoundWhereverItStands: no border between two windows hides a record, or the one before.
func TestTailIsFoundWhereverItStands(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.Instance = strings.Repeat("p", 250)
	records := wholeFile(t, o, 3)
	lines := slices.Collect(bytes.Lines(records))
	for gap := tailWindow - 3*audit.MaxLine; gap < tailWindow+audit.MaxLine; gap += 101 {
		b := slices.Concat(records, bytes.Repeat([]byte("x"), gap))
		found, err := findTail(bytes.NewReader(b), int64(len(b)))
		if err != nil || found.record == nil || found.record.Seq != 4 || found.before == nil || found.before.Seq != 3 {
			t.Fatalf("behind a gap of %d bytes: %+v, %v", gap, found, err)
		}
	}
	found, err := findTail(io.NewSectionReader(bytes.NewReader(lines[0]), 0, int64(len(lines[0]))), int64(len(lines[0])))
	if err != nil || !found.first || found.before != nil {
		t.Errorf("a single record: %+v, %v", found, err)
	}
}
