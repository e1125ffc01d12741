//go:build linux

package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"strconv"
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
		closeAll(crowd)
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
		t.Error(err)
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

func closeAll(connections []net.Conn) {
	for _, connection := range connections {
		connection.Close()
	}
}

// openProcessor leaves the sidecar a tenth of a processor, of which a neighbour wants all.
func openProcessor(t *testing.T) *pod {
	t.Helper()
	group := newCgroup(t, "cpu", map[int]string{1: "cpu.cfs_quota_us", 2: "cpu.max"}, "10000") // of 100,000 µs
	p := newPod(t, withSecret(), "--limit-caller", "off").opened(t)
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

// openDescriptors has somebody take every descriptor that the sidecar may have, and come back when
// it closes the connections that prove nothing.
func openDescriptors(t *testing.T) *pod {
	t.Helper()
	p := newPod(t, withSecret())
	p.setup.wrap = []string{"sh", "-c", `ulimit -n 64; exec "$0" "$@"`}
	p.opened(t)
	ctx, stop := context.WithCancel(t.Context())
	var crowding sync.WaitGroup
	p.strike = func() {
		crowding.Go(func() {
			for ctx.Err() == nil {
				crowd := p.crowd(t, 64)
				select {
				case <-ctx.Done():
				case <-time.After(time.Second):
				}
				closeAll(crowd)
			}
		})
	}
	p.mend = func() {
		stop()
		crowding.Wait()
	}
	t.Cleanup(p.mend)
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
	p.deadline, p.struck = time.Second, podLength()
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
