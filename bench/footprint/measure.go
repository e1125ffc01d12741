package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

const (
	settle       = 2 * time.Second // before a process counts as idle
	startTimeout = 10 * time.Second
	stopTimeout  = 15 * time.Second
)

// measure runs the command once. Its standard output, the audit, is read through
// a pipe as a container engine does, and dropped.
func measure(ctx context.Context, command []string, load load) (measured, error) {
	address, err := freeAddress(ctx)
	if err != nil {
		return measured{}, err
	}
	process := exec.CommandContext(ctx, command[0], append(command[1:], "--listen="+address)...)
	process.Stdout = io.Discard
	begin := time.Now()
	if err := process.Start(); err != nil {
		return measured{}, err
	}
	one, err := observe(ctx, process.Process.Pid, address, begin, load)
	if stopErr := stop(process); err == nil {
		err = stopErr
	}
	return one, err
}

// stop ends the process in order, or kills it.
func stop(process *exec.Cmd) error {
	if err := process.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	kill := time.AfterFunc(stopTimeout, func() { _ = process.Process.Kill() })
	defer kill.Stop()
	return process.Wait()
}

func observe(ctx context.Context, pid int, address string, begin time.Time, load load) (measured, error) {
	var one measured
	if err := awaitListener(ctx, address); err != nil {
		return one, err
	}
	connection, err := grpc.NewClient(address, grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		return one, err
	}
	defer connection.Close() //nolint:errcheck // nothing is pending
	client := pb.NewChatIdentityServiceClient(connection)
	if err := issue(ctx, client, 0); err != nil {
		return one, fmt.Errorf("first token: %w", err)
	}
	one.firstToken = time.Since(begin)
	time.Sleep(settle)
	if one.idle, err = residentMemory(pid, "VmRSS:"); err != nil {
		return one, err
	}
	load.run(ctx, client, &one)
	one.loaded, err = residentMemory(pid, "VmHWM:")
	return one, err
}

// run keeps calls in flight for some time, and counts them.
func (l load) run(ctx context.Context, client pb.ChatIdentityServiceClient, count *measured) {
	var made, failed atomic.Int64
	var running sync.WaitGroup
	end := time.Now().Add(l.duration)
	for range l.callers {
		running.Go(func() {
			for time.Now().Before(end) {
				if issue(ctx, client, made.Add(1)%l.customers) != nil {
					failed.Add(1)
				}
			}
		})
	}
	running.Wait()
	count.calls, count.failed = made.Load(), failed.Load()
}

func issue(ctx context.Context, client pb.ChatIdentityServiceClient, n int64) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	_, err := client.IssueToken(ctx, &pb.IssueTokenRequest{
		Customer: &pb.Customer{ExternalId: "user_" + strconv.FormatInt(n, 10)},
	})
	return err
}

// awaitListener waits until something accepts connections.
func awaitListener(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
		if err == nil {
			return conn.Close()
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait for %s: %w", address, err)
		}
		time.Sleep(time.Millisecond)
	}
}

func freeAddress(ctx context.Context) (string, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return listener.Addr().String(), listener.Close()
}

// residentMemory reads a size from the process's status, in bytes.
func residentMemory(pid int, field string) (int64, error) {
	status, err := os.Open("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return 0, err
	}
	defer status.Close() //nolint:errcheck // nothing was written
	for lines := bufio.NewScanner(status); lines.Scan(); {
		words := strings.Fields(lines.Text())
		if len(words) == 3 && words[0] == field {
			kibibytes, err := strconv.ParseInt(words[1], 10, 64)
			return kibibytes << 10, err
		}
	}
	return 0, fmt.Errorf("process %d has no %s", pid, field)
}
