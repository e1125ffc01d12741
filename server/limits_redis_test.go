package main

import (
	"bufio"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"
	"google.golang.org/genproto/googleapis/rpc/errdetails"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// redisServer is a real redis-server on a socket of its own.
type redisServer struct {
	t       *testing.T
	socket  string
	process *exec.Cmd
	args    []string
	*redis.Client
}

func startRedis(t *testing.T, args ...string) *redisServer {
	t.Helper()
	_, err := exec.LookPath("redis-server")
	needs(t, "redis-server", err == nil)
	directory, err := os.MkdirTemp("", "redis-*") // a socket's path has at most 107 bytes
	if err != nil {
		t.Fatal(err)
	}
	s := &redisServer{t: t, socket: filepath.Join(directory, "s"), args: args}
	s.Client = redis.NewClient(&redis.Options{Network: "unix", Addr: s.socket})
	s.start()
	t.Cleanup(func() {
		s.Close()
		s.kill()
		os.RemoveAll(directory)
	})
	return s
}

func (s *redisServer) start() {
	s.t.Helper()
	args := []string{"--port", "0", "--unixsocket", s.socket, "--save", "", "--appendonly", "no"}
	s.process = exec.Command("redis-server", append(args, s.args...)...)
	if err := s.process.Start(); err != nil {
		s.t.Fatal(err)
	}
	eventually(s.t, "redis-server", func() bool { return s.Ping(context.Background()).Err() == nil })
}

func (s *redisServer) kill() {
	_ = s.process.Process.Kill()
	_ = s.process.Wait()
	_ = os.Remove(s.socket)
}

func (s *redisServer) signal(signal os.Signal) {
	s.t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		s.t.Fatal(err)
	}
}

// now is the clock that shared budgets earn by.
func (s *redisServer) now() time.Time {
	s.t.Helper()
	now, err := s.Time(context.Background()).Result()
	if err != nil {
		s.t.Fatal(err)
	}
	return now
}

// limitKeyFile makes the key that all replicas must have.
func limitKeyFile(t *testing.T) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "audit.key")
	if err := os.WriteFile(file, []byte(base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// replica is a sidecar's setup that shares limits through the socket.
func replica(t *testing.T, socket, keyFile string, args ...string) setup {
	t.Helper()
	return withSecret(append([]string{
		"--limit-redis", "unix://" + socket, "--audit-key-file", keyFile, "--limit-caller", "off",
		"--audit-file", filepath.Join(t.TempDir(), "audit.jsonl"), "--audit-sync", "off", "--audit-timeout", "30s",
	}, args...)...)
}

func (s setup) auditFile() string {
	for i, arg := range s.args {
		if arg == "--audit-file" {
			return s.args[i+1]
		}
	}
	return ""
}

// monitor collects every command that the server is sent.
func (s *redisServer) monitor() *output {
	s.t.Helper()
	connection, err := net.Dial("unix", s.socket)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { connection.Close() })
	if _, err := connection.Write([]byte("MONITOR\r\n")); err != nil {
		s.t.Fatal(err)
	}
	lines := bufio.NewReader(connection)
	if line, err := lines.ReadString('\n'); line != "+OK\r\n" {
		s.t.Fatal(line, err)
	}
	wire := &output{}
	go lines.WriteTo(wire)
	return wire
}

// dump returns all keys and values, each of which must expire.
func (s *redisServer) dump() string {
	s.t.Helper()
	ctx := context.Background()
	keys, err := s.Keys(ctx, "*").Result()
	if err != nil {
		s.t.Fatal(err)
	}
	var all strings.Builder
	for _, key := range keys {
		value, err := s.Get(ctx, key).Result()
		if err != nil && !errors.Is(err, redis.Nil) { // expired meanwhile
			s.t.Fatal(err)
		}
		if s.PTTL(ctx, key).Val() == -1 {
			s.t.Errorf("key %s never expires", key)
		}
		fmt.Fprintln(&all, key, value)
	}
	return all.String()
}

// metric returns one series of /metrics, 0 if there is none yet.
func (p *running) metric(t *testing.T, series string) float64 {
	t.Helper()
	_, page := p.get(t, "/metrics")
	for line := range strings.Lines(page) {
		if text, found := strings.CutPrefix(line, series+" "); found {
			value, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	return 0
}

// detail returns the first detail of its kind, or its zero value.
func detail[D any](err error) (found D) {
	for _, d := range status.Convert(err).Details() {
		if found, ok := d.(D); ok {
			return found
		}
	}
	return found
}

func reason(err error) string { return detail[*errdetails.ErrorInfo](err).GetReason() }

func (p *running) clientWith(t *testing.T, serviceConfig string) pb.ChatIdentityServiceClient {
	t.Helper()
	connection, err := grpc.NewClient("passthrough:///"+p.address, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultServiceConfig(serviceConfig))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return pb.NewChatIdentityServiceClient(connection)
}
