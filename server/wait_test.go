package main

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestWait(t *testing.T) {
	t.Parallel()
	p := start(t, setup{args: []string{"--secret-file", filepath.Join(t.TempDir(), "secret")}})
	silent := accepting(t, func(conn net.Conn) { t.Cleanup(func() { conn.Close() }) })
	for name, test := range map[string]struct {
		args []string
		code int
		says string
	}{
		"not serving":          {[]string{"--address", p.address, "--timeout", "3s"}, 0, "warning: no token would be issued after 3s: the sidecar answers NOT_SERVING"},
		"not serving, strict":  {[]string{"--address", p.address, "--timeout", "3s", "--strict"}, 1, "chatidentity: no token would be issued"},
		"nobody there":         {[]string{"--address", "127.0.0.1:1", "--timeout", "3s"}, 0, "UNAVAILABLE"},
		"nobody there, strict": {[]string{"--address", "127.0.0.1:1", "--timeout", "3s", "--strict"}, 1, "127.0.0.1:1"},
		"no answer":            {[]string{"--address", silent, "--timeout", "1s"}, 0, "connected, but no answer within --timeout 1s"},
		"no answer, longer than grpc waits for a connection": {[]string{"--address", silent, "--timeout", "22s"}, 0, "connected, but no answer within --timeout 22s"},
		"no time": {[]string{"--timeout", "0s"}, 2, "--timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := command(t, nil, "", append([]string{"wait"}, test.args...)...)
			if code != test.code || !strings.Contains(stderr, test.says) || stdout != "" {
				t.Errorf("code %d, output %q, error %q; want %d, %q", code, stdout, stderr, test.code, test.says)
			}
		})
	}
}

func TestWaitUntilItServes(t *testing.T) {
	t.Parallel()
	secret := filepath.Join(t.TempDir(), "secret")
	p := start(t, setup{args: []string{"--secret-file", secret}})
	waiting := exec.Command(program, "wait", "--address", p.address, "--timeout", "30s", "--strict")
	var said output
	waiting.Stdout, waiting.Stderr = &said, &said
	if err := waiting.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "a health check that waits", func() bool { return strings.Contains(said.String(), "waiting for the sidecar") })
	if err := os.WriteFile(secret, []byte(testSecret), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := waiting.Wait(); err != nil || !strings.Contains(said.String(), `{"status":"SERVING"}`) {
		t.Errorf("%v: %s", err, said.String())
	}
}
