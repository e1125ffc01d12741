package reader

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// asContainerLog writes lines as containerd does, some of them in parts, with
// standard error between.
func asContainerLog(lines []byte) []byte {
	var b bytes.Buffer
	stamp := "2026-11-23T07:08:09.123456789Z "
	for l := range bytes.Lines(lines) {
		half := len(l) / 2
		_, _ = fmt.Fprintf(&b, "%sstdout P %s\n", stamp, l[:half])
		_, _ = fmt.Fprintf(&b, "%sstderr F {\"level\":\"info\"}\n", stamp)
		_, _ = fmt.Fprintf(&b, "%sstdout F %s", stamp, l[half:])
		_, _ = fmt.Fprintf(&b, "%sstderr F {\"level\":\"info\"}\n", stamp)
	}
	return b.Bytes()
}

func TestContainerLogs(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	log := asContainerLog(wholeFile(t, o, 10))
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("0.log", log)); r.Fault != nil || r.Records != 11 {
		t.Fatalf("whole: %v", r)
	}
	cut := log[:bytes.LastIndex(log, []byte("stdout F"))]
	cut = cut[:bytes.LastIndexByte(cut, '\n')+1]
	r := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("0.log", cut))
	if r.Fault == nil || r.Fault.Kind != FaultTorn {
		t.Fatalf("cut between the parts of a line: %v", r)
	}
	edited := bytes.Replace(log, []byte("backend"), []byte("backenD"), 1)
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("0.log", edited)); r.Fault == nil || r.Fault.Kind != FaultEdited {
		t.Fatalf("edited: %v", r)
	}
}

func TestVerifyReportsWhatItCannotRead(t *testing.T) {
	t.Parallel()
	if _, err := Verify(t.Context(), Files(t.TempDir()), VerifyOptions{}); !errors.As(err, new(*SourceError)) {
		t.Fatalf("a directory: %v", err)
	}
	if _, err := Verify(t.Context(), Files(filepath.Join(t.TempDir(), "none")), VerifyOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("got %v, want ErrNotExist", err)
	}
}

func TestGzippedFiles(t *testing.T) {
	t.Parallel()
	o := testOptions(t)
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	_, _ = z.Write(asContainerLog(wholeFile(t, o, 5)))
	_ = z.Close()
	if r := mustVerify(t, VerifyOptions{Keys: o.Keys}, inMemory("0.log.gz", packed.Bytes())); r.Fault != nil || r.Records != 6 {
		t.Fatal(r)
	}
}

// endless makes the lines of n tokens as they are read.
type endless struct {
	chain *audit.Chain
	body  []byte
	n     int
	rest  []byte
	line  []byte
}

func newEndless(tb testing.TB, k *audit.Key, n int, r *audit.Record) *endless {
	tb.Helper()
	r.Time, r.Instance, r.AuditID = time.Unix(1_790_000_000, 0), "pod-1", audit.NewID(time.Now(), nil)
	return &endless{chain: audit.NewChain(k, audit.Head{}), body: audit.AppendBody(nil, r), n: n}
}

func (e *endless) Read(p []byte) (int, error) {
	if len(e.rest) == 0 {
		if e.n == 0 {
			return 0, io.EOF
		}
		e.n--
		e.line = e.chain.Seal(e.line[:0], e.body, 0)
		e.rest = e.line
	}
	n := copy(p, e.rest)
	e.rest = e.rest[n:]
	return n, nil
}

// TestStreamsManyRecords verifies and searches twenty thousand records, or
// ten million with AUDIT_LONG=1, in memory that does not grow with them.
func TestStreamsManyRecords(t *testing.T) { //nolint:paralleltest // it measures the heap
	n := 20_000
	if os.Getenv("AUDIT_LONG") != "" {
		n = 10_000_000
	}
	k := testKey(t, "k1")
	last := audit.Head{Seq: uint64(n)}
	source := func() []Source {
		return []Source{{Name: "many", Open: func() (io.ReadCloser, error) {
			return io.NopCloser(newEndless(t, k, n, issued(digestOf("x")))), nil
		}}}
	}
	var peak uint64
	var told uint64
	progress := func(_ int64, lines uint64) {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak, told = max(peak, m.HeapInuse), lines
	}
	begin := time.Now()
	r := mustVerify(t, VerifyOptions{Keys: []*audit.Key{k}, Progress: progress}, source()...)
	if r.Fault != nil || r.Head.Seq != last.Seq || told != uint64(n) {
		t.Fatalf("%v; told of %d", r, told)
	}
	verified := time.Since(begin)
	begin = time.Now()
	q := Query{Values: of("email_hmac", "anna@example.com").Values, Since: time.Unix(1, 0)}
	found, err := Find(t.Context(), source(), q, FindOptions{Keys: []*audit.Key{k}, Progress: progress}, io.Discard)
	if err != nil || found.Records != uint64(n) || found.Matches != 0 {
		t.Fatalf("%+v, %v", found, err)
	}
	if peak > 64<<20 {
		t.Fatalf("%d MiB of heap", peak>>20)
	}
	t.Logf("%d records: verify %.0f/s, find %.0f/s, making them included; heap %d MiB at most",
		n, float64(n)/verified.Seconds(), float64(n)/time.Since(begin).Seconds(), peak>>20)
}
