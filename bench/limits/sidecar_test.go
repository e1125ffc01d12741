package limits

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"flag"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// TestMain keeps results out of go's test cache, which would call them good for a changed product:
// it looks at no file outside this module, and at none that a child reads. Without the log of what the
// test binary opened, cmd/go keeps nothing.
func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.testlogfile", ""); err != nil {
		panic(err)
	}
	m.Run()
}

// build makes the program from this checkout.
func build(t *testing.T) string {
	t.Helper()
	program := filepath.Join(t.TempDir(), "chatidentity")
	command := exec.CommandContext(t.Context(), "go", "build", "-tags", "grpcnotrace", "-o", program, "./server")
	command.Dir = filepath.Join("..", "..")
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("build the sidecar: %v\n%s", err, output)
	}
	return program
}

// keyFile makes the key that all replicas must have.
func keyFile(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "audit.key")
	key := base64.StdEncoding.EncodeToString([]byte("0123456789abcdef0123456789abcdef"))
	if err := os.WriteFile(path, []byte(key+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// sidecar is a running one.
type sidecar struct {
	client pb.ChatIdentityServiceClient
	admin  string
}

// startSidecar runs the program until the end of the test.
func startSidecar(t *testing.T, program string, args ...string) *sidecar {
	t.Helper()
	args = append([]string{
		"serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--limit-caller", "off",
		"--audit-file", filepath.Join(t.TempDir(), "audit.jsonl"), "--audit-sync", "off",
	}, args...)
	process := exec.Command(program, args...)
	process.Env = []string{"KUSTOMER_SECRET_KEY=bench-secret-0123456789-0123456789"}
	log, err := process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	lines := bufio.NewScanner(log)
	var said strings.Builder
	for lines.Scan() {
		var line struct {
			Message string   `json:"msg"`
			Listen  []string `json:"listen"`
			Admin   string   `json:"admin"`
		}
		said.Write(append(lines.Bytes(), '\n'))
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Message != "serving" {
			continue
		}
		go func() { _, _ = io.Copy(io.Discard, log) }()
		connection, err := grpc.NewClient("passthrough:///"+strings.TrimPrefix(line.Listen[0], "tcp "),
			grpc.WithTransportCredentials(insecure.NewCredentials()))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { connection.Close() })
		return &sidecar{client: pb.NewChatIdentityServiceClient(connection), admin: line.Admin}
	}
	t.Fatalf("the sidecar does not serve:\n%s", said.String())
	return nil
}

// metric returns one series, 0 if there is none yet.
func (s *sidecar) metric(t *testing.T, series string) float64 {
	t.Helper()
	answer, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for lines.Scan() {
		if text, found := strings.CutPrefix(lines.Text(), series+" "); found {
			value, err := strconv.ParseFloat(text, 64)
			if err != nil {
				t.Fatal(err)
			}
			return value
		}
	}
	return 0
}

func (s *sidecar) shares(t *testing.T) bool {
	t.Helper()
	return s.metric(t, "chatidentity_ratelimit_redis_up") == 1
}

// await returns when the condition holds, which must be within 30 seconds.
func await(t *testing.T, what string, holds func() bool) {
	t.Helper()
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for deadline := time.Now().Add(30 * time.Second); !holds(); <-ticker.C {
		if time.Now().After(deadline) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
