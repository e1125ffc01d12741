package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/chatidentity/chatidentity/server/internal/kustomer/standin"
)

// reload prints what the log of the sidecar says, and its exit code tells whether everything is as
// configured.
func TestReload(t *testing.T) {
	t.Parallel()
	const key = "canary-key"
	vendor := standin.New(standin.Options{APIKey: key, Secret: testSecret})
	directory := t.TempDir()
	policy, file := filepath.Join(directory, "policy"), filepath.Join(directory, "audit.jsonl")
	const good = "callers: {loopback: {organizations: all}}\n"
	put(t, policy, good)
	p := start(t, setup{
		args: []string{"--policy-file", policy, "--audit-file", file, "--api-url", startVendor(t, vendor), "--secret-refresh", "1h"},
		env:  []string{"KUSTOMER_API_KEY=" + key},
	})
	eventually(t, "secret", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
	for _, step := range []struct {
		name   string
		change func()
		code   int
		says   []string
		logged string // then or, of a file whose change was noticed already, before
	}{
		{"nothing has changed", func() {}, 0, []string{`"event":"audit_rotated"`}, ""},
		{"a changed policy", func() { put(t, policy, good+"\n") }, 0, nil, `"event":"file_reloaded","setting":"--policy-file"`},
		{"a wrong policy", func() { put(t, policy, "callers: {}\nx: 1\n") }, 1, []string{"--policy-file"}, `"event":"file_rejected"`},
		{"it is wrong still", func() {}, 1, []string{"--policy-file"}, ""},
		{"a changed secret", func() { put(t, policy, good); vendor.SetSecret(testSecret + "2") }, 0, []string{`"event":"secret_loaded"`}, ""},
		{"an API that fails", func() { vendor.SetBehaviour(standin.ServerError) }, 1, []string{`"event":"secret_refresh_failed"`, "secret of default"}, ""},
	} {
		step.change()
		code, stdout, stderr := command(t, nil, "", "reload", "--pid", strconv.Itoa(p.Process.Pid), "--admin-address", p.admin)
		if code != step.code || stderr != "" {
			t.Errorf("%s: code %d, want %d: %s%s", step.name, code, step.code, stdout, stderr)
		}
		lines := strings.Split(strings.TrimSpace(stdout), "\n")
		eventually(t, "last line in the log", func() bool { return strings.Contains(p.stderr.String(), lines[len(lines)-1]) })
		if !strings.Contains(p.stderr.String(), step.logged) {
			t.Errorf("%s: the log does not say %s", step.name, step.logged)
		}
		for _, what := range append(step.says, `"event":"reload_ended"`) {
			if !strings.Contains(stdout, what) {
				t.Errorf("%s: it does not say %s:\n%s", step.name, what, stdout)
			}
		}
		for line := range strings.Lines(stdout) {
			if !strings.Contains(p.stderr.String(), line) {
				t.Errorf("%s: not a line of the log: %s", step.name, line)
			}
		}
	}
}

func TestReloadOfNothing(t *testing.T) {
	t.Parallel()
	p := start(t, withSecret())
	self := strconv.Itoa(os.Getpid()) // a signal that came here would end the tests
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"nobody there":    {[]string{"--admin-address", "127.0.0.1:1"}, 1, "connection refused: is the sidecar running, with --admin-listen 127.0.0.1:1?"},
		"another process": {[]string{"--pid", self, "--admin-address", p.admin}, 1, fmt.Sprintf("--pid %s: the sidecar at %s is process %d", self, p.admin, p.Process.Pid)},
		"no sidecar":      {[]string{"--pid", self, "--admin-address", startHTTP(t)}, 1, "with status 404, is not the --admin-listen of a sidecar"},
		"no process":      {[]string{"--pid", "0"}, 2, "--pid"},
		"no time":         {[]string{"--timeout", "0s"}, 2, "--timeout"},
	} {
		code, stdout, stderr := command(t, nil, "", append([]string{"reload"}, test.args...)...)
		if code != test.code || !strings.Contains(stderr, test.says) || stdout != "" {
			t.Errorf("%s: code %d, output %q, error %q; want %d, %q", name, code, stdout, stderr, test.code, test.says)
		}
	}
}

// startHTTP serves no page at all.
func startHTTP(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := &http.Server{Handler: http.NotFoundHandler()}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	return listener.Addr().String()
}

// With --admin-address health says why no token would be issued.
func TestHealthSaysWhyNot(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	p := start(t, setup{args: []string{"--secret-file", secret}})
	health := func(args ...string) (int, string) {
		code, stdout, stderr := command(t, nil, "", append([]string{"health", "--admin-address", p.admin}, args...)...)
		return code, stdout + stderr
	}
	if code, said := health("--output", "text"); code != 1 || said != "NOT_SERVING: secret of default: no signing secret: open "+secret+": no such file or directory\n" {
		t.Errorf("code %d: %s", code, said)
	}
	if code, said := health(); code != 1 || !strings.HasPrefix(said, `{"status":"NOT_SERVING","reason":"secret of default: `) {
		t.Errorf("code %d: %s", code, said)
	}
	put(t, secret, testSecret)
	eventually(t, "secret", func() bool { code, _ := p.get(t, "/readyz"); return code == 200 })
	if code, said := health(); code != 0 || said != `{"status":"SERVING"}`+"\n" {
		t.Errorf("code %d: %s", code, said)
	}
	if code, said := health("--admin-address", "127.0.0.1:1"); code != 1 || !strings.Contains(said, "with --admin-listen 127.0.0.1:1?") {
		t.Errorf("nobody there: code %d: %s", code, said)
	}
	if code, said := health("--admin-address", p.address); code != 1 || !strings.Contains(said, "give the address of --admin-listen") {
		t.Errorf("where calls go: code %d: %s", code, said)
	}
}

// Whatever else answers at --admin-address, and before it is asked, health says what is wrong.
func TestSomethingElseAtTheAdminAddress(t *testing.T) {
	t.Parallel()
	const (
		settings = "\x00\x00\x00\x04\x00\x00\x00\x00\x00" // what gRPC sends first
		silent   = "connected, but no whole answer in time"
	)
	for name, test := range map[string]struct {
		answers, says string
		stays         bool
	}{
		"gRPC that is fast":  {settings, "give the address of --admin-listen", true},
		"another protocol":   {"SSH-2.0-x\r\n", "give the address of --admin-listen", true},
		"it speaks and goes": {settings, "give the address of --admin-listen", false},
		"a line without end": {"HTTP/1.1 200 " + strings.Repeat("x", 2<<20), "unexpected EOF", true},
		"a hang-up":          {"", "give the address of --admin-listen", false},
		"no answer":          {"", silent, true},
		"half an answer":     {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", silent, true},
		"one wrong byte":     {"\x15", "give the address of --admin-listen", true},
		"less than it says":  {"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", "unexpected EOF", false},
		"nonsense":           {"HTTP/1.1 x\r\n\r\n", "malformed HTTP status code", true},
		"a page of another":  {"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n<p>x", "with status 200, is not the --admin-listen of a sidecar", true},
		"no page":            {"HTTP/1.1 404 Not Found\r\nContent-Length: 4\r\n\r\n<p>x", "with status 404, is not the --admin-listen of a sidecar", true},
		"503 without reason": {"HTTP/1.1 503 x\r\nContent-Length: 0\r\n\r\n", "with status 503, is not the --admin-listen of a sidecar", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			timeout := "30s"
			if test.says == silent {
				timeout = "1s"
			}
			address := sending(t, test.answers, test.stays)
			code, stdout, stderr := command(t, nil, "", "health", "--admin-address", address, "--timeout", timeout)
			if want := "--admin-address " + address + ": "; code != 1 || stdout != "" ||
				!strings.Contains(stderr, want) || !strings.Contains(stderr, test.says) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("code %d, output %q, error %q; want %q", code, stdout, stderr, test.says)
			}
		})
	}
}

// sending sends a text to whoever connects, before it is asked, and hangs up unless it stays.
func sending(t *testing.T, text string, stays bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var serving sync.WaitGroup
	serving.Go(func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		_, _ = io.WriteString(conn, text)
		_, _ = conn.Read(make([]byte, 4096))
		if stays {
			_, _ = io.Copy(io.Discard, conn)
		}
	})
	t.Cleanup(func() { listener.Close(); serving.Wait() })
	return listener.Addr().String()
}
