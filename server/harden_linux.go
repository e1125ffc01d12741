package main

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// harden keeps the process's memory, and with it the secret, out of core files
// and out of reach of other processes of the same user: not dumpable means no
// core file, no ptrace, and a /proc entry that belongs to root. An error is no
// reason not to serve: docs/security.md says what is open then.
func harden() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("make the process not dumpable: %w", err)
	}
	if err := unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{}); err != nil {
		return fmt.Errorf("forbid core files: %w", err)
	}
	return nil
}
