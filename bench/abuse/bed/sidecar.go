package bed

import (
	"bytes"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
)

const (
	startTimeout = 20 * time.Second
	stopTimeout  = 10 * time.Second
	// DrainTimeout is how long the calls of a sidecar may take when it is told to stop.
	DrainTimeout = time.Second
)

// Sidecar is a running process.
type Sidecar struct {
	Log   lines // its program log
	Audit gate  // who reads its audit records
	Exit  chan struct{}

	bed     *Bed
	process *exec.Cmd
	group   cgroup
	bounds  string
	rss     atomic.Int64 // the most that was resident, in bytes

	socket, loopback, secured, admin string
}

// Start runs a sidecar as the manifest does, and beside the manifest's listener
// with a unix socket and one that speaks TLS.
func (b *Bed) Start(args ...string) (*Sidecar, error) {
	b.started++
	name := fmt.Sprintf("abuse-%d-%d", os.Getpid(), b.started)
	directory := b.path(name)
	if err := errors.Join(os.Mkdir(directory, 0o755), b.give(directory)); err != nil {
		return nil, err
	}
	s := &Sidecar{bed: b, Exit: make(chan struct{}), socket: filepath.Join(directory, "socket")}
	s.bounds = "a cgroup of 128 MiB and 1 CPU"
	var err error
	if s.group, err = newCgroup(name); err != nil {
		s.bounds = "no cgroup (" + err.Error() + "): resident memory is watched, nothing is bounded"
	}
	if err := s.run(args); err != nil {
		s.group.remove()
		return nil, err
	}
	if err := s.awaitServing(); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Sidecar) run(more []string) error {
	l := launch{Join: s.group.joined(), Program: s.bed.program, Env: []string{goMemoryLimit}, Args: append([]string{
		"serve", "--secret-file", s.bed.path("secret"), "--identifier-policy", "external-id",
		"--admin-listen", "127.0.0.1:0",
		"--listen", "127.0.0.1:0,unix:" + s.socket + ",0.0.0.0:0", "--socket-mode", "0666",
		"--tls-cert", s.bed.path("tls.crt"), "--tls-key", s.bed.path("tls.key"),
		"--tls-client-ca", s.bed.path("ca.crt"),
		"--allow-uid", strconv.Itoa(os.Getuid()) + "," + strconv.Itoa(OtherUID),
		"--drain-timeout", DrainTimeout.String(),
	}, more...)}
	if IsRoot() {
		l.UID = sidecarUID
	}
	var stdin bytes.Buffer
	if err := gob.NewEncoder(&stdin).Encode(l); err != nil {
		return err
	}
	s.process = exec.Command("/proc/self/exe", launchArgument)
	s.process.Stdin = &stdin
	s.process.Stdout, s.process.Stderr = &s.Audit, &s.Log
	s.process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.process.Start(); err != nil {
		return err
	}
	go s.watchMemory()
	go func() {
		_ = s.process.Wait() // Killed says how
		close(s.Exit)
	}()
	return nil
}

// awaitServing reads the addresses from the log.
func (s *Sidecar) awaitServing() error {
	for deadline := time.Now().Add(startTimeout); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		for _, text := range s.Log.All() {
			var line struct {
				Message string   `json:"msg"`
				Listen  []string `json:"listen"`
				Admin   string   `json:"admin"`
			}
			if json.Unmarshal([]byte(text), &line) != nil || line.Message != "serving" {
				continue
			}
			_, port, err := net.SplitHostPort(strings.TrimPrefix(line.Listen[2], "tcp "))
			s.loopback, s.secured, s.admin = strings.TrimPrefix(line.Listen[0], "tcp "), "127.0.0.1:"+port, line.Admin
			return err
		}
		if s.HasExited() {
			break
		}
	}
	return fmt.Errorf("the sidecar does not serve:\n%s", strings.Join(s.Log.All(), "\n"))
}

// HasExited reports whether the process is gone.
func (s *Sidecar) HasExited() bool {
	select {
	case <-s.Exit:
		return true
	default:
		return false
	}
}

// Bounds says what the process runs in.
func (s *Sidecar) Bounds() string { return s.bounds }

// Peak returns the most memory that it has held, in bytes: what its cgroup was
// charged, or what was resident where there is no cgroup.
func (s *Sidecar) Peak() int64 {
	if peak := s.group.peak(); peak > 0 {
		return peak
	}
	return s.rss.Load()
}

func (s *Sidecar) watchMemory() {
	path := fmt.Sprintf("/proc/%d/status", s.process.Process.Pid)
	for ; !s.HasExited(); time.Sleep(50 * time.Millisecond) {
		text, _ := os.ReadFile(path) // it may be gone
		_, rest, found := strings.Cut(string(text), "VmHWM:")
		if fields := strings.Fields(rest); found && len(fields) > 0 {
			kilobytes, _ := strconv.ParseInt(fields[0], 10, 64)
			s.rss.Store(max(s.rss.Load(), kilobytes<<10))
		}
	}
}

// Stop ends the process, kindly at first, and removes what was its own.
func (s *Sidecar) Stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.Exit:
	case <-time.After(stopTimeout):
		_ = s.process.Process.Kill()
		<-s.Exit
	}
	s.group.remove()
	_ = os.RemoveAll(filepath.Dir(s.socket))
}
