package writer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/reader"
)

// testKey is the same key for the same name.
func testKey(tb testing.TB, name string) *audit.Key {
	tb.Helper()
	k, err := audit.NewKey(name, bytes.Repeat([]byte(name), 32))
	if err != nil {
		tb.Fatal(err)
	}
	return k
}

// testOptions writes to a file in a directory of its own.
func testOptions(tb testing.TB) Options {
	tb.Helper()
	return Options{
		File: filepath.Join(tb.TempDir(), "audit.jsonl"), Instance: "pod-1", Keys: []*audit.Key{testKey(tb, "k1")},
		Logger: slog.New(slog.DiscardHandler), Timeout: time.Minute, // however busy the machine is
	}
}

// stopClock stops the clock of o.
func stopClock(o *Options) time.Time {
	now := time.Date(2026, 11, 23, 7, 8, 9, 0, time.UTC)
	o.Now = func() time.Time { return now }
	return now
}

func mustOpen(tb testing.TB, o Options) *Log {
	tb.Helper()
	l, err := Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close(context.WithoutCancel(tb.Context())) })
	return l
}

func mustClose(tb testing.TB, l *Log) {
	tb.Helper()
	if err := l.Close(tb.Context()); err != nil {
		tb.Fatalf("Close: %v", err)
	}
}

// issued is the record of a token; n tells it from others.
func issued(n string) *audit.Record {
	return &audit.Record{
		Event: audit.EventIssue, Outcome: audit.OutcomeOK, Organization: "default", EmailHMAC: strings.Repeat("e", 32),
		Identifier: "email", IssuedAt: 1_790_000_000, Caller: "backend", Peer: "127.0.0.1:4711",
		TokenSHA256: n, SecretID: "s1", Duration: 42 * time.Microsecond,
	}
}

func refused(caller, reason string) *audit.Record {
	return &audit.Record{Event: audit.EventIssue, Outcome: "RESOURCE_EXHAUSTED", Reason: reason, Caller: caller}
}

// readLines parses every line of a file, which must all be records.
func readLines(tb testing.TB, path string) []*audit.Line {
	tb.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	return parseLines(tb, b)
}

func parseLines(tb testing.TB, b []byte) []*audit.Line {
	tb.Helper()
	var lines []*audit.Line
	for raw := range bytes.Lines(b) {
		l := new(audit.Line)
		if err := l.Parse(bytes.TrimSuffix(raw, []byte("\n"))); err != nil {
			tb.Fatalf("%v: %s", err, raw)
		}
		lines = append(lines, l)
	}
	return lines
}

// buffer is a sink in memory.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *buffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (*buffer) Close() error { return nil }

func (s *buffer) Bytes() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return bytes.Clone(s.b.Bytes())
}

func withBuffer(o Options) (Options, *buffer) {
	b := new(buffer)
	o.sink = &stream{w: b}
	return o, b
}

// digestOf is the digest that a record holds of a token.
func digestOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// inMemory is a source of bytes.
func inMemory(name string, b []byte) reader.Source {
	return reader.Source{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func mustVerify(tb testing.TB, o reader.VerifyOptions, sources ...reader.Source) *reader.Report {
	tb.Helper()
	r, err := reader.Verify(context.WithoutCancel(tb.Context()), sources, o) // in cleanups too
	if err != nil {
		tb.Fatal(err)
	}
	return r
}

// wholeFile is what a log of that instance leaves of n tokens.
func wholeFile(tb testing.TB, o Options, n int) []byte {
	tb.Helper()
	o, out := withBuffer(o)
	l := mustOpen(tb, o)
	for i := range n {
		if err := l.Write(tb.Context(), issued(digestOf(fmt.Sprint(i)))); err != nil {
			tb.Fatal(err)
		}
	}
	mustClose(tb, l)
	return out.Bytes()
}

// logLines has the program log written to the buffer that it returns.
func logLines(o *Options) *buffer {
	lines := new(buffer)
	o.Logger = slog.New(slog.NewJSONHandler(lines, nil))
	return lines
}

func (s *buffer) String() string { return string(s.Bytes()) }

// unhurried are testOptions for a test that a busy disk must not fail.
func unhurried(tb testing.TB) Options {
	tb.Helper()
	o := testOptions(tb)
	o.NoSync, o.Timeout = true, time.Hour
	return o
}

// stubDisk is the operating system's, except for what is set.
type stubDisk struct {
	osDisk

	log   func(path string) (file, error) // opens the audit file
	gone  func(path string) error         // removes a file
	space func() int64                    // free bytes
}

func (d stubDisk) openLog(path string, open opener) (file, error) {
	if d.log == nil {
		return d.osDisk.openLog(path, open)
	}
	return d.log(path)
}

func (d stubDisk) remove(path string) error {
	if d.gone == nil {
		return d.osDisk.remove(path)
	}
	return d.gone(path)
}

func (d stubDisk) free(directory string) (int64, error) {
	if d.space == nil {
		return d.osDisk.free(directory)
	}
	return d.space(), nil
}

func rotatedFiles(path string) ([]string, error) {
	return (&Options{File: path, disk: osDisk{}}).rotatedFiles()
}
