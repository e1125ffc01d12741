package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// program is the path of the real program. It is a copy of the test binary: a binary that a test
// had built would be invisible to go's test cache, which would then say "ok" of a changed product.
var program string

// programWithoutSync runs the command that its arguments are, but no fdatasync.
var programWithoutSync string

// TestMain does what the name asks for by which the binary is run. A variable that asks for it
// would change the environment, which is part of what is tested.
func TestMain(m *testing.M) {
	switch filepath.Base(os.Args[0]) {
	case "chatidentity":
		main()
	case "without-sync":
		panic(execWithoutSync(os.Args[1:], os.Environ()))
	default:
		runTests(m)
	}
}

// runTests runs the tests, none of which may leave a goroutine behind: of its own, that is, since
// the program runs in processes.
func runTests(m *testing.M) {
	if signal.Ignored(syscall.SIGHUP) { // under nohup: what the tests start is not under it
		signal.Notify(make(chan os.Signal, 1), syscall.SIGHUP)
	}
	directory, err := os.MkdirTemp("", "chatidentity-test-*")
	if err != nil {
		panic(err)
	}
	program, programWithoutSync = filepath.Join(directory, "chatidentity"), filepath.Join(directory, "without-sync")
	if err := errors.Join(copyProgram(program), os.Symlink(program, programWithoutSync)); err != nil {
		panic(err)
	}
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		_ = os.RemoveAll(directory)
		os.Exit(code)
	}))
}

// copyProgram copies the running binary to where other users can run it too.
func copyProgram(path string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	binary, err := os.ReadFile(self)
	if err != nil {
		return err
	}
	if err := os.WriteFile(path, binary, 0o600); err != nil {
		return err
	}
	return errors.Join(os.Chmod(path, 0o755), os.Chmod(filepath.Dir(path), 0o755))
}

const testSecret = "test-secret-0123456789-0123456789"

// running is a sidecar that runs.
type running struct {
	*exec.Cmd
	address, admin string
	stdout, stderr *output
	waited         func() error
}

// output collects what a process writes.
type output struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.text.String()
}

// setup is how a sidecar is started. Its addresses are free ports unless args
// name others.
type setup struct {
	binary string   // "": this program
	wrap   []string // a command that runs the program
	args   []string
	env    []string
	stdout *os.File // nil: collected

	readLog <-chan struct{} // if given, the log is not read after the start until it is closed
}

func withSecret(args ...string) setup {
	return setup{args: args, env: []string{"KUSTOMER_SECRET_KEY=" + testSecret}}
}

// start runs `serve` and waits until it accepts calls. It is killed at the end
// of the test if it still runs.
func start(t *testing.T, s setup) *running {
	t.Helper()
	serve := []string{cmp.Or(s.binary, program), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}
	args := slices.Concat(s.wrap, serve, s.args)
	p := &running{Cmd: exec.Command(args[0], args[1:]...), stdout: &output{}, stderr: &output{}}
	p.Env = append(os.Environ(), s.env...)
	p.Stdout = p.stdout
	if s.stdout != nil {
		p.Stdout = s.stdout
	}
	pipe, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	serving := make(chan struct{})
	read := make(chan struct{})
	go func() {
		defer close(read)
		p.follow(pipe, serving, s.readLog)
	}()
	p.waited = sync.OnceValue(func() error {
		<-read
		return p.Wait()
	})
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.waited()
		assertEvents(t, p.stderr.String())
	})
	select {
	case <-serving:
	case <-read:
		t.Fatalf("serve ended: %v\n%s", p.waited(), p.stderr)
	case <-time.After(30 * time.Second):
		t.Fatalf("serve does not serve after 30 s:\n%s", p.stderr)
	}
	return p
}

// follow collects the log, and finds the addresses in it.
func (p *running) follow(pipe io.Reader, serving chan struct{}, goOn <-chan struct{}) {
	lines := bufio.NewScanner(pipe)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		_, _ = p.stderr.Write(append(lines.Bytes(), '\n'))
		var line struct {
			Message string   `json:"msg"`
			Listen  []string `json:"listen"`
			Admin   string   `json:"admin"`
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Message == "serving" {
			p.address, p.admin = strings.TrimPrefix(line.Listen[0], "tcp "), line.Admin
			close(serving)
			if goOn != nil {
				<-goOn
			}
		}
	}
}

// client returns a client with a connection of its own.
func (p *running) client(t testing.TB) pb.ChatIdentityServiceClient {
	t.Helper()
	return pb.NewChatIdentityServiceClient(p.dial(t))
}

// dial returns a connection that lasts as long as the test.
func (p *running) dial(t testing.TB) *grpc.ClientConn {
	t.Helper()
	plain := grpc.WithTransportCredentials(insecure.NewCredentials())
	connection, err := grpc.NewClient("passthrough:///"+p.address, plain)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { connection.Close() })
	return connection
}

// stop sends SIGTERM and returns the exit code.
func (p *running) stop(t *testing.T) int {
	t.Helper()
	if err := p.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.waited() }()
	select {
	case err := <-ended:
		if p.ProcessState == nil || !p.ProcessState.Exited() {
			t.Fatalf("it did not exit by itself: %v\n%s", err, p.stderr)
		}
		return p.ProcessState.ExitCode()
	case <-time.After(30 * time.Second):
		t.Fatalf("still running 30 s after SIGTERM:\n%s", p.stderr)
		return -1
	}
}

// get returns the status and body of a page of the admin listener.
func (p *running) get(t *testing.T, path string) (int, string) {
	t.Helper()
	code, _, body := p.getAs(t, path, "")
	return code, body
}

// getAs asks for the page in a format, and returns the headers too.
func (p *running) getAs(t *testing.T, path, accept string) (int, http.Header, string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.admin+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Accept", accept)
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, answer.Header, string(text)
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	timeout := time.After(30 * time.Second)
	for !is() {
		select {
		case <-ticker.C:
		case <-timeout:
			t.Fatalf("no %s after 30 s", what)
		}
	}
}

// needs skips a test that cannot run here; in CI nothing may be missing.
func needs(t *testing.T, what string, have bool) {
	t.Helper()
	switch {
	case have:
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing", what)
	default:
		t.Skipf("%s is missing", what)
	}
}

// rounds is how often a test repeats something: a few times by default, more in
// CI, most in `make proof`.
func rounds(usual, ci, proof int) int {
	switch {
	case os.Getenv("PROOF") != "":
		return proof
	case os.Getenv("CI") == "true":
		return ci
	default:
		return usual
	}
}

func issueFor(externalID, email string) *pb.IssueTokenRequest {
	return &pb.IssueTokenRequest{Customer: &pb.Customer{ExternalId: externalID, Email: email}}
}
