//go:build linux

package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// cgroup bounds processes. It needs root.
type cgroup struct {
	t         *testing.T
	directory string
}

// newCgroup makes a group in which one file, by the version of cgroups, has the value.
func newCgroup(t *testing.T, controller string, file map[int]string, value string) *cgroup {
	t.Helper()
	const root = "/sys/fs/cgroup"
	directory, version := filepath.Join(root, controller, ownCgroup(controller)), 1
	if _, err := os.Stat(filepath.Join(root, "cgroup.controllers")); err == nil {
		// A group that holds processes, as ours does, cannot have children with controllers.
		directory, version = root, 2
		_ = os.WriteFile(filepath.Join(root, "cgroup.subtree_control"), []byte("+cpu +memory"), 0o600) // or they are enabled
	}
	g := &cgroup{t, filepath.Join(directory, fmt.Sprintf("pod-%s-%d", controller, os.Getpid()))}
	err := os.Mkdir(g.directory, 0o755)
	if err == nil {
		t.Cleanup(func() {
			eventually(t, "empty group", func() bool { return os.Remove(g.directory) == nil })
		})
		err = os.WriteFile(filepath.Join(g.directory, file[version]), []byte(value), 0o600)
	}
	needs(t, fmt.Sprintf("a cgroup of our own (root; %v)", err), err == nil)
	return g
}

// ownCgroup is the group that we are in, with version 1.
func ownCgroup(controller string) string {
	text, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(text)) {
		if _, path, found := strings.Cut(strings.TrimSpace(line), ":"+controller+":"); found {
			return path
		}
	}
	return ""
}

func (g *cgroup) join(pid int) {
	g.t.Helper()
	if err := os.WriteFile(filepath.Join(g.directory, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0o600); err != nil {
		g.t.Error(err)
	}
}

func (g *cgroup) hasThrottled() bool {
	text, err := os.ReadFile(filepath.Join(g.directory, "cpu.stat"))
	if err != nil {
		g.t.Error(err)
	}
	return !strings.Contains(string(text), "nr_throttled 0\n")
}

// mount runs mount and undoes it at the end of the test.
func mount(t *testing.T, directory string, args ...string) {
	t.Helper()
	said, err := exec.CommandContext(t.Context(), "mount", append(args, directory)...).CombinedOutput()
	needs(t, fmt.Sprintf("mount (root; %s)", said), err == nil)
	t.Cleanup(func() { // a child that a parallel test forked just now may hold what was open there
		eventually(t, "umount of "+directory, func() bool { return exec.Command("umount", directory).Run() == nil })
	})
}
