package reader

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// How far into a file its first record is looked for.
const (
	lookBytes = 1 << 20 // of a gzipped file before it is unpacked
	lookLines = 10_000
)

// closeInTime is longer than any call takes. The first records of two files may be in another order
// than the files by as much.
const closeInTime = time.Minute

// afterAll sorts after every time.
const afterAll = "~"

var errEnough = errors.New("enough was read")

// foundFile is an audit file and where it belongs.
type foundFile struct {
	path string
	log  string // path of the audit file that was rotated to it
	info fs.FileInfo

	// Of its first record.
	time string
	seq  uint64

	evidence bool // put aside by serve because somebody changed it
}

// swapped reports whether f, which comes after before by time, was written first.
func (f *foundFile) swapped(before *foundFile) bool {
	if f.log != before.log || f.seq <= 1 || before.seq <= f.seq {
		return false
	}
	at, err := time.Parse(time.RFC3339Nano, f.time)
	earlier, err2 := time.Parse(time.RFC3339Nano, before.time)
	return err == nil && err2 == nil && at.Sub(earlier) < closeInTime
}

// aside are parts of the names of files that serve keeps beside the audit file, and that are not in
// its chain. A crash leaves a torn record; the others are evidence that somebody changed the file.
var aside = []struct {
	mark, reason string
	evidence     bool
}{
	{".torn-", "put aside by serve: a torn record", false},
	{".altered-", "put aside by serve: changed by somebody else", true},
	{".untrusted-", "put aside by serve: its last record was not believed", true},
}

// rotation is what rotation adds to the name of an audit file: serve a time before the extension,
// others a number or a time at the end, and .gz.
var rotation = regexp.MustCompile(
	`(?s)^(.*?)(?:-\d{8}T\d{6}\.\d{6}Z(\.[^./\\]*)?)?(?:\.\d{1,4}|[-.]\d{8}[\d.:_TZ-]*)?(?:\.gz)?$`)

// logOf returns the path of the audit file that was rotated to path.
func logOf(path string) string {
	parts := rotation.FindStringSubmatch(path)
	return parts[1] + parts[2]
}

// lookAt finds out what a file is. Without a reason against it, it is an audit file.
func lookAt(ctx context.Context, path string) (foundFile, string, error) {
	f := foundFile{path: path, log: logOf(path)}
	directory, name := filepath.Split(path)
	for _, a := range aside {
		if before, _, is := strings.Cut(name, a.mark); is {
			f.log, f.evidence = logOf(directory+before), a.evidence
			return f, a.reason, nil
		}
	}
	var err error
	f.info, err = os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return f, "gone, or a link to nothing", nil
	case err != nil:
		return f, "", err
	case f.info.IsDir():
		return f, "a directory", nil
	case !f.info.Mode().IsRegular(): // opening a named pipe would wait for its writer
		return f, "not a regular file", nil
	case f.info.Size() == 0:
		return f, f.lookAtEmpty(), nil
	}
	return f, f.lookInside(ctx), nil
}

// isLock reports whether path is the lock of an audit file beside it: nobody needs to hear of it.
func isLock(path string) bool {
	log, is := strings.CutSuffix(path, ".lock")
	if !is {
		return false
	}
	lock, err := os.Stat(path)
	if err != nil || lock.Size() > 0 {
		return false
	}
	_, err = os.Stat(log)
	return err == nil
}

// lookAtEmpty tells an audit file that has just begun, which has a lock, from other empty files.
func (f *foundFile) lookAtEmpty() string {
	f.time = afterAll
	if _, err := os.Stat(f.path + ".lock"); err != nil {
		return "empty"
	}
	return ""
}

// lookInside finds the first record. A file in which something went wrong before that may be an
// audit file: whoever reads it will be told what.
func (f *foundFile) lookInside(ctx context.Context) string {
	var (
		s       scanner
		line    audit.Line
		records bool // changed ones, at least
	)
	open := func() (io.ReadCloser, error) { return os.Open(f.path) }
	err := s.scanOne(ctx, Source{f.path, open}, func(v scanned) error {
		records = records || !v.foreign
		if !v.foreign && !v.long && line.Parse(v.text) == nil {
			f.time, f.seq = string(line.Get("time")), line.Seq
			return errEnough
		}
		if s.lines >= lookLines || s.bytes > lookBytes {
			return errEnough
		}
		return nil
	})
	if f.time == "" {
		f.time = string(audit.AppendTime(nil, f.info.ModTime()))
	}
	readable := err == nil || errors.Is(err, errEnough) || errors.Is(err, errEndless)
	if readable && !records {
		return "no audit records in it"
	}
	return ""
}
