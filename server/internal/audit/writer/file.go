package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/outage"
)

// fileState is how the audit file stands.
type fileState int

const (
	stateClosed fileState = iota // none is open: the next commit makes a new one
	stateWhole                   // it ends with the last whole batch
	stateTorn                    // what a failed write left stands behind that
)

// fileSink appends to a file that it alone writes. Whatever fails, the file is cut back to the end
// of the last batch that is known to be whole, and the batch is written anew: after a failed sync
// the kernel may have dropped its pages, so a second sync would prove nothing.
type fileSink struct {
	o       *Options
	m       *metrics
	lock    *os.File
	changed func() // called when somebody else has changed the file

	state   fileState
	f       file        // unless closed
	info    fs.FileInfo // of f, for its identity
	size    int64       // where the last whole batch ends
	movedAt time.Time   // by somebody else; zero: not since the last rotation
	wrote   int64       // how much of what is torn can be ours

	space, rotation, retention trouble
}

// trouble is what goes wrong beside the commits, and its announcement. The committer alone sets it.
type trouble struct {
	err    error
	outage *outage.Outage
}

func (t *trouble) announced(part string, log *slog.Logger) {
	t.outage = outage.New(part, log, func() error { return t.err })
}

func (t *trouble) set(err error) {
	t.err = err
	t.outage.Look()
}

func newFileSink(o *Options, m *metrics, found *opening, changed func()) (*fileSink, error) {
	if err := found.repair(o); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: repair its torn last line: %w", o.File, err), found.close())
	}
	if err := found.confirm(o); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: sync what is there: %w", o.File, err), found.close())
	}
	s := &fileSink{
		o: o, m: m, lock: found.lock, changed: changed,
		state: stateWhole, f: found.f, info: found.info, size: found.end,
	}
	s.space.announced("audit_space", o.Logger)
	s.rotation.announced("audit_rotation", o.Logger)
	s.retention.announced("audit_retention", o.Logger)
	if err := s.distrust(found.untrusted); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: put it aside: %w", found.untrusted, err), found.close())
	}
	s.applyMode()
	s.retain()
	removeDeadLocks(o)
	return s, nil
}

// distrust puts a file aside whose last record is not believed. There is none if path is empty.
func (s *fileSink) distrust(path string) error {
	if path == "" {
		return nil
	}
	s.o.Logger.Error("the last record of an audit file is not one that was written there; "+
		"the file is put aside and a new chain begins", "event", "audit_file_untrusted", "file", path)
	s.m.replaced.Inc()
	if err := renameStamped(s.o.disk, path, untrustedPath, s.o.Now()); err != nil || path != s.o.File {
		return err
	}
	_ = s.f.Close() // nothing was written to it
	s.state = stateClosed
	return s.create()
}

// commit writes and syncs lines, and then looks whether the path still leads to them: a record in a
// deleted file is no record.
func (s *fileSink) commit(lines []byte) error {
	for range 3 {
		if err := s.prepare(); err != nil {
			return err
		}
		if err := s.write(lines); err != nil {
			return err
		}
		end := s.size + int64(len(lines))
		problem, err := s.problem(end)
		switch {
		case err != nil: // the path cannot be looked at: write them anew
			continue
		case problem != "" && problem != moved: // somebody else's stands there too: it is kept, never cut off
			s.leave(problem)
			continue
		}
		s.size, s.state = end, stateWhole
		if problem == moved { // with these lines
			s.leave(problem)
		}
		return nil
	}
	return fmt.Errorf("%s keeps being changed by somebody else", s.o.File)
}

// prepare makes sure that the path leads to the open file, and that it is as it was left.
func (s *fileSink) prepare() error {
	if s.state == stateTorn {
		if err := s.cutBack(nil); err != nil {
			return err
		}
	}
	if s.state == stateWhole {
		problem, err := s.problem(s.size)
		if err != nil || problem == "" {
			return err
		}
		s.leave(problem)
	}
	return s.create()
}

func (s *fileSink) write(lines []byte) error {
	s.state, s.wrote = stateTorn, int64(len(lines))
	if _, err := s.f.Write(lines); err != nil {
		return s.cutBack(fmt.Errorf("write: %w", err))
	}
	if s.o.NoSync {
		return nil
	}
	if err := s.f.Sync(); err != nil {
		return s.cutBack(fmt.Errorf("sync %s: %w", s.o.File, err))
	}
	return nil
}

// cutBack removes what a failed write has left, and returns its cause. If it cannot, prepare tries
// again.
func (s *fileSink) cutBack(cause error) error {
	info, err := s.f.Stat()
	if err == nil && info.Size() > s.size+s.wrote { // not ours alone: it is kept
		s.leave("written to")
		return cause
	}
	if err == nil && info.Size() > s.size { // never longer: that would fill it with zeros
		err = s.f.Truncate(s.size)
	}
	if err == nil {
		s.state = stateWhole
	}
	return errors.Join(cause, err)
}

// problem says how the file at the path differs from the open one of that size; "" if it does not.
func (s *fileSink) problem(size int64) (string, error) {
	info, err := s.o.disk.stat(s.o.File)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s.gone("deleted", size), nil
	case err != nil:
		return "", err
	case !isSame(info, s.info) && info.Size() > 0:
		return "replaced", nil
	case !isSame(info, s.info): // logrotate may make the next file itself
		return s.gone("replaced", size), nil
	case info.Size() < size:
		return "truncated", nil
	case info.Size() > size:
		return "written to", nil
	}
	return "", nil
}

// moved is what log rotation by others does to the file: nothing is lost.
const moved = "moved"

// gone says what became of a file that the path no longer leads to.
func (s *fileSink) gone(otherwise string, size int64) string {
	info, err := s.f.Stat()
	if err == nil && info.Size() == size && hasName(info) {
		return moved
	}
	return otherwise
}

// leave gives up the open file because somebody else changed it.
func (s *fileSink) leave(problem string) {
	if problem == moved {
		s.o.Logger.Info("the audit file was moved or its directory is gone; going on in a new one",
			"event", "audit_file_moved", "file", s.o.File)
		_ = s.f.Close() // whole, and synced as configured
		s.state, s.movedAt = stateClosed, s.o.Now()
		return
	}
	s.o.Logger.Error("the audit file was "+problem+" by somebody else; going on in a new one",
		"event", "audit_file_changed", "file", s.o.File)
	_ = s.f.Close() // what it held is either at the path or lost already
	s.state = stateClosed
	s.m.replaced.Inc()
	s.changed()
}

// create opens a new, empty file at the path, or the last one if that is back as it was left: so
// does a volume that was taken away. Anything else that stands there is kept under another name, as
// evidence.
func (s *fileSink) create() error {
	if err := s.clear(); err != nil {
		return err
	}
	f, err := s.o.disk.openLog(s.o.File, create)
	if err != nil {
		return err
	}
	info, err := f.Stat()
	if err == nil && info.Size() != 0 && !s.isLast(info) {
		err = fmt.Errorf("%s: somebody else writes to it", s.o.File)
	}
	if err == nil {
		err = s.o.syncNames()
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	if info.Size() != 0 {
		s.o.Logger.Info("the audit file is back; going on in it", "event", "audit_file_back", "file", s.o.File)
	}
	s.state, s.f, s.info, s.size = stateWhole, f, info, info.Size()
	s.applyMode()
	return nil
}

// clear puts aside what stands at the path.
func (s *fileSink) clear() error {
	info, err := s.o.disk.stat(s.o.File)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil && info.Size() > 0 && !s.isLast(info) {
		err = renameStamped(s.o.disk, s.o.File, alteredPath, s.o.Now())
	}
	return err
}

// isLast reports whether a file is the one that was open last, as it was left.
func (s *fileSink) isLast(info fs.FileInfo) bool {
	return isSame(info, s.info) && info.Size() == s.size
}

// applyMode gives the open file the permissions that are configured, whatever the umask is. Records
// are written even where that cannot be done.
func (s *fileSink) applyMode() {
	if s.info.Mode().Perm() == s.o.FileMode {
		return
	}
	if err := s.f.Chmod(s.o.FileMode); err != nil {
		s.o.Logger.Error("the audit file keeps its permissions", "event", "audit_file_mode",
			"mode", s.info.Mode().Perm().String(), "error", err.Error())
	}
}

// check notices a change of the file while nobody writes, and a disk that fills up.
func (s *fileSink) check() {
	s.checkSpace()
	if s.retention.err != nil {
		s.retain()
	}
	if s.state == stateWhole {
		if problem, err := s.problem(s.size); err == nil && problem != "" {
			s.leave(problem)
		}
	}
}

func (s *fileSink) checkSpace() {
	free, err := s.o.disk.free(filepath.Dir(s.o.File))
	if err != nil {
		return // the path is gone: commit reports it
	}
	s.m.free.Set(float64(free))
	err = nil
	if free < s.o.MinFree {
		err = fmt.Errorf("%s: %s: %d bytes are free, fewer than %d", s.o.File, WarnLowSpace, free, s.o.MinFree)
	}
	s.space.set(err)
}

func (s *fileSink) close() error {
	var err error
	if s.state != stateClosed {
		err = errors.Join(s.f.Sync(), s.f.Close())
	}
	return errors.Join(err, unlock(s.lock))
}
