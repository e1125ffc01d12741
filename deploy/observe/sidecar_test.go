package observe

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"io"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience is how long the program may take to do what it must.
const patience = 30 * time.Second

// sidecar is the real program, with everything that can be seen of it: the secret from a vendor's
// API, the audit on a pipe, rate limits in a Redis, a TLS listener.
type sidecar struct {
	process             *os.Process
	address, tls, admin string
	secret              atomic.Value // what the vendor has
	auditStops          sync.Mutex   // held: nobody reads the audit
	stopRedis           func()
}

func startSidecar(t *testing.T) *sidecar {
	t.Helper()
	directory := t.TempDir()
	s := &sidecar{}
	s.secret.Store("the-first-secret-of-the-vendor-0123456789")
	writeCertificate(t, directory)
	writeFile(t, directory, "audit.key", []byte(strings.Repeat("A", 44)))
	command := exec.Command(build(t, directory), "serve", "--listen", "127.0.0.1:0", "--listen", "0.0.0.0:0",
		"--admin-listen", "127.0.0.1:0", "--limit-caller", "100000/s", "--api-url", s.startVendor(t), "--limit-redis", s.startRedis(t, directory),
		"--tls-cert", filepath.Join(directory, "tls.crt"), "--tls-key", filepath.Join(directory, "tls.key"),
		"--tls-client-ca", filepath.Join(directory, "tls.crt"),
		"--audit-key-file", filepath.Join(directory, "audit.key"), "--audit-timeout", "100ms")
	command.Env = append(os.Environ(), "KUSTOMER_API_KEY=key")
	command.Stdout = s.auditPipe(t)
	log, err := command.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.process = command.Process
	kill := time.AfterFunc(4*patience, func() { _ = command.Process.Kill() })
	t.Cleanup(func() {
		kill.Stop()
		_ = command.Process.Kill()
		_ = command.Wait()
	})
	var said []string
	lines := bufio.NewScanner(log)
	for s.admin == "" && lines.Scan() {
		said = append(said, lines.Text())
		var line struct {
			Event, Admin string
			Listen       []string
		}
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Event == "serving" {
			s.address, s.admin = strings.TrimPrefix(line.Listen[0], "tcp "), line.Admin
			_, port, _ := net.SplitHostPort(strings.TrimPrefix(line.Listen[1], "tcp "))
			s.tls = net.JoinHostPort("127.0.0.1", port)
		}
	}
	if s.admin == "" {
		t.Fatalf("the program does not serve:\n%s", strings.Join(said, "\n"))
	}
	go func() { _, _ = io.Copy(io.Discard, log) }()
	return s
}

func build(t *testing.T, directory string) string {
	t.Helper()
	program := filepath.Join(directory, "chatidentity")
	command := exec.Command("go", "build", "-tags", "grpcnotrace", "-o", program, "./server")
	command.Dir = "../.."
	if said, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	return program
}

// startVendor starts what answers as Kustomer's API does and returns its URL.
func (s *sidecar) startVendor(t *testing.T) string {
	t.Helper()
	vendor := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		attributes := map[string]any{"secret": s.secret.Load(), "roles": []string{"org.admin", "org.user"}}
		if r.URL.Path != "/v1/auth/customer/settings" {
			delete(attributes, "secret")
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_ = json.NewEncoder(w).Encode(map[string]any{"data": map[string]any{"type": "settings", "attributes": attributes}})
	}))
	t.Cleanup(vendor.Close)
	return vendor.URL
}

// startRedis starts a Redis on a socket and returns its URL.
func (s *sidecar) startRedis(t *testing.T, directory string) string {
	t.Helper()
	socket := filepath.Join(directory, "redis.sock")
	redis := exec.Command("redis-server", "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory)
	if err := redis.Start(); err != nil {
		t.Fatal(err)
	}
	s.stopRedis = sync.OnceFunc(func() {
		_ = redis.Process.Kill()
		_ = redis.Wait()
	})
	t.Cleanup(s.stopRedis)
	for end := time.Now().Add(patience); ; {
		connection, err := net.Dial("unix", socket)
		if err == nil {
			_ = connection.Close()
			return "unix://" + socket
		}
		if time.Now().After(end) {
			t.Fatal(err)
		}
	}
}

// auditPipe returns a pipe of one page whose reader stands still while auditStops is held.
func (s *sidecar) auditPipe(t *testing.T) *os.File {
	t.Helper()
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	const setPipeSize = 1031
	if _, _, errno := syscall.Syscall(syscall.SYS_FCNTL, write.Fd(), setPipeSize, 4096); errno != 0 {
		t.Fatal(errno)
	}
	t.Cleanup(func() { _, _ = read.Close(), write.Close() })
	go func() {
		records := make([]byte, 4096)
		for {
			s.auditStops.Lock()
			s.auditStops.Unlock() //nolint:staticcheck // it only waits
			if _, err := read.Read(records); err != nil {
				return
			}
		}
	}()
	return write
}

// writeCertificate writes tls.crt, its own CA, and tls.key.
func writeCertificate(t *testing.T, directory string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{
		"tls.crt": {Type: "CERTIFICATE", Bytes: certificate},
		"tls.key": {Type: "PRIVATE KEY", Bytes: private},
	} {
		writeFile(t, directory, name, pem.EncodeToMemory(block))
	}
}

func writeFile(t *testing.T, directory, name string, content []byte) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(directory, name), content, 0o600); err != nil {
		t.Fatal(err)
	}
}
