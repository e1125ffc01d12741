package writer

import "golang.org/x/sys/unix"

// Sync syncs the data and the size, not the times.
func (f osFile) Sync() error { return unix.Fdatasync(int(f.Fd())) }
