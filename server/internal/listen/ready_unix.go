//go:build unix

package listen

import "syscall"

const canReadNow = true

// readNow reads what has come, or returns EAGAIN.
func readNow(fd uintptr, to []byte) (int, error) { return syscall.Read(int(fd), to) }
