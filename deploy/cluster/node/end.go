package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// groups are the control groups of all pods, of cgroup v1 and v2.
var groups = []string{"/sys/fs/cgroup/*/kubepods", "/sys/fs/cgroup/kubepods"}

// End ends what runs with its files below a directory, also what a killed run left, and takes back
// what was changed on the machine. Each of those processes names the directory in its arguments.
func End(directory string) error {
	if len(processes(directory, "")) == 0 && !exists(directory) {
		return nil
	}
	var problems []error
	problems = append(problems, terminate(directory, "kubelet"))
	if err := Await("end the containers", time.Minute, killPods); err != nil {
		problems = append(problems, err)
	}
	for _, name := range []string{
		"containerd", "containerd-shim-runc-v2", "kube-scheduler", "kube-controller-manager", "kube-apiserver", "etcd",
	} {
		problems = append(problems, terminate(directory, name))
	}
	problems = append(problems,
		unmount(directory), removeNetwork(), removeGroups(), restoreSettings(filepath.Join(directory, "settings")))
	// What runc knows of containers that were killed.
	problems = append(problems, os.RemoveAll("/run/containerd/runc/k8s.io"))
	if err := errors.Join(problems...); err != nil {
		return fmt.Errorf("end the cluster: %w", err)
	}
	return os.RemoveAll(directory)
}

// refuseOtherCluster keeps End from ending what is not ours.
func refuseOtherCluster() error {
	for _, pattern := range groups {
		if found, err := filepath.Glob(pattern); err != nil || len(found) > 0 {
			return fmt.Errorf("this machine is the node of another cluster: %v: %w", found, errors.Join(err, fs.ErrExist))
		}
	}
	return nil
}

// processes are those of a program, or of all, that name the directory in their arguments.
func processes(directory, program string) []int {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	var found []int
	for _, entry := range entries {
		pid, err := strconv.Atoi(entry.Name())
		if err != nil {
			continue
		}
		line, err := os.ReadFile(filepath.Join("/proc", entry.Name(), "cmdline"))
		if err != nil || !bytes.Contains(line, []byte(directory+"/")) {
			continue
		}
		if is := programOf(line); is != "" && (program == "" || is == program) {
			found = append(found, pid)
		}
	}
	return found
}

// programOf names the program of a command line if it is one of ours.
func programOf(line []byte) string {
	arguments := strings.Split(string(line), "\x00")
	switch is := filepath.Base(arguments[0]); {
	case strings.HasPrefix(is, "containerd"):
		return is
	case strings.HasPrefix(is, "kube") && len(arguments) > 1:
		return arguments[1]
	}
	return ""
}

// terminate ends a program by SIGTERM, and after ten seconds by SIGKILL.
func terminate(directory, program string) error {
	signal := syscall.SIGTERM
	began := time.Now()
	return Await("end "+program, 30*time.Second, func() error {
		running := processes(directory, program)
		if len(running) == 0 {
			return nil
		}
		if time.Since(began) > 10*time.Second {
			signal = syscall.SIGKILL
		}
		for _, pid := range running {
			syscall.Kill(pid, signal) //nolint:errcheck // it may have ended meanwhile
		}
		return fmt.Errorf("%d still run", len(running))
	})
}

func killPods() error {
	running := 0
	for _, pattern := range groups {
		roots, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, root := range roots {
			filepath.WalkDir(root, func(path string, entry fs.DirEntry, _ error) error { //nolint:errcheck // groups go meanwhile
				if entry == nil || entry.Name() != "cgroup.procs" {
					return nil
				}
				text, _ := os.ReadFile(path)
				for pid := range strings.FieldsSeq(string(text)) {
					if number, err := strconv.Atoi(pid); err == nil {
						running++
						syscall.Kill(number, syscall.SIGKILL) //nolint:errcheck // it may have ended meanwhile
					}
				}
				return nil
			})
		}
	}
	if running > 0 {
		return fmt.Errorf("%d processes still run", running)
	}
	return nil
}

func removeGroups() error {
	for _, pattern := range groups {
		roots, err := filepath.Glob(pattern)
		if err != nil {
			return err
		}
		for _, root := range roots {
			var folders []string
			filepath.WalkDir(root, func(path string, entry fs.DirEntry, _ error) error { //nolint:errcheck // told below
				if entry != nil && entry.IsDir() {
					folders = append(folders, path)
				}
				return nil
			})
			slices.Reverse(folders) // the innermost first
			for _, folder := range folders {
				if err := os.Remove(folder); err != nil && !errors.Is(err, fs.ErrNotExist) {
					return err
				}
			}
		}
	}
	return nil
}

// unmount unmounts the volumes and the files of containers, the innermost first.
func unmount(directory string) error {
	return Await("unmount", 30*time.Second, func() error {
		mounts, err := os.ReadFile("/proc/mounts")
		if err != nil {
			return err
		}
		var ours []string
		for line := range strings.Lines(string(mounts)) {
			place := strings.Fields(line)[1]
			if strings.HasPrefix(place, directory+"/") || strings.HasPrefix(place, "/run/netns/cni-") {
				ours = append(ours, place)
			}
		}
		slices.Reverse(ours)
		var problems []error
		for _, place := range ours {
			if err := syscall.Unmount(place, 0); err != nil {
				problems = append(problems, fmt.Errorf("%s: %w", place, err))
			}
		}
		return errors.Join(problems...)
	})
}

// run runs a program of the system.
func run(program string, arguments ...string) error {
	if said, err := exec.Command(program, arguments...).CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(arguments, " "), err, said)
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Lstat(path)
	return err == nil
}
