package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A socket that is removed while it serves is made anew, and until then the sidecar is neither live
// nor ready. A second sidecar does not take it away.
func TestASocketThatIsRemoved(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s")
	p := start(t, withSecret("--listen", "unix:"+path, "--allow-uid", "0"))
	directory := filepath.Dir(path)
	if err := os.Rename(directory, directory+"x"); err != nil { // it cannot be made anew
		t.Fatal(err)
	}
	for _, page := range []string{"/livez", "/readyz"} {
		if status, body := p.get(t, page); status != http.StatusServiceUnavailable || !strings.Contains(body, "unix:"+path) {
			t.Errorf("%s: %d %s", page, status, body)
		}
	}
	if err := os.Mkdir(directory, 0o700); err != nil {
		t.Fatal(err)
	}
	eventually(t, "socket that was made anew", func() bool {
		status, _ := p.get(t, "/livez")
		return status == http.StatusOK
	})
	if conn, err := net.Dial("unix", path); err != nil {
		t.Error(err)
	} else {
		conn.Close()
	}
	code, _, stderr := command(t, []string{"KUSTOMER_SECRET_KEY=" + testSecret}, "", "serve",
		"--admin-listen", "127.0.0.1:0", "--listen", "unix:"+path, "--allow-uid", "0")
	if code != 2 || !strings.Contains(stderr, "in use: something answers there") ||
		strings.Count(stderr, "waiting for it") != 1 {
		t.Errorf("a second sidecar: code %d\n%s", code, stderr)
	}
	if status, body := p.get(t, "/livez"); status != http.StatusOK {
		t.Errorf("/livez: %d %s", status, body)
	}
}

// Out of descriptors, new connections are closed at once, which a log line and a metric say.
func TestOutOfDescriptors(t *testing.T) {
	t.Parallel()
	s := withSecret()
	s.wrap = []string{"sh", "-c", `ulimit -n 32; exec "$0" "$@"`}
	p := start(t, s)
	for tries := 5; ; tries-- { // a busy machine may be slow
		err := lastOf(t, p.address, 60)
		if err != nil && !os.IsTimeout(err) {
			break
		}
		if err == nil || tries == 1 {
			t.Fatalf("the last connection: %v, want it closed at once", err)
		}
	}
	client := p.client(t)
	eventually(t, "call that is answered again", func() bool {
		_, err := client.IssueToken(t.Context(), issueFor("user_id", ""))
		return err == nil
	})
	const counted = `chatidentity_transport_errors_total{kind="file_descriptors"}`
	if _, metrics := p.get(t, "/metrics"); !strings.Contains(metrics, counted) || strings.Contains(metrics, counted+" 0\n") {
		t.Error("not counted")
	}
	if !strings.Contains(p.stderr.String(), `"file_descriptors"`) {
		t.Errorf("not logged:\n%s", p.stderr)
	}
}

// lastOf connects so many times and returns what is read from the last connection within a second.
// Strangers have two.
func lastOf(t *testing.T, address string, connections int) error {
	t.Helper()
	var last net.Conn
	for range connections {
		var err error
		if last, err = net.Dial("tcp", address); err != nil {
			t.Fatal(err)
		}
		defer last.Close()
	}
	_ = last.SetReadDeadline(time.Now().Add(time.Second))
	_, err := last.Read(make([]byte, 64))
	return err
}
