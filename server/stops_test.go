//go:build linux

package main

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// life is a program in a session of its own, perhaps with a terminal.
type life struct {
	*exec.Cmd

	t      *testing.T
	output *output       // standard error, or the terminal
	ended  chan struct{} // closed when it has
	window *os.File      // the terminal's other end; nil: it has none
}

// live starts the program, in a terminal if inTerminal. Without one its output is a pipe.
func live(t *testing.T, inTerminal bool, args ...string) *life {
	t.Helper()
	l := &life{Cmd: exec.Command(args[0], args[1:]...), t: t, output: &output{}, ended: make(chan struct{})}
	l.Env = append(os.Environ(), "KUSTOMER_SECRET_KEY="+testSecret, "TMPDIR="+t.TempDir())
	l.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	l.Stderr = write
	if inTerminal {
		var inside *os.File
		l.window, inside = openTerminal(t)
		l.Stdin, l.Stdout = inside, inside
		l.SysProcAttr.Setctty = true
		defer inside.Close()
	}
	if err := l.Start(); err != nil {
		t.Fatal(err)
	}
	write.Close()
	go func() {
		lines := bufio.NewScanner(read)
		for lines.Scan() {
			_, _ = l.output.Write(append(lines.Bytes(), '\n'))
		}
		read.Close()
	}()
	go func() {
		_ = l.Wait()
		close(l.ended)
	}()
	t.Cleanup(func() {
		_ = syscall.Kill(-l.Process.Pid, syscall.SIGKILL) // with what it has started
		<-l.ended
	})
	return l
}

// openTerminal returns both ends of a pseudo-terminal.
func openTerminal(t *testing.T) (window, inside *os.File) {
	t.Helper()
	window, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { window.Close() })
	if err := unix.IoctlSetPointerInt(int(window.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	number, err := unix.IoctlGetInt(int(window.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	inside, err = os.OpenFile(fmt.Sprint("/dev/pts/", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return window, inside
}

func (l *life) has(text string) {
	l.t.Helper()
	eventually(l.t, text, func() bool { return strings.Contains(l.output.String(), text) })
}

func (l *life) send(signal syscall.Signal) {
	l.t.Helper()
	if err := l.Process.Signal(signal); err != nil {
		l.t.Fatalf("%v: %v\n%s", signal, err, l.output)
	}
}

// code waits for the end and returns the exit code; of a program that a signal killed, the signal as
// a shell tells it.
func (l *life) code() int {
	l.t.Helper()
	select {
	case <-l.ended:
	case <-time.After(30 * time.Second):
		l.t.Fatalf("still running:\n%s", l.output)
	}
	if status, ok := l.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal())
	}
	return l.ProcessState.ExitCode()
}

func serveArgs(more ...string) []string {
	return append([]string{program, "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, more...)
}

func devArgs(more ...string) []string {
	return append([]string{program, "dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"}, more...)
}

// catches waits until the program has run its first lines, in which it opens its terminal.
func (l *life) catches() {
	l.t.Helper()
	eventually(l.t, "terminal that it has opened", func() bool {
		found, _ := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", l.Process.Pid))
		for _, path := range found {
			if to, _ := os.Readlink(path); to == "/dev/tty" {
				return true
			}
		}
		return false
	})
}

const (
	serving  = `"event":"serving"`
	stopping = `"event":"stopping"`
	stopped  = `"event":"stopped"`
	reloaded = `"event":"reload_ended"`
)

// Whatever signal comes in whatever state, the program does what its documentation says.
func TestSignalsInEachState(t *testing.T) {
	t.Parallel()
	const hup, term, interrupt = syscall.SIGHUP, syscall.SIGTERM, syscall.SIGINT
	for name, test := range map[string]struct {
		terminal bool
		args     []string
		act      func(*life)
		code     int
		want     string // in the log
	}{
		"SIGHUP before it serves": {true, serveArgs(), func(l *life) {
			l.catches()
			l.send(hup)
			l.has(serving)
			l.has(reloaded)
			l.send(term)
		}, 0, stopped},
		"SIGHUP while it serves": {false, serveArgs(), func(l *life) {
			l.has(serving)
			l.send(hup)
			l.has(reloaded)
			l.send(term)
		}, 0, stopped},
		"SIGHUP in a terminal that is open": {true, serveArgs(), func(l *life) {
			l.has(serving)
			l.send(hup)
			l.has(reloaded)
			l.send(term)
		}, 0, stopped},
		"SIGHUP while it drains": {false, serveArgs("--drain-delay", "500ms"), func(l *life) {
			l.has(serving)
			l.send(term)
			l.has(stopping)
			l.send(hup)
		}, 0, reloaded},
		"SIGTERM before it serves": {true, serveArgs(), func(l *life) { l.catches(); l.send(term) }, 0, stopped},
		"SIGINT before it serves":  {true, serveArgs(), func(l *life) { l.catches(); l.send(interrupt) }, 0, stopped},
		"SIGTERM before dev serves": {true, devArgs(), func(l *life) {
			l.catches()
			l.send(term)
		}, 0, ""},
		"SIGTERM": {false, serveArgs(), func(l *life) { l.has(serving); l.send(term) }, 0, stopped},
		"SIGTERM twice": {false, serveArgs("--drain-delay", "1h"), func(l *life) {
			l.has(serving)
			l.send(term)
			l.has(stopping)
			l.send(term)
		}, 128 + int(term), stopping},
		"SIGINT, then SIGTERM": {false, serveArgs("--drain-delay", "1h"), func(l *life) {
			l.has(serving)
			l.send(interrupt)
			l.has(stopping)
			l.send(term)
		}, 128 + int(term), stopping},
		"a terminal that closes": {true, serveArgs(), func(l *life) { l.has(serving); l.window.Close() }, 0, stopped},
		"a terminal that closes before it serves": {true, serveArgs(), func(l *life) {
			l.catches()
			l.window.Close()
		}, 0, stopped},
		"a terminal that closes during a drain": {true, serveArgs("--drain-delay", "500ms"), func(l *life) {
			l.has(serving)
			l.send(term)
			l.has(stopping)
			l.window.Close()
		}, 0, stopped},
		"a terminal that closes, and nohup": {true, append([]string{"nohup"}, serveArgs()...), func(l *life) {
			l.has(serving)
			l.window.Close()
			l.has(reloaded)
			l.send(term)
		}, 0, stopped},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			args := test.args
			if !slices.Contains(args, "dev") {
				args = append(args, "--audit-file", filepath.Join(t.TempDir(), "audit.jsonl"))
			}
			l := live(t, test.terminal, args...)
			test.act(l)
			if code := l.code(); code != test.code {
				t.Errorf("exit code %d, want %d:\n%s", code, test.code, l.output)
			}
			eventually(t, "line with "+test.want, func() bool { return strings.Contains(l.output.String(), test.want) })
		})
	}
}

// A shell in a terminal runs the program in the foreground, and the window is closed or the shell
// killed: nothing is left that keeps a port.
func TestNothingIsLeftOfAClosedTerminal(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*life) error{
		"window": func(l *life) error { return l.window.Close() },
		"shell":  func(l *life) error { return l.Process.Kill() },
	}
	for name, args := range map[string][]string{
		"serve": serveArgs("--audit-file", "audit.jsonl"),
		"dev":   devArgs("--log-level", "info", "--log-format", "json"),
	} {
		for of, end := range ends {
			t.Run(name+" of a "+of, func(t *testing.T) {
				t.Parallel()
				l := live(t, true, "sh", "-c", "cd "+t.TempDir()+" && "+strings.Join(args, " ")+"; exit $?")
				l.has(serving)
				if err := end(l); err != nil {
					t.Fatal(err)
				}
				l.has(stopped)
				eventually(t, "end of all processes of the session", func() bool {
					return syscall.Kill(-l.Process.Pid, 0) != nil
				})
			})
		}
	}
}
