package conformance

import (
	"bufio"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const (
	secret = "conformance-secret-0123456789abcdef"
	// burst is how many tokens one customer gets at once.
	burst = 3
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

// sidecar is the real program. It serves on the same socket after a restart.
type sidecar struct {
	binary, socket string
	audit          string // file of its records

	process  *exec.Cmd
	loopback string // host:port of this run
	admin    string
}

// buildSidecar builds the program from this checkout.
func buildSidecar(t *testing.T) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "chatidentity")
	build := exec.CommandContext(t.Context(), "go", "build", "-tags", "grpcnotrace", "-o", binary, "./server")
	build.Dir = root
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the sidecar: %v\n%s", err, output)
	}
	return binary
}

// start runs the sidecar with a signing secret.
func (s *sidecar) start(t *testing.T) {
	t.Helper()
	s.serve(t, []string{"KUSTOMER_SECRET_KEY=" + secret})
}

// startWithoutSecret runs it with an API that is not there: it serves, and
// answers every call with UNAVAILABLE.
func (s *sidecar) startWithoutSecret(t *testing.T) {
	t.Helper()
	s.serve(t, []string{"KUSTOMER_API_KEY=none"}, "--api-url", "http://127.0.0.1:1")
}

func (s *sidecar) serve(t *testing.T, environment []string, flags ...string) {
	t.Helper()
	flags = append([]string{
		"serve", "--listen", "unix:" + s.socket, "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--audit-file", s.audit, "--allow-uid", strconv.Itoa(os.Getuid()), "--limit-customer", fmt.Sprintf("%d/m:%d", burst, burst),
	}, flags...)
	s.process = exec.Command(s.binary, flags...) // killed by the test, and at its end
	s.process.Env = slices.Concat(environment, []string{"PATH=" + os.Getenv("PATH")})
	errors, err := s.process.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.process.Start(); err != nil {
		t.Fatal(err)
	}
	process := s.process
	t.Cleanup(func() { _ = process.Process.Kill(); _ = process.Wait() })
	var said strings.Builder
	lines := bufio.NewScanner(io.TeeReader(errors, &said))
	for lines.Scan() {
		var line struct {
			Msg    string   `json:"msg"`
			Listen []string `json:"listen"`
			Admin  string   `json:"admin"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "serving" && len(line.Listen) == 2 {
			s.loopback, s.admin = strings.TrimPrefix(line.Listen[1], "tcp "), line.Admin
			go io.Copy(io.Discard, errors)
			return
		}
	}
	t.Fatalf("the sidecar did not serve:\n%s", said.String())
}

// hang stops the process where it is: its connections stay open and nothing
// answers. It returns when all threads have stopped.
func (s *sidecar) hang(t *testing.T) {
	t.Helper()
	s.signal(t, syscall.SIGSTOP)
	var status syscall.WaitStatus
	if _, err := syscall.Wait4(s.process.Process.Pid, &status, syscall.WUNTRACED, nil); err != nil || !status.Stopped() {
		t.Fatalf("the sidecar did not stop: %v %v", status, err)
	}
}

func (s *sidecar) goOn(t *testing.T) { s.signal(t, syscall.SIGCONT) }

func (s *sidecar) kill(t *testing.T) {
	s.signal(t, syscall.SIGKILL)
	_ = s.process.Wait()
}

func (s *sidecar) signal(t *testing.T, signal syscall.Signal) {
	t.Helper()
	if err := s.process.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
}

// handled returns how many IssueToken calls the sidecar has answered with a
// code.
func (s *sidecar) handled(t *testing.T, code string) int {
	t.Helper()
	answer, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	line := regexp.MustCompile(`(?m)^grpc_server_handled_total\{grpc_code="` + code + `",grpc_method="IssueToken",[^}]*\} (\d+)$`)
	found := line.FindSubmatch(text)
	if found == nil {
		t.Fatalf("no metric of IssueToken and %s", code)
	}
	count, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return count
}
