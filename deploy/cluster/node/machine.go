package node

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"
)

// settings are what kubelet and the bridge change for the whole machine.
var settings = []string{
	"kernel/keys/root_maxbytes", "kernel/keys/root_maxkeys", "kernel/panic", "kernel/panic_on_oops",
	"net/ipv4/ip_forward", "vm/overcommit_memory", "vm/panic_on_oom",
}

func saveSettings(file string) error {
	var saved strings.Builder
	for _, setting := range settings {
		value, err := os.ReadFile(filepath.Join("/proc/sys", setting))
		if err != nil {
			return err
		}
		saved.WriteString(setting + " " + strings.TrimSpace(string(value)) + "\n")
	}
	return os.WriteFile(file, []byte(saved.String()), 0o600)
}

func restoreSettings(file string) error {
	saved, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	var problems []error
	for line := range strings.Lines(string(saved)) {
		setting, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		path := filepath.Join("/proc/sys", setting)
		if now, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(now)) == value {
			continue // some may be read only
		}
		problems = append(problems, os.WriteFile(path, []byte(value), 0o644))
	}
	return errors.Join(append(problems, err)...)
}

// addAddress gives the node's address to the loopback interface, so that the API server's Service
// needs no kube-proxy.
func addAddress() error {
	if hasAddress() {
		return nil
	}
	return run("ip", "address", "add", Address+"/32", "dev", "lo")
}

func hasAddress() bool {
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		return false
	}
	for _, address := range addresses {
		if strings.HasPrefix(address.String(), Address+"/") {
			return true
		}
	}
	return false
}

// removeNetwork removes the address, the pods' namespaces and their bridge.
func removeNetwork() error {
	var problems []error
	namespaces, err := filepath.Glob("/run/netns/cni-*")
	problems = append(problems, err)
	for _, namespace := range namespaces {
		problems = append(problems, os.Remove(namespace))
	}
	if _, err := net.InterfaceByName(bridge); err == nil {
		problems = append(problems, run("ip", "link", "delete", bridge))
	}
	if hasAddress() {
		problems = append(problems, run("ip", "address", "delete", Address+"/32", "dev", "lo"))
	}
	return errors.Join(problems...)
}
