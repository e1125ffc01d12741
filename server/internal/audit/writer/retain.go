package writer

import "fmt"

// retain deletes the oldest rotated files, beyond those to keep. What cannot be deleted is tried
// again once a second and at each rotation; the log goes on meanwhile.
func (s *fileSink) retain() {
	if s.o.MaxFiles == 0 {
		return
	}
	s.retention.set(s.deleteOldest())
}

func (s *fileSink) deleteOldest() error {
	rotated, err := s.o.rotatedFiles()
	if err != nil {
		return fmt.Errorf("find the rotated files: %w", err)
	}
	var failed error
	for _, path := range rotated[:max(len(rotated)-s.o.MaxFiles, 0)] {
		if err := s.delete(path); err != nil && failed == nil {
			failed = fmt.Errorf("delete the oldest rotated file: %w", err)
		}
	}
	return failed
}

// delete removes a rotated file, and logs after which record the files that are left begin.
func (s *fileSink) delete(path string) error {
	head := headOf(s.o.disk, path)
	if err := s.o.disk.remove(path); err != nil {
		return err
	}
	s.m.deleted.Inc()
	s.o.Logger.Info("a rotated audit file was deleted, because there were more than are to be kept",
		"event", "audit_file_deleted", "file", path, "from_head", head)
	return nil
}

// headOf returns the place of the last record of a file, or "unknown": what cannot be read is
// deleted all the same.
func headOf(d disk, path string) string {
	last, err := tailOf(d, path)
	if err != nil || last.record == nil {
		return "unknown"
	}
	return last.head().String()
}
