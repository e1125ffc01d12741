package redis

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"
)

// server is a real redis-server on a socket of its own.
type server struct {
	t      testing.TB
	dir    string
	args   []string
	cmd    *exec.Cmd
	admin  *goredis.Client
	socket string
}

// startServer starts a server with additional arguments. The test ends it.
func startServer(tb testing.TB, args ...string) *server {
	tb.Helper()
	if _, err := exec.LookPath("redis-server"); err != nil {
		if os.Getenv("CI") == "true" {
			tb.Fatal("redis-server is not installed")
		}
		tb.Skip("redis-server is not installed")
	}
	dir, err := os.MkdirTemp("", "redis")
	if err != nil {
		tb.Fatal(err)
	}
	s := &server{t: tb, dir: dir, args: args, socket: filepath.Join(dir, "s")}
	s.start()
	s.admin = goredis.NewClient(&goredis.Options{Network: "unix", Addr: s.socket, Password: s.setting("--requirepass")})
	tb.Cleanup(func() {
		s.admin.Close()
		s.kill()
		os.RemoveAll(dir)
	})
	return s
}

func (s *server) start() {
	s.t.Helper()
	args := append([]string{"--port", "0", "--unixsocket", s.socket, "--dir", s.dir, "--save", "", "--appendonly", "no"}, s.args...)
	s.cmd = exec.Command("redis-server", args...)
	output := &journal{}
	s.cmd.Stdout, s.cmd.Stderr = output, output
	s.t.Cleanup(func() {
		if s.t.Failed() {
			s.t.Logf("redis-server %q:\n%s", args, output)
		}
	})
	if err := s.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	await(s.t, "redis-server to listen", func() bool {
		conn, err := net.Dial("unix", s.socket)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

func (s *server) kill() {
	s.cmd.Process.Signal(syscall.SIGCONT)
	s.cmd.Process.Kill()
	s.cmd.Wait()
	os.Remove(s.socket)
}

func (s *server) signal(signal os.Signal) {
	s.t.Helper()
	if err := s.cmd.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// do runs a command as administrator.
func (s *server) do(args ...any) any {
	s.t.Helper()
	reply, err := s.admin.Do(context.Background(), args...).Result()
	if err != nil {
		s.t.Fatal(args, err)
	}
	return reply
}

// calls returns how often a command was called, by the server's own count.
func (s *server) calls(command string) int {
	s.t.Helper()
	_, after, found := strings.Cut(fmt.Sprint(s.do("INFO", "commandstats")), "cmdstat_"+command+":calls=")
	if !found {
		return 0
	}
	number, _, _ := strings.Cut(after, ",")
	n, err := strconv.Atoi(number)
	if err != nil {
		s.t.Fatal(err)
	}
	return n
}

// await waits for a condition, for up to ten seconds.
func await(tb testing.TB, what string, condition func() bool) {
	tb.Helper()
	deadline := time.Now().Add(10 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			tb.Fatalf("waited in vain for %s", what)
		}
		<-time.After(time.Millisecond)
	}
}

// journal is a log that may be read while it is written.
type journal struct {
	mu   sync.Mutex
	text strings.Builder
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// setting returns what the arguments say; "" if they say nothing.
func (s *server) setting(name string) string {
	if i := slices.Index(s.args, name); i >= 0 {
		return s.args[i+1]
	}
	return ""
}

// replyTo returns what the server says to a command, an error or not.
func (s *server) replyTo(args ...any) string {
	reply, err := s.admin.Do(context.Background(), args...).Result()
	if err != nil {
		return err.Error()
	}
	return fmt.Sprint(reply)
}
