package reader

import (
	"bytes"
	"context"
	"errors"
	"os"
	"testing"
)

// TestFollow reads a file as it grows, and the one that takes its place.
func TestFollow(t *testing.T) {
	t.Parallel()
	path := testOptions(t).File
	lines := bytes.SplitAfter(someRecords(t, "OK", "OK", "OK"), []byte("\n"))
	write := func(line []byte) {
		f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
		if err == nil {
			_, err = f.Write(line)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Error(err)
		}
	}
	write(lines[0])
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	rows := 0
	next := []func(){
		func() { write(lines[1][:40]); write(lines[1][40:]) },
		func() {
			if err := os.Rename(path, path+".1"); err != nil {
				t.Error(err)
			}
			write(lines[2])
		},
		cancel,
	}
	written := writerFunc(func(p []byte) (int, error) {
		if bytes.Contains(p, []byte("2026-11-23 ")) {
			next[rows]()
			rows++
		}
		return len(p), nil
	})
	found, err := Find(t.Context(), []Source{Follow(ctx, path)}, of("caller", "backend"),
		FindOptions{Output: OutputTable, Live: true}, written)
	if err != nil || found.Matches != 3 || found.Damaged != 0 {
		t.Errorf("%+v, %v", found, err)
	}
}

type writerFunc func([]byte) (int, error)

func (w writerFunc) Write(p []byte) (int, error) { return w(p) }
