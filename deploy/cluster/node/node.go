// Package node runs a Kubernetes of one node on this machine: etcd, the API server, the
// controllers, the scheduler, containerd and the kubelet, each a process of its own. It needs root,
// Debian's containerd, runc, containernetworking-plugins and iproute2, and the program of ../kube.
//
// There is no DNS, no kube-proxy and no registry: the API server listens on the address of its own
// Service, and images are imported.
package node

import (
	"embed"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

const (
	// Address is the node's, and the API server's. Pods reach what listens there.
	Address = "10.96.0.1"

	// Name is the node's.
	Name = "node-1"

	local    = "127.96.0.1" // of what only this machine needs
	services = "10.96.0.0/24"
	pods     = "10.244.0.0/24"
	bridge   = "chatidentity0"
	pause    = "localhost/pause:1"
	patience = 3 * time.Minute
)

// Node is a running cluster. Start makes one.
type Node struct {
	directory string
	kube      string // the program of ../kube
	logs      string
}

// Start starts a cluster that writes only below a directory, and its logs below another. kube is
// the program of ../kube, and pauseProgram is what holds the namespaces of a pod. What an earlier
// run left there is ended first.
func Start(directory, logs, kube, pauseProgram string) (*Node, error) {
	n := &Node{directory: directory, kube: kube, logs: logs}
	if os.Geteuid() != 0 {
		return nil, errors.New("a cluster needs root")
	}
	if err := End(directory); err != nil {
		return nil, err
	}
	for _, step := range []struct {
		what string
		do   func() error
	}{
		{"folders", n.makeFolders},
		{"certificates", n.makeCredentials},
		{"the node's address", addAddress},
		{"etcd and the API server", n.startServers},
		{"controllers and scheduler", n.startControllers},
		{"containerd", n.StartContainerd},
		{"the pause image", func() error {
			return n.Import(Image{Name: pause, Files: map[string]string{"/pause": pauseProgram}, Entrypoint: []string{"/pause"}})
		}},
		{"the kubelet", n.startKubelet},
	} {
		if err := step.do(); err != nil {
			return nil, errors.Join(fmt.Errorf("%s: %w (logs: %s)", step.what, err, logs), End(directory))
		}
	}
	return n, nil
}

func (n *Node) path(elements ...string) string {
	return filepath.Join(append([]string{n.directory}, elements...)...)
}

func (n *Node) makeFolders() error {
	if err := refuseOtherCluster(); err != nil {
		return err
	}
	if err := os.RemoveAll(n.logs); err != nil {
		return err
	}
	for _, folder := range []string{n.logs, n.path("pki"), n.path("cni"), n.path("manifests")} {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
	}
	return saveSettings(n.path("settings"))
}

//go:embed containerd.toml kubelet.yaml network.json
var configuration embed.FS

// configure writes a file of the configuration with this node's values.
func (n *Node) configure(file, path string) error {
	text, err := configuration.ReadFile(file)
	if err != nil {
		return err
	}
	values := map[string]string{
		"directory": n.directory, "socket": n.socket(), "address": Address, "local": local,
		"pause": pause, "bridge": bridge, "pods": pods,
	}
	return os.WriteFile(path, []byte(os.Expand(string(text), func(key string) string { return values[key] })), 0o600)
}

// PodAddresses are all that a pod may have.
func PodAddresses() []string {
	var all []string
	for host := 1; host < 255; host++ {
		all = append(all, fmt.Sprintf("10.244.0.%d", host))
	}
	return all
}

// Await calls a function until it succeeds.
func Await(what string, patience time.Duration, try func() error) error {
	for end := time.Now().Add(patience); ; time.Sleep(200 * time.Millisecond) {
		err := try()
		if err == nil {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%s, after %v: %w", what, patience, err)
		}
	}
}
