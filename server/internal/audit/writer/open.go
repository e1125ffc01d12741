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
	WarnLowSpace = "the disk of the audit file is nearly full; when it is full no record can be written"
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
	info, err := o.disk.stat(o.File)
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
	if found.f, err = o.disk.openLog(o.File, open); err == nil {
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
	if err := o.syncNames(); err != nil {
		return err
	}
	last, err := findTail(p.f, p.info.Size())
	if err == nil && last.record == nil {
		err = looksTorn(p.f)
	}
	if err != nil {
		return fmt.Errorf("%s: %w", o.File, err)
	}
	name, err := o.lastRotated()
	if err != nil {
		return err
	}
	rotated, err := tailOf(o.disk, name)
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
	to, name, err := createStamped(o.disk, o.File, tornPath, o.Now())
	if err != nil {
		return err
	}
	_, err = io.Copy(to, io.NewSectionReader(p.f, p.end, size-p.end))
	if err := errors.Join(err, to.Sync(), to.Close()); err != nil {
		return err
	}
	if err := o.syncNames(); err != nil { // before the only other place where it stands is cut off
		return err
	}
	if err := p.f.Truncate(p.end); err != nil {
		return err
	}
	o.Logger.Warn("the audit file ended in a torn line, as after a crash; it was cut off and kept",
		"event", "audit_line_torn", "file", o.File, "kept_as", name, "bytes", size-p.end)
	return p.f.Sync()
}

// unsure is how much of the end of a file may be known to the kernel alone: more than any batch but
// one of thousands of calls.
const unsure = 1 << 20

// confirm writes the end of the file again, in place, and syncs it. The process before this one may
// have failed to sync it, and ended before it could cut it off. The kernel then takes it for
// written, and no later sync would make it durable: a loss of power would leave a hole.
func (p *opening) confirm(o *Options) error {
	if o.NoSync || p.end == 0 {
		return nil
	}
	f, err := o.disk.openFile(o.File, os.O_RDWR) // the other one appends, wherever it is told to write
	if err != nil {
		return err
	}
	from := max(0, p.end-unsure)
	b := make([]byte, p.end-from)
	if _, err = f.ReadAt(b, from); err == nil {
		_, err = f.WriteAt(b, from)
	}
	if err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
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
