package node

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

func (n *Node) socket() string { return n.path("containerd.sock") }

// StartContainerd starts containerd, at first or after StopContainerd.
func (n *Node) StartContainerd() error {
	if err := n.configure("network.json", n.path("cni", "10-pods.conflist")); err != nil {
		return err
	}
	configured := n.path("containerd.toml")
	if err := n.configure("containerd.toml", configured); err != nil {
		return err
	}
	if err := n.start("/usr/bin/containerd", "--config", configured); err != nil {
		return err
	}
	return Await("containerd", patience, func() error {
		_, err := n.ctr("version")
		return err
	})
}

// StopContainerd ends containerd, as an upgrade of a node does. The pods go on.
func (n *Node) StopContainerd() error { return terminate(n.directory, "containerd") }

// Import makes an image and gives it to containerd.
func (n *Node) Import(image Image) error {
	archive := n.path("image.tar")
	defer os.Remove(archive) //nolint:errcheck // it may be gone
	if err := image.write(archive); err != nil {
		return fmt.Errorf("image %s: %w", image.Name, err)
	}
	_, err := n.ctr("images", "import", archive)
	return err
}

// PID returns the process of a container, by the container's ID as a pod's status has it.
func (n *Node) PID(container string) (int, error) {
	_, id, _ := strings.Cut(container, "://")
	tasks, err := n.ctr("tasks", "list")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(tasks) {
		if task := strings.Fields(line); len(task) == 3 && task[0] == id {
			return strconv.Atoi(task[1])
		}
	}
	return 0, fmt.Errorf("no process of container %q", container)
}

// PeakMemory returns the most that a process's control group has held, in bytes, caches included.
func PeakMemory(pid int) (int, error) {
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		file := ""
		switch {
		case len(parts) == 3 && parts[1] == "memory":
			file = filepath.Join("/sys/fs/cgroup/memory", parts[2], "memory.max_usage_in_bytes")
		case len(parts) == 3 && parts[0] == "0":
			file = filepath.Join("/sys/fs/cgroup", parts[2], "memory.peak")
		}
		if text, err := os.ReadFile(file); err == nil {
			return strconv.Atoi(strings.TrimSpace(string(text)))
		}
	}
	return 0, fmt.Errorf("no memory control group of process %d", pid)
}

func (n *Node) ctr(arguments ...string) (string, error) {
	command := exec.Command("ctr", append([]string{"--address", n.socket(), "--namespace", "k8s.io"}, arguments...)...)
	output, err := command.Output()
	if err != nil {
		var said []byte
		if exit, ok := err.(*exec.ExitError); ok { //nolint:errorlint // Output returns it as it is
			said = exit.Stderr
		}
		return "", fmt.Errorf("ctr %s: %w: %s", strings.Join(arguments, " "), err, said)
	}
	return string(output), nil
}
