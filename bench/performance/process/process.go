package process

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

const (
	startTimeout = 30 * time.Second
	stopTimeout  = 15 * time.Second
)

// Process is a running program.
type Process struct {
	Listen []string // as gRPC targets, in the order in which they were asked for
	Admin  string   // host:port of the admin listener; "" if there is none
	Began  time.Time

	profiles string // host:port of the profile listener; "" if there is none

	command *exec.Cmd
	exited  chan struct{}
}

// Command is how a program is run.
type Command struct {
	Args []string
	Env  []string // beside PATH
	Dir  string
	Port string // of a program that logs no "serving" line: it serves once this port accepts
}

// Start runs the command and returns once it serves.
func Start(command Command) (*Process, error) {
	p := &Process{command: exec.Command(command.Args[0], command.Args[1:]...), exited: make(chan struct{})}
	p.command.Env = append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + os.Getenv("HOME")}, command.Env...)
	p.command.Dir = command.Dir
	p.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // no orphans, however we end
	log, err := p.command.StderrPipe()
	if err != nil {
		return nil, err
	}
	p.Began = time.Now()
	if err := p.command.Start(); err != nil {
		return nil, err
	}
	said := make(chan error, 1)
	go p.follow(log, command.Port == "", said)
	if command.Port != "" {
		go func() { said <- p.awaitPort(command.Port) }()
	}
	select {
	case err = <-said:
	case <-time.After(startTimeout):
		err = fmt.Errorf("it does not say that it serves within %v", startTimeout)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start %s: %w", command.Args[0], err), p.Stop())
	}
	return p, nil
}

// follow reads the log to its end, so that the program never waits for its reader.
func (p *Process) follow(log io.Reader, announces bool, said chan<- error) {
	defer close(p.exited)
	var text strings.Builder
	serving := !announces
	for lines := bufio.NewScanner(log); lines.Scan(); {
		if serving {
			continue
		}
		var line struct {
			Message string   `json:"msg"`
			Listen  []string `json:"listen"`
			Admin   string   `json:"admin"`
			Address string   `json:"address"`
		}
		fmt.Fprintln(&text, lines.Text())
		if json.Unmarshal(lines.Bytes(), &line) != nil {
			continue
		}
		if line.Message == "serving profiles" {
			p.profiles = line.Address
		}
		if line.Message != "serving" {
			continue
		}
		for _, address := range line.Listen {
			p.Listen = append(p.Listen, target(address))
		}
		p.Admin, serving = line.Admin, true
		said <- nil
	}
	_, _ = io.Copy(io.Discard, log) // a line that is too long for the scanner
	_ = p.command.Wait()            // who needs to know how it ended asks ProcessState
	if !serving {
		said <- fmt.Errorf("it ended before it served:\n%s", text.String())
	}
}

// target makes a gRPC target of what a program logs: "tcp HOST:PORT" or "unix PATH".
func target(address string) string {
	if path, found := strings.CutPrefix(address, "unix "); found {
		return "unix:" + path
	}
	return "passthrough:///" + strings.TrimPrefix(address, "tcp ")
}

func (p *Process) awaitPort(port string) error {
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	for {
		connection, err := (&net.Dialer{}).DialContext(ctx, "tcp", "127.0.0.1:"+port)
		if err == nil {
			p.Listen = []string{"127.0.0.1:" + port}
			return connection.Close()
		}
		select {
		case <-p.exited:
			return errors.New("it ended before it served")
		case <-ctx.Done():
			return err
		case <-time.After(time.Millisecond):
		}
	}
}

// PID returns the process's ID.
func (p *Process) PID() int { return p.command.Process.Pid }

// Stop ends the process in order, or kills it after 15 s.
func (p *Process) Stop() error {
	if err := p.command.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTimeout):
		return p.command.Process.Kill()
	}
}
