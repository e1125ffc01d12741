package listen

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// moveTo moves a file of this process to a path at which nothing is. If something is there, the error
// is fs.ErrExist and nothing changes.
func moveTo(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) { // this filesystem cannot
		err = linkTo(from, to)
	}
	return os.NewSyscallError("rename", err)
}
