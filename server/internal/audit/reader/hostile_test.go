package reader

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
)

// TestNothingButRecordsReachesATerminal: of a hostile line find prints nothing, matches nothing, and
// verify names the fault without repeating the line.
func TestNothingButRecordsReachesATerminal(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	whole := string(wholeFile(t, o, 1))
	for name, evil := range map[string]string{
		"8-bit control":       "\x9b2Jbackend",
		"escape":              "\x1b[2Jbackend",
		"C1":                  "\u009b2Jbackend",
		"right to left":       "\u202ebackend",
		"zero width":          "back\u200bend",
		"line separator":      "back\u2028end",
		"paragraph separator": "back\u2029end",
		"twice":               `other","caller":"backend`,
		"twice, the other":    `backend","caller":"other`,
		"an escaped letter":   `b\u0061ckend`,
	} {
		line := strings.Replace(whole, `"caller":"backend`, `"caller":"`+evil, 1)
		// In front of a record, a hostile text is the collector's, which is never printed.
		for form, file := range map[string]string{"plain": line, "container": string(asContainerLog([]byte(line)))} {
			for _, output := range []Output{OutputJSON, OutputTable} {
				var out bytes.Buffer
				found, err := Find(t.Context(), []Source{inMemory("f", []byte(file))}, of("caller", "backend"), FindOptions{Output: output}, &out)
				if err != nil || found.Matches != 0 || found.Damaged != 1 || strings.Contains(out.String(), "backend") {
					t.Errorf("%s, %s, %s: %+v, %v, %q", name, form, output, found, err, out.String())
				}
			}
			r := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("f", []byte(file)))
			if r.Fault == nil || r.Fault.Kind != FaultEdited || strings.Contains(r.String(), "back") {
				t.Errorf("%s, %s: %v", name, form, r)
			}
		}
	}
	hostilePrefix := "\x1b[2J\u202e evil | "
	var out bytes.Buffer
	file := hostilePrefix + strings.ReplaceAll(whole, "\n", "\n"+hostilePrefix)
	if _, err := Find(t.Context(), []Source{inMemory("f", []byte(file))}, of("caller", "backend"), FindOptions{}, &out); err != nil ||
		strings.Contains(out.String(), "evil") || !strings.Contains(out.String(), "backend") {
		t.Errorf("%v, %q", err, out.String())
	}
}

// zeros never end.
type zeros struct{ read int }

func (z *zeros) Read(p []byte) (int, error) {
	clear(p)
	z.read += len(p)
	return len(p), nil
}

func (*zeros) Close() error { return nil }

// TestALineThatNeverEnds: the answer comes soon, with what was whole up to there.
func TestALineThatNeverEnds(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	endless := &zeros{}
	whole := wholeFile(t, o, 3)
	source := Source{Name: "f", Open: func() (io.ReadCloser, error) {
		return struct {
			io.Reader
			io.Closer
		}{io.MultiReader(bytes.NewReader(whole), endless), endless}, nil
	}}
	r, err := Verify(t.Context(), []Source{source}, VerifyOptions{Keys: o.Keys})
	if !errors.Is(err, errEndless) || !errors.As(err, new(*SourceError)) || r.Records != 4 || r.Fault != nil {
		t.Errorf("%v, %v", r, err)
	}
	if endless.read > 2*longestLine {
		t.Errorf("%d bytes were read of it", endless.read)
	}
}

// TestWhatIsPlainlyNoRecordIsCounted and told, wherever it stands.
func TestWhatIsPlainlyNoRecordIsCounted(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	whole := wholeFile(t, o, 3)
	for name, other := range map[string]string{
		"an empty line":    "\n",
		"a program's log":  `{"time":"2026-11-23T07:08:09Z","level":"INFO","msg":"audit head","head":"3:68","count":3,"key_id":"00"}` + "\n",
		"a failed call":    `{"time":"2026-11-23T07:08:09Z","level":"DEBUG","msg":"call failed","audit_id":"0190","reason":"INTERNAL"}` + "\n",
		"text":             "goroutine 1 [running]:\n",
		"hostile text":     "\x1b[2J\x9b\u202e\n",
		"zeros":            strings.Repeat("\x00", 5000) + "\n",
		"a very long line": strings.Repeat("x", 1<<20) + "\n",
	} {
		var file bytes.Buffer
		for line := range bytes.Lines(whole) {
			_, _ = file.WriteString(other)
			_, _ = file.Write(line)
		}
		_, _ = file.WriteString(other)
		r := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("f", file.Bytes()))
		if r.Fault != nil || r.Records != 4 || r.Others != 5 || !strings.Contains(r.String(), "5 lines are no records") {
			t.Errorf("%s: %v", name, r)
		}
		found, err := Find(t.Context(), []Source{inMemory("f", file.Bytes())}, of("caller", "backend"), FindOptions{}, io.Discard)
		if err != nil || found.Matches != 3 || found.Others != 5 || found.Damaged != 0 {
			t.Errorf("%s: %+v, %v", name, found, err)
		}
	}
}
