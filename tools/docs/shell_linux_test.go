package docs

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
)

// RunPage runs the page's script on a fresh copy of the tree in a folder, which is emptied first.
// The script sees the copy in the tree's own place, where what Go has built already is good, and an
// empty /var/log. Its loopback is its own too, so that the ports of the pages are free. All that it
// started ends with it: it is the first process of its own namespace.
func (t *Tree) RunPage(ctx context.Context, p *Page, folder, programs string) error {
	script := p.Script()
	if script == "" {
		return nil
	}
	if err := t.copyTo(folder); err != nil {
		return err
	}
	shell := exec.CommandContext(ctx, "bash", "-c", script)
	shell.Dir = folder
	shell.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"), "CHECKOUT="+t.Root)
	shell.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	if os.Getuid() != 0 {
		shell.SysProcAttr.Cloneflags |= syscall.CLONE_NEWUSER
		shell.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		shell.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	printed, err := shell.CombinedOutput()
	p.CheckOutput(string(printed), err)
	return nil
}

func (t *Tree) copyTo(folder string) error {
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return err
	}
	var names strings.Builder
	for name := range t.files {
		names.WriteString(name + "\x00")
	}
	tar := exec.Command("sh", "-c", `tar -C "$0" --null --no-recursion -T - -c | tar -C "$1" -x`, t.Root, folder)
	tar.Stdin = strings.NewReader(names.String())
	if said, err := tar.CombinedOutput(); err != nil {
		return fmt.Errorf("copy the tree: %w: %s", err, said)
	}
	return nil
}
