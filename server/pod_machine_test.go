//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// openMemory has the kernel kill the sidecar at its memory limit, while connections come and stay.
// Then, as a kubelet would, it starts another.
func openMemory(t *testing.T) *pod {
	t.Helper()
	const room = 4 << 20 // beyond what the sidecar holds already
	group := newCgroup(t, "memory", map[int]string{1: "memory.limit_in_bytes", 2: "memory.max"}, strconv.Itoa(room))
	p := newPod(t, withSecret()).opened(t)
	var crowd []net.Conn
	p.strike = func() {
		group.join(p.Process.Pid)
		crowd = p.crowd(t, 500)
	}
	p.mend = func() {
		_ = p.waited()
		for _, connection := range crowd {
			connection.Close()
		}
		if status, ok := p.ProcessState.Sys().(syscall.WaitStatus); !ok || status.Signal() != syscall.SIGKILL {
			t.Errorf("the sidecar ended with %v", p.ProcessState)
		}
		p.opened(t)
	}
	return p
}

// crowd opens connections that speak HTTP/2 and stay, as far as they are taken.
func (p *pod) crowd(t *testing.T, most int) []net.Conn {
	t.Helper()
	hello := bytes.NewBufferString(http2.ClientPreface)
	if err := http2.NewFramer(hello, nil).WriteSettings(); err != nil {
		t.Fatal(err)
	}
	var crowd []net.Conn
	for range most {
		connection, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", p.address)
		if err != nil {
			return crowd
		}
		crowd = append(crowd, connection)
		_, _ = connection.Write(hello.Bytes()) // what is refused is closed
	}
	return crowd
}

// openProcessor leaves the sidecar a tenth of a processor, of which a neighbour wants all.
func openProcessor(t *testing.T) *pod {
	t.Helper()
	group := newCgroup(t, "cpu", map[int]string{1: "cpu.cfs_quota_us", 2: "cpu.max"}, "10000") // of 100,000 µs
	p := newPod(t, withSecret(), "--limit-caller", "off", "--audit-timeout", "30s").opened(t)
	p.struck = podLength()
	var stop func()
	p.strike = func() {
		group.join(p.Process.Pid)
		stop = load(t, p.running, 8, p.trail.answered)
	}
	p.mend = func() {
		stop()
		if !group.hasThrottled() {
			t.Error("the sidecar had as much of the processor as it wanted")
		}
	}
	return p
}

// openDescriptors has somebody take every descriptor that the sidecar may have.
func openDescriptors(t *testing.T) *pod {
	t.Helper()
	p := newPod(t, withSecret())
	p.setup.wrap = []string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`}
	p.opened(t)
	var crowd []net.Conn
	p.strike = func() { crowd = p.crowd(t, 64) }
	p.mend = func() {
		for _, connection := range crowd {
			connection.Close()
		}
	}
	return p
}

// openCrowd has thousands call at once for one customer, each over a connection of its own. On
// loopback they are all one caller, and the app is another.
func openCrowd(t *testing.T) *pod {
	t.Helper()
	const limited, fewLeft = "RATE_LIMITED of the crowd", 1000
	const gaveWay = `chatidentity_transport_errors_total{kind="connection_limit"}`
	callers := rounds(500, 1000, 10_000)
	var most syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most); err != nil {
		t.Fatal(err)
	}
	needs(t, fmt.Sprintf("a limit of %d descriptors", callers+fewLeft), most.Cur >= uint64(callers+fewLeft))
	p := newPod(t, withSecret()).opened(t)
	var calling sync.WaitGroup
	var mu sync.Mutex
	met := map[string]int{}
	p.others = func() map[string]int {
		mu.Lock()
		defer mu.Unlock()
		return map[string]int{limited: met["RATE_LIMITED"]}
	}
	p.strike = func() {
		for range callers {
			calling.Go(func() {
				answer := p.callOnce()
				mu.Lock()
				met[answer]++
				mu.Unlock()
			})
		}
	}
	p.mend = func() {
		calling.Wait()
		t.Logf("the crowd: %v", met)
		if p.metric(t, gaveWay) == 0 && met["Unavailable"] > 0 {
			t.Errorf("%s counts nothing", gaveWay)
		}
		for answer, n := range met {
			switch answer {
			case answered, "RATE_LIMITED", "Unavailable", "DeadlineExceeded":
			default:
				t.Errorf("%d of the crowd met %s", n, answer)
			}
		}
	}
	return p
}

// callOnce is a call of the crowd, and what came of it.
func (p *pod) callOnce() string {
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	connection, err := grpc.NewClient("passthrough:///"+p.address, plain)
	if err != nil {
		return err.Error()
	}
	defer connection.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	client := pb.NewChatIdentityServiceClient(connection)
	reply, err := client.IssueToken(ctx, issueFor("wanted", ""))
	p.trail.answered(reply, err)
	return answerOf(err)
}

// openStopped stops the sidecar, as if the machine stood still.
func openStopped(t *testing.T) *pod {
	t.Helper()
	p := newPod(t, withSecret()).opened(t)
	p.struck = podLength()
	signal := func(signal syscall.Signal) {
		if err := p.Process.Signal(signal); err != nil {
			t.Error(err)
		}
	}
	p.strike = func() { signal(syscall.SIGSTOP) }
	p.mend = func() { signal(syscall.SIGCONT) }
	t.Cleanup(func() { _ = p.Process.Signal(syscall.SIGCONT) })
	return p
}

// podLength is how long something lasts that could last for ever.
func podLength() time.Duration { return time.Duration(rounds(1, 3, 60)) * time.Second }

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
	t.Cleanup(func() {
		if said, err := exec.Command("umount", directory).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, said)
		}
	})
}
