//go:build unix

package writer

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// openStandard writes to a duplicate of descriptor 1. A broken pipe on 1 itself would end the
// program: the runtime raises SIGPIPE again for 1 and 2, and only for them. On the duplicate it is
// the error EPIPE.
func openStandard() (*stream, error) {
	fd, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("standard output is not open: %w", err)
	}
	if wasClosed(fd) {
		return &stream{name: nameOfStandard, w: closedOutput{}}, unix.Close(fd)
	}
	return &stream{name: nameOfStandard, w: os.NewFile(uintptr(fd), nameOfStandard)}, nil
}

// wasClosed reports whether standard output was closed when the program began. Go's runtime opens
// /dev/null for reading and writing in its place, where every record would vanish without an error.
// A shell's `>/dev/null`, which somebody chose, is open for writing alone.
func wasClosed(fd int) bool {
	var output, null unix.Stat_t
	flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFL, 0)
	if err != nil || unix.Fstat(fd, &output) != nil || unix.Stat("/dev/null", &null) != nil {
		return false
	}
	return flags&unix.O_ACCMODE == unix.O_RDWR && output.Mode&unix.S_IFMT == unix.S_IFCHR && output.Rdev == null.Rdev
}

// closedOutput takes nothing.
type closedOutput struct{}

func (closedOutput) Write([]byte) (int, error) {
	return 0, errors.New("it was closed when the program began, or is /dev/null opened for reading too")
}
func (closedOutput) Close() error { return nil }
