package writer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// The warnings about a place that keeps no records, or will soon not.
const (
	WarnDevice   = "the audit file is a device: no record of any token is kept"
	WarnLowSpace = "the disk of the audit file is nearly full; when it is full no token is issued"
)

// position is the last record that is there, where a chain is taken up.
type position struct {
	audit.Head

	keyID string
}

// opening is the audit file as Open and Inspect find it, locked and open.
type opening struct {
	lock *os.File
	f    file
	info fs.FileInfo
	from position
	end  int64 // of the last whole record; what stands behind it is torn
}

// openPlace opens what is at the path of the audit file: a device, or else a file. It changes
// nothing in a file, and makes one only if open does.
func openPlace(o *Options, open opener) (*stream, *opening, error) {
	info, err := os.Stat(o.File)
	switch {
	case err == nil && info.Mode()&fs.ModeCharDevice != 0:
		f, err := os.OpenFile(o.File, os.O_WRONLY, 0)
		return &stream{name: o.File, w: f}, nil, err
	case err == nil && !info.Mode().IsRegular():
		return nil, nil, fmt.Errorf("%s: not a regular file; standard output is %s", o.File, Standard)
	}
	found, err := openFile(o, open)
	return nil, found, err
}

func openFile(o *Options, open opener) (*opening, error) {
	lock, err := openLock(o.File, open)
	if err != nil {
		return nil, err
	}
	found := &opening{lock: lock}
	if o.opener != nil {
		found.f, err = o.opener(o.File)
	} else {
		found.f, err = openLocked(o.File, open)
	}
	if err == nil {
		err = found.locate(o.File)
	}
	if err != nil {
		return nil, errors.Join(err, found.close())
	}
	return found, nil
}

func (p *opening) close() error {
	var err error
	if p.f != nil {
		err = p.f.Close()
	}
	return errors.Join(err, p.lock.Close())
}

// locate finds the last whole record; of a file without any, that of the newest rotated one.
func (p *opening) locate(path string) error {
	var err error
	if p.info, err = p.f.Stat(); err != nil {
		return err
	}
	if err := syncDir(path); err != nil {
		return err
	}
	if p.from, p.end, err = lastRecord(p.f, p.info.Size()); err != nil || p.end > 0 {
		return err
	}
	if err := looksTorn(p.f); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	p.from, err = lastOfRotated(path)
	return err
}

// repair moves what stands behind the last whole record to a file of its own.
func (p *opening) repair(o *Options) error {
	size := p.info.Size()
	if p.end == size {
		return nil
	}
	to, err := createStamped(o.File, tornPath, o.Now())
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(p.f, p.end, size-p.end))
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := p.f.Truncate(p.end); err != nil {
		return err
	}
	o.Logger.Warn("the audit file ended in a torn line, as after a crash; it was cut off and kept",
		"file", o.File, "kept_as", to.Name(), "bytes", size-p.end)
	return errors.Join(p.f.Sync(), syncDir(o.File))
}

func lastOfRotated(path string) (position, error) {
	name, err := lastRotated(path)
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

// looksTorn refuses a file without any record unless it can be the beginning of one: a file of
// somebody else is not ours to cut.
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

// lastRecord returns the position of the last whole record of a file, and where its line ends; 0
// if there is none.
func lastRecord(f io.ReaderAt, size int64) (position, int64, error) {
	for window := int64(64 << 10); ; window *= 4 {
		window = min(window, size)
		b := make([]byte, window)
		if _, err := f.ReadAt(b, size-window); err != nil && !errors.Is(err, io.EOF) {
			return position{}, 0, err
		}
		if p, end := lastLine(b); end > 0 {
			return p, size - window + int64(end), nil
		}
		if window == size {
			return position{}, 0, nil
		}
	}
}

// lastLine finds the last line of b that is a whole record, and where it ends; 0 if there is none.
func lastLine(b []byte) (position, int) {
	var l audit.Line
	for end := bytes.LastIndexByte(b, '\n'); end >= 0; {
		start := bytes.LastIndexByte(b[:end], '\n')
		if l.Parse(b[start+1:end]) == nil {
			return position{l.Head, string(l.Get("key_id"))}, end + 1
		}
		end = start
	}
	return position{}, 0
}
