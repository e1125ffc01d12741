package writer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// openFile locks, opens and repairs the audit file and says where its chain
// stands.
func openFile(o Options, m *metrics) (sink, position, error) {
	if o.opener == nil {
		o.opener = openOS
	}
	info, err := os.Stat(o.File)
	switch {
	case err == nil && info.Mode()&fs.ModeCharDevice != 0:
		return openDevice(o)
	case err == nil && !info.Mode().IsRegular():
		return nil, position{}, fmt.Errorf("--audit-file %s: not a regular file; standard output is -", o.File)
	}
	lock, err := lockFile(o.File)
	if err != nil {
		return nil, position{}, fmt.Errorf("--audit-file %w", err)
	}
	s := &fileSink{o: o, m: m, lock: lock}
	from, err := s.take()
	if err != nil {
		if s.f != nil {
			_ = s.f.Close()
		}
		_ = lock.Close()
		return nil, position{}, fmt.Errorf("--audit-file %s: %w", o.File, err)
	}
	return s, from, nil
}

// openDevice is for /dev/null and its like, which keep nothing.
func openDevice(o Options) (sink, position, error) {
	f, err := os.OpenFile(o.File, os.O_WRONLY, 0)
	if err != nil {
		return nil, position{}, fmt.Errorf("--audit-file %w", err)
	}
	o.Logger.Warn("the audit file is a device: no record of any token is kept", "path", o.File)
	return &stream{w: f}, position{}, nil
}

// lockFile locks PATH.lock for as long as it is open. The lock is not on the
// audit file itself, because that is another file after each rotation.
func lockFile(path string) (*os.File, error) {
	path += ".lock"
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) //nolint:gosec // beside the operator's path
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if err == nil {
		return f, nil
	}
	_ = f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, fmt.Errorf("%s: held by another process; give each its own file, for example with {instance}", path)
	}
	return nil, fmt.Errorf("%s: %w", path, err)
}

// take opens the file, cuts off what a crash left behind the last whole record
// and returns that record's position. Of an empty file it is the last of the
// newest rotated one.
func (s *fileSink) take() (position, error) {
	f, err := s.o.opener(s.o.File)
	if err != nil {
		return position{}, err
	}
	s.f = f
	if s.info, err = f.Stat(); err != nil {
		return position{}, err
	}
	if err := syncDir(s.o.File); err != nil {
		return position{}, err
	}
	if s.info.Size() == 0 {
		return s.takeRotated()
	}
	from, end, err := lastRecord(f, s.info.Size())
	if err != nil {
		return position{}, err
	}
	s.size = end
	if end == s.info.Size() {
		return from, nil
	}
	if end == 0 {
		if err := looksTorn(f); err != nil {
			return position{}, err
		}
	}
	if err := s.keepTorn(end); err != nil {
		return position{}, fmt.Errorf("repair its torn last line: %w", err)
	}
	if end == 0 {
		return s.takeRotated()
	}
	return from, nil
}

func (s *fileSink) takeRotated() (position, error) {
	name, err := lastRotated(s.o.File)
	if err != nil || name == "" {
		return position{}, err
	}
	f, err := os.Open(name) //nolint:gosec // beside the operator's path
	if err != nil {
		return position{}, err
	}
	defer func() { _ = f.Close() }()
	info, err := f.Stat()
	if err != nil {
		return position{}, err
	}
	from, _, err := lastRecord(f, info.Size())
	return from, err
}

// keepTorn moves what stands behind end to a file of its own.
func (s *fileSink) keepTorn(end int64) error {
	size := s.info.Size()
	to, err := createFree(s.o.File+".torn-", s.o.Now())
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(s.f, end, size-end))
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := s.f.Truncate(end); err != nil {
		return err
	}
	s.o.Logger.Warn("the audit file ended in a torn line, as after a crash; it was cut off and kept",
		"file", s.o.File, "kept_as", to.Name(), "bytes", size-end)
	return errors.Join(s.f.Sync(), syncDir(s.o.File))
}

// looksTorn refuses a file without any record unless it can be the beginning
// of one: somebody else's file is not ours to cut.
func looksTorn(f io.ReaderAt) error {
	head := make([]byte, len(audit.RecordStart))
	n, err := f.ReadAt(head, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	head = head[:n]
	if string(head) != audit.RecordStart[:n] && len(bytes.Trim(head, "\x00")) > 0 {
		return errors.New("not an audit file: there is no record in it; move it away or name another")
	}
	return nil
}

// lastRecord returns the position of the last whole record of a file, and
// where its line ends; 0: there is none.
func lastRecord(f io.ReaderAt, size int64) (position, int64, error) {
	for window := int64(64 << 10); ; window *= 4 {
		window = min(window, size)
		b := make([]byte, window)
		if _, err := f.ReadAt(b, size-window); err != nil && !errors.Is(err, io.EOF) {
			return position{}, 0, err
		}
		if p, end, ok := lastLine(b); ok {
			return p, size - window + int64(end), nil
		}
		if window == size {
			return position{}, 0, nil
		}
	}
}

// lastLine finds the last line of b that is a whole record, and where it ends.
func lastLine(b []byte) (position, int, bool) {
	var l audit.Line
	for end := bytes.LastIndexByte(b, '\n'); end >= 0; {
		start := bytes.LastIndexByte(b[:end], '\n')
		if l.Parse(b[start+1:end]) == nil {
			return position{l.Head, string(l.Get("key_id"))}, end + 1, true
		}
		end = start
	}
	return position{}, 0, false
}
