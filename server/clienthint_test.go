package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"

	"github.com/chatidentity/chatidentity/server/internal/caller/callertest"
)

// accepting does something with each connection, and returns its address.
func accepting(t *testing.T, do func(net.Conn)) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			do(conn)
		}
	}()
	return listener.Addr().String()
}

// answering says the same to each connection, and no more.
func answering(t *testing.T, text string) string {
	t.Helper()
	return accepting(t, func(conn net.Conn) {
		_, _ = conn.Write([]byte(text))
		_ = conn.(*net.TCPConn).CloseWrite()
		_, _ = io.Copy(io.Discard, conn) // what is unread at the end would cut off the answer
		conn.Close()
	})
}

// A client command says what to do about the cause at hand, in one line.
func TestHintsFitTheCause(t *testing.T) {
	t.Parallel()
	ca := callertest.NewCA(t)
	server, client, foreign := ca.Server(t), ca.Client(t, spiffeID), callertest.NewCA(t).Client(t, spiffeID)
	v := &volume{directory: t.TempDir()}
	v.swap(t, map[string][]byte{
		"ca.crt": ca.PEM, "tls.crt": server.Certificate, "tls.key": server.Key, "other.crt": callertest.NewCA(t).PEM,
		"client.crt": client.Certificate, "client.key": client.Key, "foreign.crt": foreign.Certificate, "foreign.key": foreign.Key,
	})
	secured := start(t, withSecret("--listen", "0.0.0.0:0",
		"--tls-cert", v.path("tls.crt"), "--tls-key", v.path("tls.key"), "--tls-client-ca", v.path("ca.crt")))
	with := func(ca, client string) []string {
		return []string{"--server-ca", v.path(ca), "--client-cert", v.path(client + ".crt"), "--client-key", v.path(client + ".key")}
	}
	plain := start(t, withSecret())
	silent := accepting(t, func(conn net.Conn) { t.Cleanup(func() { conn.Close() }) })
	full := accepting(t, func(conn net.Conn) { conn.Close() })
	old := answering(t, "<!DOCTYPE HTML>\n<html lang=\"en\">")
	cut := answering(t, "\x00\x00\x00\x04\x00\x00\x00\x00\x00") // empty settings
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(web.Close)
	other, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	another := grpc.NewServer()
	go another.Serve(other) // ends with Stop
	t.Cleanup(another.Stop)
	abandoned := filepath.Join(t.TempDir(), "socket")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: abandoned})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	left.Close()
	for name, test := range map[string]struct {
		address string
		args    []string
		says    string
	}{
		"nothing listens":                 {"127.0.0.1:1", nil, "nothing listens there: is the sidecar running, with --listen 127.0.0.1:1?"},
		"no socket":                       {"unix:/nowhere/chatidentity.sock", nil, "there is no such socket"},
		"a socket that nobody serves":     {"unix:" + abandoned, nil, "nothing listens there"},
		"no host of that name":            {"sidecar.invalid:9451", []string{"--timeout", "20s"}, "there is no host of that name"},
		"the connection limit":            {full, nil, "limit of connections is reached (connection_limit in its log)"},
		"a web server":                    {web.Listener.Addr().String(), nil, "speaks no gRPC: it is a web server"},
		"an old web server":               {old, nil, "speaks no gRPC: it is a web server"},
		"the port of /readyz":             {plain.admin, nil, "the sidecar's own --admin-listen (127.0.0.1:9452); calls go to its --listen (127.0.0.1:9451)"},
		"a cut connection":                {cut, nil, "limit of connections is reached (connection_limit in its log)"},
		"another gRPC server":             {other.Addr().String(), nil, "is no sidecar, or one of another version"},
		"silence":                         {silent, []string{"--timeout", "200ms"}, "connected, but no answer within --timeout 200ms"},
		"silence instead of TLS":          {silent, append(with("ca.crt", "client"), "--timeout", "200ms"), "connected, but no answer"},
		"TLS is needed":                   {secured.outside(t), nil, "the sidecar listens with TLS there: give --server-ca, --client-cert and --client-key"},
		"TLS is not spoken":               {plain.address, with("ca.crt", "client"), "does not speak TLS: leave out --server-ca"},
		"a wrong CA":                      {secured.outside(t), with("other.crt", "client"), "--server-ca is not the CA of the sidecar's certificate"},
		"a wrong name":                    {secured.outside(t), append(with("ca.crt", "client"), "--server-name", "elsewhere"), "as --server-name"},
		"a certificate that is not taken": {secured.outside(t), with("ca.crt", "foreign"), "the sidecar may not accept --client-cert"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, _, stderr := command(t, nil, "", append([]string{"health", "--address", test.address}, test.args...)...)
			if code != 1 || !strings.Contains(stderr, test.says) || strings.Count(stderr, "\n") != 1 {
				t.Errorf("code %d, says %q, want %q", code, stderr, test.says)
			}
		})
	}
}

// Root may use any socket, so the command runs as somebody else.
func TestTheHintAboutASocketThatMayNotBeUsed(t *testing.T) {
	t.Parallel()
	directory, err := os.MkdirTemp("", "hint") // t.TempDir is closed to others
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(directory) })
	socket := filepath.Join(directory, "socket")
	start(t, withSecret("--listen", "unix:"+socket, "--allow-uid", fmt.Sprint(os.Getuid()), "--socket-mode", "0600"))
	if err := os.Chmod(directory, 0o755); err != nil { // others must see the socket
		t.Fatal(err)
	}
	c := exec.CommandContext(t.Context(), program, "health", "--address", "unix:"+socket)
	if os.Getuid() == 0 {
		text, err := os.ReadFile(program)
		if err != nil {
			t.Fatal(err)
		}
		c.Path = filepath.Join(directory, "chatidentity")         // the test's own may be in a folder that is closed
		if err := os.WriteFile(c.Path, text, 0o755); err != nil { // others must run it
			t.Fatal(err)
		}
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	} else if err := os.Chmod(socket, 0); err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	c.Stderr = &stderr
	var exit *exec.ExitError
	if err := c.Run(); !errors.As(err, &exit) || !strings.Contains(stderr.String(), "may not use the socket: see the sidecar's --socket-mode") {
		t.Errorf("%v: %s", err, &stderr)
	}
}

func TestACommandThatWaitsSaysWhatFor(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		lasts time.Duration
		says  string
	}{
		{0, ""},
		{999 * time.Millisecond, ""},
		{1001 * time.Millisecond, "waiting for the answer\n"},
		{time.Minute, "waiting for the answer\n"},
	} {
		t.Run(test.lasts.String(), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				var said bytes.Buffer
				stop := (&console{err: &said}).waitingFor("the answer")
				time.Sleep(test.lasts)
				stop()
				time.Sleep(time.Minute)
				if said.String() != test.says {
					t.Errorf("says %q, want %q", &said, test.says)
				}
			})
		})
	}
}

// The program itself says so once, and first, whichever command it is.
func TestTheCommandsThatWait(t *testing.T) {
	t.Parallel()
	silent := accepting(t, func(conn net.Conn) { t.Cleanup(func() { conn.Close() }) })
	for name, test := range map[string]struct {
		args []string
		says string
	}{
		"issue":  {[]string{"issue", "--external-id", "x", "--address", silent, "--timeout", "2s"}, "waiting for the sidecar at " + silent},
		"verify": {[]string{"verify", "x", "--address", silent, "--timeout", "2s"}, "waiting for the sidecar at " + silent},
		"health": {[]string{"health", "--address", silent, "--timeout", "2s"}, "waiting for the sidecar at " + silent},
		"wait":   {[]string{"wait", "--strict", "--address", silent, "--timeout", "2s"}, "waiting for the sidecar at " + silent},
		"secret fetch": {
			[]string{"secret", "fetch", "--api-url", "http://" + silent, "--timeout", "2s"}, "waiting for Kustomer's API at http://" + silent,
		},
		"doctor": {[]string{"doctor", "--api-url", "http://" + silent}, "waiting for checks that ask other servers"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			c := exec.CommandContext(ctx, program, test.args...)
			c.Env = append(os.Environ(), "KUSTOMER_API_KEY=canary")
			var stderr bytes.Buffer
			c.Stderr = &stderr
			if err := c.Run(); err == nil || !strings.HasPrefix(stderr.String(), test.says) ||
				strings.Contains(stderr.String(), "\nwaiting for ") {
				t.Errorf("%v: %s", err, &stderr)
			}
		})
	}
}

// What a backend can send, a client command can: here over the real thing, into the record.
func TestClientCommandsSendWhatABackendCan(t *testing.T) {
	t.Parallel()
	directory := t.TempDir()
	auditFile := filepath.Join(directory, "audit.jsonl")
	p := start(t, withSecret("--audit-file", auditFile))
	write := func(name, text string) string {
		path := filepath.Join(directory, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	jwt := "eyJhbGciOiJSUzI1NiJ9.e30.AA"
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"a request ID":             {[]string{"--request-id", "req-1.a:b_c"}, 0, ""},
		"one that is not recorded": {[]string{"--request-id", "a b"}, 2, "--request-id"},
		"a long one":               {[]string{"--request-id", strings.Repeat("x", 129)}, 2, "--request-id"},
		"an ID token":              {[]string{"--user-id-token-file", write("good", jwt+"\n")}, 0, ""},
		"no file":                  {[]string{"--user-id-token-file", filepath.Join(directory, "nowhere")}, 2, "--user-id-token-file"},
		"an empty file":            {[]string{"--user-id-token-file", write("empty", "")}, 2, "--user-id-token-file"},
		"JSON around the ID token": {[]string{"--user-id-token-file", write("json", `{"id_token":"`+jwt+`"}`)}, 2, "the ID token alone"},
		"Bearer before it":         {[]string{"--user-id-token-file", write("bearer", "Bearer "+jwt)}, 2, "the ID token alone"},
		"the organization":         {[]string{"--organization", "default"}, 0, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := append([]string{"issue", "--external-id", "user-" + name, "--address", p.address}, test.args...)
			code, _, stderr := command(t, nil, "", args...)
			if code != test.code || !strings.Contains(stderr, test.says) || strings.Contains(stderr, jwt) {
				t.Errorf("code %d, want %d; says %q, want %q", code, test.code, stderr, test.says)
			}
		})
	}
	t.Cleanup(func() {
		if text, err := os.ReadFile(auditFile); err != nil || !strings.Contains(string(text), `"request_id":"req-1.a:b_c"`) {
			t.Errorf("the record lacks the request ID: %v", err)
		}
	})
}
