// Package bed is where a sidecar is attacked: a process of its own inside the
// manifest's limits, with every kind of listener.
package bed

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// The limits of deploy/kubernetes/sidecar.yaml.
const (
	MemoryLimit   = 128 << 20          // bytes
	goMemoryLimit = "GOMEMLIMIT=64MiB" // the request
	cpuPeriod     = 100_000            // µs, of which the process may use as many: one CPU
)

const cgroupRoot = "/sys/fs/cgroup"

// cgroup bounds one process. The zero value bounds nothing.
type cgroup struct {
	memory, cpu string // directories; with version 2 they are the same
	version     int
}

// newCgroup makes one with the manifest's limits. The error says why this
// machine lets us make none.
func newCgroup(name string) (cgroup, error) {
	if _, err := os.Stat(filepath.Join(cgroupRoot, "cgroup.controllers")); err == nil {
		return newV2(name)
	}
	return newV1(name)
}

// newV1 makes a child of the groups that we are in, one for each controller.
func newV1(name string) (cgroup, error) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return cgroup{}, err
	}
	directories := map[string]string{}
	for line := range strings.Lines(string(text)) {
		fields := strings.SplitN(strings.TrimSpace(line), ":", 3)
		for controller := range strings.SplitSeq(fields[1], ",") {
			directories[controller] = filepath.Join(cgroupRoot, fields[1], fields[2], name)
		}
	}
	g := cgroup{memory: directories["memory"], cpu: directories["cpu"], version: 1}
	if g.memory == "" || g.cpu == "" {
		return cgroup{}, errors.New("no memory and cpu controllers")
	}
	return g, g.make(
		setting{g.memory, "memory.limit_in_bytes", strconv.Itoa(MemoryLimit)},
		setting{g.cpu, "cpu.cfs_period_us", strconv.Itoa(cpuPeriod)},
		setting{g.cpu, "cpu.cfs_quota_us", strconv.Itoa(cpuPeriod)},
	)
}

// newV2 makes a child of the root that we see: a group that holds processes,
// as ours does, cannot have children with controllers.
func newV2(name string) (cgroup, error) {
	directory := filepath.Join(cgroupRoot, name)
	g := cgroup{memory: directory, cpu: directory, version: 2}
	// It fails where the controllers are enabled already; if they are not, the limits below fail.
	_ = os.WriteFile(filepath.Join(cgroupRoot, "cgroup.subtree_control"), []byte("+cpu +memory"), 0o600)
	return g, g.make(
		setting{g.memory, "memory.max", strconv.Itoa(MemoryLimit)},
		setting{g.memory, "memory.swap.max", "0"},
		setting{g.cpu, "cpu.max", fmt.Sprintf("%d %d", cpuPeriod, cpuPeriod)},
	)
}

type setting struct{ directory, file, value string }

func (g cgroup) make(settings ...setting) error {
	for _, s := range settings {
		if err := os.MkdirAll(s.directory, 0o755); err != nil {
			return err
		}
		err := os.WriteFile(filepath.Join(s.directory, s.file), []byte(s.value), 0o600)
		if noSwap := s.file == "memory.swap.max" && errors.Is(err, os.ErrNotExist); err != nil && !noSwap {
			g.remove()
			return err
		}
	}
	return nil
}

// joined returns the files into which a process writes its ID to be bound.
func (g cgroup) joined() []string {
	if g.version == 0 {
		return nil
	}
	return []string{filepath.Join(g.memory, "cgroup.procs"), filepath.Join(g.cpu, "cgroup.procs")}
}

// peak returns the most memory that the group has held, in bytes; 0: unknown.
func (g cgroup) peak() int64 {
	file := map[int]string{1: "memory.max_usage_in_bytes", 2: "memory.peak"}[g.version]
	text, err := os.ReadFile(filepath.Join(g.memory, file))
	if g.version == 0 || err != nil {
		return 0
	}
	peak, _ := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64)
	return peak
}

// remove waits for nobody: the group must be empty.
func (g cgroup) remove() {
	if g.version == 0 {
		return
	}
	_, _ = os.Remove(g.memory), os.Remove(g.cpu)
}
