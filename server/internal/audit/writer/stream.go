package writer

import (
	"errors"
	"fmt"
	"io"
	"os"

	"golang.org/x/sys/unix"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// stream is a sink that cannot be synced or cut back: standard output.
type stream struct {
	w    io.WriteCloser
	done int // how much of the current lines is already out
}

// openStdout writes to a duplicate of descriptor 1. A broken pipe on 1 itself
// would end the program: the runtime raises SIGPIPE again for 1 and 2, and
// only for them. On the duplicate it is the error EPIPE.
func openStdout() (*stream, error) {
	fd, err := unix.FcntlInt(uintptr(unix.Stdout), unix.F_DUPFD_CLOEXEC, 3)
	if err != nil {
		return nil, fmt.Errorf("--audit-file -: standard output is not open: %w", err)
	}
	if wasClosed(fd) {
		return &stream{w: closedOutput{}}, unix.Close(fd)
	}
	return &stream{w: os.NewFile(uintptr(fd), "standard output")}, nil
}

// wasClosed reports whether standard output was closed when the program began.
// Go's runtime opens /dev/null for reading and writing in its place, where
// every record would vanish without an error. A shell's `>/dev/null`, which is
// somebody's choice, is open for writing alone.
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
	return 0, errors.New("it was closed when the program began, or is /dev/null open for reading too: give --audit-file")
}
func (closedOutput) Close() error { return nil }

// commit goes on where an earlier attempt at the same lines stopped, so that a
// short write neither tears a line nor repeats one.
func (s *stream) commit(lines []byte) error {
	n, err := s.w.Write(lines[s.done:])
	s.done += n
	if err != nil {
		return fmt.Errorf("write to standard output: %w", err)
	}
	s.done = 0
	return nil
}

func (*stream) full() bool { return false }

func (*stream) rotate(audit.Head) error { return nil }

func (*stream) check() bool { return false }

func (s *stream) close() error { return s.w.Close() }
