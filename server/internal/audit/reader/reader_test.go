package reader

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
	"testing"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/audit/writer"
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
func testOptions(tb testing.TB) writer.Options {
	tb.Helper()
	return writer.Options{
		File: filepath.Join(tb.TempDir(), "audit.jsonl"), Instance: "pod-1", Keys: []*audit.Key{testKey(tb, "k1")},
		NoSync: true, Logger: slog.New(slog.DiscardHandler),
	}
}

func mustOpen(tb testing.TB, o writer.Options) *writer.Log {
	tb.Helper()
	l, err := writer.Open(o)
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { _ = l.Close(context.WithoutCancel(tb.Context())) })
	return l
}

func mustClose(tb testing.TB, l *writer.Log) {
	tb.Helper()
	if err := l.Close(tb.Context()); err != nil {
		tb.Fatalf("Close: %v", err)
	}
}

// digestOf is the digest that a record holds of a token.
func digestOf(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// issued is the record of a token; n tells it from others.
func issued(n string) *audit.Record {
	return &audit.Record{
		Event: audit.EventIssue, Outcome: audit.OutcomeOK, Organization: "default", EmailHMAC: strings.Repeat("e", 32),
		Identifier: "email", IssuedAt: 1_790_000_000, Caller: "backend", Peer: "127.0.0.1:4711",
		TokenSHA256: n, SecretID: "s1", Duration: 42 * time.Microsecond,
	}
}

// wholeFile is what a log of that instance leaves of n tokens.
func wholeFile(tb testing.TB, o writer.Options, n int) []byte {
	tb.Helper()
	o.File = filepath.Join(tb.TempDir(), "audit.jsonl")
	l := mustOpen(tb, o)
	for i := range n {
		if err := l.Write(tb.Context(), issued(digestOf(fmt.Sprint(i)))); err != nil {
			tb.Fatal(err)
		}
	}
	mustClose(tb, l)
	b, err := os.ReadFile(o.File)
	if err != nil {
		tb.Fatal(err)
	}
	return b
}

// inMemory is a source of bytes.
func inMemory(name string, b []byte) Source {
	return Source{Name: name, Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

func mustVerify(tb testing.TB, o VerifyOptions, sources ...Source) *Report {
	tb.Helper()
	r, err := Verify(context.WithoutCancel(tb.Context()), sources, o) // in cleanups too
	if err != nil {
		tb.Fatal(err)
	}
	return r
}
