package process

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Harden keeps the process's memory, and with it the secret, out of core files and away from other
// processes of the same user. A process that is not dumpable leaves no core file, cannot be traced,
// and has a /proc entry that belongs to root. Serve despite an error: docs/security.md says what is
// exposed then.
func Harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process not dumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}
