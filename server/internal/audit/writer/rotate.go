package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// full reports whether the file has reached its size.
func (s *fileSink) full() bool { return s.state != stateClosed && s.size >= s.o.MaxSize }

// afterMove is how long after somebody has moved the file a request to rotate means that move, as
// logrotate's does.
const afterMove = time.Minute

// rotate renames the file, audit.jsonl to audit-20261123T070809.123456Z.jsonl, and begins a new
// one.
func (s *fileSink) rotate(head audit.Head) error {
	justMoved := s.o.Now().Sub(s.movedAt) < afterMove && !s.full()
	s.movedAt = time.Time{}
	if s.state == stateClosed || s.size == 0 || justMoved {
		return nil
	}
	err := s.setAside()
	if err != nil {
		err = fmt.Errorf("rotate %s, which grows on: %w", s.o.File, err)
	}
	if s.rotation.set(err); err != nil {
		return err
	}
	s.o.Logger.Info("audit file rotated", "event", "audit_rotated", "file", s.o.File, "from_head", head.String())
	s.state = stateClosed
	err = errors.Join(s.f.Close(), s.create())
	s.retain()
	return err
}

// setAside gives the file its name after the rotation. A file that somebody has already moved away,
// as logrotate does before SIGHUP, stays where it is.
func (s *fileSink) setAside() error {
	if err := s.f.Sync(); err != nil {
		return err
	}
	info, err := s.o.disk.stat(s.o.File)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !isSame(info, s.info) {
		return nil
	}
	if err != nil {
		return err
	}
	at, err := s.o.nextStamp()
	if err != nil {
		return err
	}
	return renameStamped(s.o.disk, s.o.File, rotatedPath, at)
}
