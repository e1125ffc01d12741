package reader

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// atEnds is a file in which something happens each time that a reader has come to its end, before the
// reader looks what has become of it.
type atEnds struct {
	*os.File

	happens []func()
}

func (f *atEnds) Read(p []byte) (int, error) {
	n, err := f.File.Read(p)
	if errors.Is(err, io.EOF) && len(f.happens) > 0 {
		f.happens[0]()
		f.happens = f.happens[1:]
	}
	return n, err
}

// follow reads the file at the path for a minute, through what happens at its ends.
func follow(t *testing.T, path string, happens ...func()) Found {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	source, err := Follow(ctx, Source{path, func() (io.ReadCloser, error) { return &atEnds{f, happens}, nil }})
	if err != nil {
		t.Fatal(err)
	}
	found, err := Find(ctx, []Source{source}, of("caller", "backend"), FindOptions{Live: true}, io.Discard)
	if err != nil {
		t.Error(err)
	}
	return found
}

// writerOf returns what appends to the file at the path, and what does something else to it.
func writerOf(t *testing.T, path string) (func([]byte), func(error)) {
	t.Helper()
	must := func(err error) {
		if err != nil {
			t.Error(err)
		}
	}
	return func(b []byte) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.Write(b)
		}
		must(errors.Join(err, f.Close()))
	}, must
}

// TestFollow reads a file as it grows, and the one that takes its place.
func TestFollow(t *testing.T) {
	t.Parallel()
	lines := bytes.SplitAfter(someRecords(t, "OK", "OK", "OK"), []byte("\n"))
	for name, happens := range map[string]func(path string) []func(){
		"a rotation": func(path string) []func() {
			write, must := writerOf(t, path)
			return []func(){
				func() { write(lines[1][:40]) },
				func() { write(lines[1][40:]) },
				func() { must(os.Rename(path, path+".1")) },
				func() { write(lines[2]) },
			}
		},
		"a record right before it": func(path string) []func() {
			write, must := writerOf(t, path)
			return []func(){func() {
				write(lines[1])
				must(os.Rename(path, path+".1"))
				write(lines[2])
			}}
		},
		"emptied": func(path string) []func() {
			write, must := writerOf(t, path)
			return []func(){
				func() { write(lines[1]) },
				func() { must(os.Truncate(path, 0)); write(lines[2]) },
			}
		},
		"cut back by the log": func(path string) []func() {
			write, must := writerOf(t, path)
			return []func(){
				func() { write(lines[1]) },
				func() { must(os.Truncate(path, int64(len(lines[0])))) },
				func() { write(lines[2]) },
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "audit.jsonl")
				write, _ := writerOf(t, path)
				write(lines[0])
				if found := follow(t, path, happens(path)...); found.Matches != 3 || found.Damaged != 0 {
					t.Errorf("%+v", found)
				}
			})
		})
	}
}

// TestFollowAfterATornRecord: what comes next, in this file or in another, does not become part of it.
func TestFollowAfterATornRecord(t *testing.T) {
	t.Parallel()
	lines := bytes.SplitAfter(someRecords(t, "OK", "OK"), []byte("\n"))
	for name, then := range map[string]func(path string) error{
		"rotated": func(path string) error { return os.Rename(path, path+".1") },
		"cut off": func(path string) error { return os.Truncate(path, int64(len(lines[0]))) },
		"emptied": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				path := filepath.Join(t.TempDir(), "audit.jsonl")
				write, must := writerOf(t, path)
				write(lines[0])
				write(lines[1][:100])
				found := follow(t, path, func() { must(then(path)) }, func() { write(lines[1]) })
				if found.Matches != 2 || found.Damaged != 1 {
					t.Errorf("%+v", found)
				}
			})
		})
	}
}

// TestFollowBeginsWithTheFileThatWasFound, also when that is rotated while older ones are read.
func TestFollowBeginsWithTheFileThatWasFound(t *testing.T) {
	t.Parallel()
	lines := bytes.SplitAfter(someRecords(t, "OK", "OK", "OK"), []byte("\n"))
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "audit.jsonl")
		write, must := writerOf(t, path)
		write(lines[1])
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		last, err := Follow(ctx, Files(path)[0])
		if err != nil {
			t.Fatal(err)
		}
		older := Source{"older", func() (io.ReadCloser, error) {
			must(os.Rename(path, path+".1"))
			write(lines[2])
			return inMemory("older", lines[0]).Open()
		}}
		found, err := Find(ctx, []Source{older, last}, of("caller", "backend"), FindOptions{Live: true}, io.Discard)
		if err != nil || found.Matches != 3 {
			t.Errorf("%+v, %v", found, err)
		}
	})
}

// TestFollowIsOfTheFileThatWasFound, and not of another one that has taken its place since.
func TestFollowIsOfTheFileThatWasFound(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "audit.jsonl")
	write, must := writerOf(t, path)
	write(someRecords(t, "OK"))
	logs, _, err := Logs(t.Context(), filepath.Dir(path))
	if err != nil {
		t.Fatal(err)
	}
	must(os.Rename(path, path+".1"))
	write(someRecords(t, "OK"))
	if _, err := Follow(t.Context(), logs[0].Sources[0]); !errors.Is(err, errRotated) || !errors.As(err, new(*SourceError)) {
		t.Errorf("%v", err)
	}
}

// TestAPathThatComesAndGoes is no error, whenever one looks.
func TestAPathThatComesAndGoes(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	path, away := filepath.Join(directory, "audit.jsonl"), filepath.Join(directory, "away")
	write, must := writerOf(t, away)
	write([]byte("x\n"))
	old, err := os.Stat(directory)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for range 20_000 {
			must(os.Rename(away, path))
			must(os.Rename(path, away))
		}
	}()
	for {
		next, err := another(path, old)
		if err != nil {
			t.Fatal(err)
		}
		if next != nil {
			must(next.Close())
		}
		select {
		case <-ended:
			return
		default:
		}
	}
}

// TestWhoFollowsMayEndTheReadingOfOlderFiles: that is no error, and what was found by then counts.
func TestWhoFollowsMayEndTheReadingOfOlderFiles(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	line := someRecords(t, "OK")
	older := bytes.Repeat(line, 3*progressEvery)
	var summary Summary
	written := writerFunc(func(p []byte) (int, error) {
		cancel()
		return len(p), nil
	})
	found, err := Find(ctx, []Source{inMemory("older", older), inMemory("last", line)}, of("caller", "backend"),
		FindOptions{Live: true, Summary: &summary}, written)
	if err != nil || found.Matches != progressEvery || summary.calls != progressEvery {
		t.Errorf("%+v, %v, %d calls", found, err, summary.calls)
	}
	if _, err := Find(ctx, []Source{inMemory("older", older)}, of("caller", "backend"), FindOptions{}, io.Discard); !errors.Is(err, context.Canceled) {
		t.Errorf("without following: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }
