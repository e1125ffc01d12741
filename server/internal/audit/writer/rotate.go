package writer

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// full reports whether the file has reached its size.
func (s *fileSink) full() bool { return s.f != nil && s.size >= s.o.MaxSize }

// rotate renames the file, audit.jsonl to audit-20261123T070809.123456Z.jsonl,
// and begins a new one in which the chain goes on from head. A file that
// somebody has already moved away, as logrotate does before SIGHUP, stays
// where it is.
func (s *fileSink) rotate(head audit.Head) error {
	if s.f == nil || s.size == 0 {
		return nil
	}
	if err := s.setAside(); err != nil {
		if !s.stuck {
			s.o.Logger.Error("the audit file cannot be rotated; it grows on", "file", s.o.File, "error", err)
		}
		s.stuck = true
		return fmt.Errorf("rotate %s: %w", s.o.File, err)
	}
	s.stuck = false
	s.o.Logger.Info("audit file rotated", "file", s.o.File, "from_head", head.String())
	err := s.f.Close()
	s.f = nil
	return errors.Join(err, s.create())
}

func (s *fileSink) setAside() error {
	if err := s.f.Sync(); err != nil {
		return err
	}
	info, err := os.Stat(s.o.File)
	if errors.Is(err, fs.ErrNotExist) || err == nil && !os.SameFile(info, s.info) {
		return nil // moved away: there is nothing to rename
	}
	if err != nil {
		return err
	}
	return renameFree(s.o.File, func(stamp string) string { return rotatedName(s.o.File, stamp) }, s.o.Now())
}

// rotatedName puts stamp before the extension: `audit*.jsonl` then lists the
// rotated files in order and the current one last.
func rotatedName(path, stamp string) string {
	ext := filepath.Ext(path)
	return strings.TrimSuffix(path, ext) + "-" + stamp + ext
}

// lastRotated returns the newest rotated file of path, or "".
func lastRotated(path string) (string, error) {
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	ext := filepath.Ext(path)
	stem := strings.TrimSuffix(filepath.Base(path), ext) + "-"
	for _, entry := range slices.Backward(entries) { // sorted by name, which is by time
		name := entry.Name()
		stamp, ok := strings.CutPrefix(strings.TrimSuffix(name, ext), stem)
		if _, err := time.Parse(stampFormat, stamp); !ok || err != nil || !strings.HasSuffix(name, ext) {
			continue
		}
		if info, err := entry.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return filepath.Join(filepath.Dir(path), name), nil
		}
	}
	return "", nil
}
