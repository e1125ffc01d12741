package bed

import (
	"encoding/gob"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
)

// launchArgument makes a program that calls LaunchIfAsked become the sidecar. It
// reads how from standard input.
const launchArgument = "launch-sidecar"

// launch is how a process becomes the sidecar: it joins its cgroup while it is
// still root, then takes the sidecar's user ID, then its program.
type launch struct {
	Join    []string // files that take the process's ID
	UID     int      // 0: as we are
	Program string
	Args    []string
	Env     []string
}

// LaunchIfAsked does not return in a process that a Sidecar has started.
func LaunchIfAsked() {
	if len(os.Args) != 2 || os.Args[1] != launchArgument {
		return
	}
	var l launch
	err := gob.NewDecoder(os.Stdin).Decode(&l)
	if err == nil {
		err = l.become()
	}
	fmt.Fprintln(os.Stderr, "launch the sidecar:", err)
	os.Exit(1)
}

func (l launch) become() error {
	runtime.LockOSThread() // what is set below is the thread's
	for _, file := range l.Join {
		if err := os.WriteFile(file, []byte(strconv.Itoa(os.Getpid())), 0); err != nil {
			return err
		}
	}
	forget(l.Program)
	if l.UID != 0 {
		if err := syscall.Setgroups(nil); err != nil {
			return err
		}
		if err := syscall.Setgid(l.UID); err != nil {
			return err
		}
		if err := syscall.Setuid(l.UID); err != nil {
			return err
		}
	}
	// It dies with us, however we die. The kernel forgets this at each change of user.
	_, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, syscall.PR_SET_PDEATHSIG, uintptr(syscall.SIGKILL), 0)
	if errno != 0 {
		return errno
	}
	return syscall.Exec(l.Program, append([]string{l.Program}, l.Args...), l.Env)
}

// forget drops a file from the page cache, so that whoever reads it next is
// charged for it, as a container is for its image.
func forget(path string) {
	const dontNeed = 4 // POSIX_FADV_DONTNEED
	file, err := os.Open(path)
	if err != nil {
		return
	}
	defer file.Close()                                                                 //nolint:errcheck // only read
	_, _, _ = syscall.Syscall6(syscall.SYS_FADVISE64, file.Fd(), 0, 0, dontNeed, 0, 0) //nolint:dogsled // may stay
}
