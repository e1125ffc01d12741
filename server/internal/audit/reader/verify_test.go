package reader

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

func TestVerifyWholeFiles(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.MaxSize = 10_000
	l := mustOpen(t, o)
	for range 100 {
		if err := l.Write(t.Context(), issued("aa")); err != nil {
			t.Fatal(err)
		}
	}
	mustClose(t, l)
	files, err := filepath.Glob(filepath.Join(filepath.Dir(o.File), "audit*.jsonl"))
	if err != nil || len(files) < 4 {
		t.Fatalf("rotated files: %v, %v", files, err)
	}
	all := mustVerify(t, VerifyOptions{Keys: o.Keys}, Files(files...)...)
	if all.Fault != nil || all.Records != 101 || all.Chains != 1 || all.Unverifiable != 0 {
		t.Fatalf("whole files in order: %v", all)
	}
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys, Heads: []audit.Head{all.Head}}, Files(files...)...); r.Fault != nil {
		t.Fatalf("with its head: %v", r)
	}

	first := mustVerify(t, VerifyOptions{Keys: o.Keys}, Files(files[0])...)
	rest := files[1:]
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys}, Files(rest...)...); r.Fault == nil || r.Fault.Kind != FaultMissing {
		t.Fatalf("without the first file: %v", r)
	}
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys, From: &first.Head}, Files(rest...)...); r.Fault != nil {
		t.Fatalf("without the first file, from its head: %v", r)
	}
	second := mustVerify(t, VerifyOptions{Keys: o.Keys, From: &first.Head}, Files(files[1])...)
	later := mustVerify(t, VerifyOptions{Keys: o.Keys, From: &first.Head}, Files(files[2:]...)...)
	if later.Fault == nil || later.Fault.Kind != FaultMissing || later.Gone != second.Records || later.From != second.Head.Seq+1 || later.Head != all.Head {
		t.Fatalf("from a head whose next file is gone too: %v", later)
	}
	if said := fmt.Sprintf("record %d does not follow the head that was given: %d between them gone", later.From, later.Gone); !strings.Contains(later.String(), said) {
		t.Errorf("%q does not say that it is %s", later, said)
	}
	withHeads := VerifyOptions{Keys: o.Keys, From: &first.Head, Heads: []audit.Head{second.Head, all.Head}}
	if r := mustVerify(t, withHeads, Files(files[2:]...)...); r.Fault == nil || r.Fault.Kind != FaultMissing {
		t.Fatalf("from a head whose next file is gone too, with its head: %v", r)
	}
	unknown := VerifyOptions{Keys: []*audit.Key{testKey(t, "another")}, From: &first.Head}
	if r := mustVerify(t, unknown, Files(files[2:]...)...); r.Fault == nil || r.Fault.Kind != FaultUnverifiable {
		t.Fatalf("from a head, under another key: %v", r)
	}
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys, From: &first.Head}, Files(files[2], files[4])...); r.Fault == nil {
		t.Fatal("a gap after the first record that is left: no fault")
	}
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys, From: &all.Head}, Files(rest...)...); r.Fault == nil {
		t.Fatal("from a wrong head: no fault")
	}
	trusting := VerifyOptions{Keys: o.Keys, TrustFirst: true}
	if r := mustVerify(t, trusting, Files(rest...)...); r.Fault != nil || r.Head != all.Head {
		t.Fatalf("without the first file, trusting the second's first record: %v", r)
	}
	if r := mustVerify(t, trusting, Files(files...)...); r.Fault != nil || r.Records != all.Records {
		t.Fatalf("trusting a first record that is number 1: %v", r)
	}
	slices.Reverse(files)
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys}, Files(files...)...); r.Fault == nil {
		t.Fatal("files in the wrong order: no fault")
	}
}

// corruption changes a whole file; head says that only a head can show it.
type corruption struct {
	name string
	do   func(r *rand.Rand, whole, other [][]byte) []byte
}

func join(lines ...[][]byte) []byte {
	return bytes.Join(slices.Concat(lines...), nil)
}

var corruptions = []corruption{
	{"bit flip", func(r *rand.Rand, whole, _ [][]byte) []byte {
		b := join(whole)
		b[r.IntN(len(b))] ^= 1 << r.IntN(8)
		return b
	}},
	{"byte deleted", func(r *rand.Rand, whole, _ [][]byte) []byte {
		b := join(whole)
		i := r.IntN(len(b))
		return slices.Delete(b, i, i+1)
	}},
	{"byte inserted", func(r *rand.Rand, whole, _ [][]byte) []byte {
		b := join(whole)
		return slices.Insert(b, r.IntN(len(b)+1), byte(r.IntN(256)))
	}},
	{"lines deleted", func(r *rand.Rand, whole, _ [][]byte) []byte {
		i := r.IntN(len(whole))
		j := i + 1 + r.IntN(len(whole)-i)
		return join(whole[:i], whole[j:])
	}},
	{"lines swapped", func(r *rand.Rand, whole, _ [][]byte) []byte {
		lines := slices.Clone(whole)
		i := r.IntN(len(lines) - 1)
		j := i + 1 + r.IntN(len(lines)-i-1)
		lines[i], lines[j] = lines[j], lines[i]
		return join(lines)
	}},
	{"line duplicated", func(r *rand.Rand, whole, _ [][]byte) []byte {
		lines := slices.Clone(whole)
		return join(slices.Insert(lines, r.IntN(len(lines)+1), lines[r.IntN(len(lines))]))
	}},
	{"line of another log inserted", func(r *rand.Rand, whole, other [][]byte) []byte {
		lines := slices.Clone(whole)
		return join(slices.Insert(lines, r.IntN(len(lines)+1), other[1+r.IntN(len(other)-1)]))
	}},
	{"lines replaced by another log's", func(r *rand.Rand, whole, other [][]byte) []byte {
		i := r.IntN(len(whole))
		j := i + 1 + r.IntN(len(whole)-i)
		return join(whole[:i], other[i:j], whole[j:])
	}},
	{"tail cut", func(r *rand.Rand, whole, _ [][]byte) []byte {
		b := join(whole)
		return b[:r.IntN(len(b))]
	}},
	{"tail cut at a line", func(r *rand.Rand, whole, _ [][]byte) []byte {
		return join(whole[:r.IntN(len(whole))])
	}},
}

// TestCorruptionsAreFound makes 2,000 corruptions of a whole file, in the proof 10,000; the other
// logs are one of the same instance and key, and one of another instance.
func TestCorruptionsAreFound(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	whole := wholeFile(t, o, 24)
	sameInstance := wholeFile(t, o, 24)
	o.Instance = "pod-2"
	others := [][][]byte{
		slices.Collect(bytes.Lines(sameInstance)),
		slices.Collect(bytes.Lines(wholeFile(t, o, 24))),
	}
	lines := slices.Collect(bytes.Lines(whole))
	clean := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("whole", whole))
	if clean.Fault != nil || clean.Records != 25 {
		t.Fatalf("the whole file: %v", clean)
	}
	vo := VerifyOptions{Keys: o.Keys, Heads: []audit.Head{clean.Head}}
	each := 200
	if os.Getenv("PROOF") != "" {
		each = 1000
	}
	for i, c := range corruptions {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := rand.New(rand.NewPCG(uint64(i), 7))
			kinds, unharmed := map[FaultKind]int{}, 0
			for range each {
				bad := c.do(r, lines, others[r.IntN(2)])
				report := mustVerify(t, vo, inMemory("bad", bad))
				if report.Fault == nil {
					assertUnharmed(t, bad, lines)
					unharmed++
					continue
				}
				kinds[report.Fault.Kind]++
			}
			t.Logf("%d found: %v; %d harmed no record", each-unharmed, kinds, unharmed)
			if unharmed > each/100 {
				t.Errorf("%d corruptions harmed no record", unharmed)
			}
		})
	}
}

// assertUnharmed: a corruption that is no fault is at most a byte between the records, which all
// stand there as they were.
func assertUnharmed(t *testing.T, bad []byte, lines [][]byte) {
	t.Helper()
	rest := bad
	for _, line := range lines {
		_, after, found := bytes.Cut(rest, bytes.TrimSuffix(line, []byte("\n")))
		if !found {
			t.Fatalf("not found in:\n%s", bad)
		}
		rest = after
	}
	if len(bad) > len(join(lines))+1 {
		t.Fatalf("not found in:\n%s", bad)
	}
}

func TestFaultIsNamed(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	whole := wholeFile(t, o, 5)
	lines := slices.Collect(bytes.Lines(whole))
	o.Instance = "pod-2"
	other := slices.Collect(bytes.Lines(wholeFile(t, o, 5)))
	head := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("f", whole)).Head
	for _, c := range []struct {
		name  string
		bytes []byte
		heads []audit.Head
		kind  FaultKind
		line  int
	}{
		{"one digit of a caller", bytes.Replace(whole, []byte(`"caller":"backend"`), []byte(`"caller":"backenD"`), 1), nil, FaultEdited, 2},
		{"a record in the middle gone", join(lines[:2], lines[3:]), nil, FaultMissing, 3},
		{"the first record gone", join(lines[1:]), nil, FaultMissing, 1},
		{"two records swapped", join(lines[:2], lines[3:4], lines[2:3], lines[4:]), nil, FaultReordered, 3},
		{"a record twice", join(lines[:3], lines[2:]), nil, FaultReordered, 4},
		{"one of another pod", join(lines[:2], other[2:3], lines[3:]), nil, FaultSpliced, 3},
		{"another pod's log behind it", join(lines, other), nil, FaultSpliced, 7},
		{"the same log twice", join(lines, lines), nil, FaultReordered, 7},
		{"no newline at the end", whole[:len(whole)-1], nil, FaultTorn, 6},
		{"the tail cut", join(lines[:4]), []audit.Head{head}, FaultTailCut, 0},
		{"an empty file", nil, nil, FaultMissing, 0},
		{
			"an escape to the terminal", bytes.Replace(whole, []byte("backend"), []byte("\u009b31m"), 1),
			nil, FaultEdited, 2,
		},
		{"a huge line with a record in it", join(lines[:1], [][]byte{bytes.Repeat([]byte("x"), 1<<20)}, lines[1:]), nil, FaultEdited, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			r := mustVerify(t, VerifyOptions{Keys: o.Keys, Heads: c.heads}, inMemory("f", c.bytes))
			if r.Fault == nil || r.Fault.Kind != c.kind || r.Fault.Line != c.line {
				t.Fatalf("got %v, want %s at line %d", r, c.kind, c.line)
			}
		})
	}
}

// Who meets this has a log collector to set up, and no forger to look for.
func TestVerifyNamesRewrittenJSON(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	whole := string(wholeFile(t, o, 1))
	for name, file := range map[string]string{
		"other spacing":  strings.ReplaceAll(whole, `":`, `": `),
		"an added field": strings.ReplaceAll(whole, "\"}\n", "\",\"cluster\":\"a\"}\n"),
		"wrapped":        `{"stream":"stdout","record":` + strings.TrimSuffix(whole[:strings.Index(whole, "\n")+1], "\n") + "}\n",
	} {
		r := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("f", []byte(file)))
		if r.Fault == nil || r.Fault.Kind != FaultEdited || !strings.Contains(r.Fault.Detail, "rewrites its JSON") {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func TestVerifyWithoutTheKey(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	o.Keys = nil // a key of the process
	whole := wholeFile(t, o, 3)
	known := []*audit.Key{testKey(t, "k1")}
	r := mustVerify(t, VerifyOptions{Keys: known}, inMemory("f", whole))
	if r.Fault == nil || r.Fault.Kind != FaultUnverifiable || !strings.Contains(r.Fault.Detail, "ephemeral-") {
		t.Fatalf("got %v, want not verifiable", r)
	}
	r = mustVerify(t, VerifyOptions{Keys: known, AllowUnverifiable: true}, inMemory("f", whole))
	if r.Fault != nil || r.Unverifiable != 4 || !strings.Contains(r.String(), "4 records not verifiable") {
		t.Fatalf("allowed: %v", r)
	}
}

func TestRestartsOnStandardOutputAreChains(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	first, second := wholeFile(t, o, 2), wholeFile(t, o, 2)
	r := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("0.log", first), inMemory("1.log", second))
	if r.Fault != nil || r.Chains != 2 || r.Records != 6 {
		t.Fatalf("in order: %v", r)
	}
	r = mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("1.log", second), inMemory("0.log", first))
	if r.Fault == nil || r.Fault.Kind != FaultReordered {
		t.Fatalf("in the wrong order: %v", r)
	}
}
