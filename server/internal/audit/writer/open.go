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

	keyID     string
	untrusted bool // the last record is nobody's to follow, and a new chain begins
}

// opening is the audit file as Open and Inspect find it, locked and open.
type opening struct {
	lock *os.File
	f    file
	info fs.FileInfo
	from position
	end  int64 // of the last whole record; what stands behind it is torn

	untrusted string // the file whose last record is not believed; empty: none
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
	lock, err := openLock(o, open)
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
		err = found.locate(o)
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
	return errors.Join(err, release(p.lock), p.lock.Close())
}

// locate finds the last whole record; of a file without any, that of the newest rotated one.
func (p *opening) locate(o *Options) error {
	var err error
	if p.info, err = p.f.Stat(); err != nil {
		return err
	}
	if err := syncDir(o.File); err != nil {
		return err
	}
	last, err := findTail(p.f, p.info.Size())
	if err == nil && last.record == nil {
		err = looksTorn(p.f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.File, err)
	}
	name, err := lastRotated(o.File)
	if err != nil {
		return err
	}
	rotated, err := tailOf(name)
	if err != nil {
		return err
	}
	p.goOn(o, &last, name, &rotated)
	return nil
}

// goOn chooses the record after which the chain goes on.
func (p *opening) goOn(o *Options, last *tail, rotatedName string, rotated *tail) {
	believed := rotated.record == nil || rotated.isTrusted(o.Keys, audit.Head{})
	var earlier audit.Head
	if believed {
		earlier = rotated.head()
	}
	switch {
	case last.record == nil && believed:
		p.from = rotated.position()
	case last.record == nil:
		p.from.untrusted, p.untrusted = true, rotatedName
	case last.isTrusted(o.Keys, earlier):
		p.from, p.end = last.position(), last.end
	default:
		p.from.untrusted, p.untrusted, p.end = true, o.File, p.info.Size()
	}
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
		"event", "audit_line_torn", "file", o.File, "kept_as", to.Name(), "bytes", size-p.end)
	return errors.Join(p.f.Sync(), syncDir(o.File))
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
