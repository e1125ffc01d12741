package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/bench/performance/load"
	"github.com/chatidentity/chatidentity/bench/performance/process"
)

const (
	othersLength = 500 * time.Millisecond // of one measurement
	othersWarmUp = 3 * time.Second        // compilers that work while the program runs
)

// other is what users of another language would write instead of the sidecar. It takes its port and
// secret from the environment, and answers POST /chat-token. It has no audit and no limits.
type other struct {
	name   string
	folder string // in others/
	needs  string // the program without which it cannot be made
	make   string // shell command, run in a copy of the folder
	args   []string
	env    []string
}

const (
	express    = "Node: Express, jsonwebtoken as the vendor shows it"
	expressKey = "Node: the same with a KeyObject"
)

var others = []other{
	{
		name: express, folder: "node", needs: "npm", make: "npm ci --no-audit --no-fund --silent",
		args: []string{"node", "server.js"},
	},
	{
		name: expressKey, folder: "node", needs: "npm", make: "npm ci --no-audit --no-fund --silent",
		args: []string{"node", "server.js"}, env: []string{"KEY_OBJECT=1"},
	},
	{name: "Go: net/http, golang-jwt", folder: "gohttp", needs: "go", args: []string{"./server"}},
	{
		name: "Python: FastAPI, PyJWT", folder: "python", needs: "python3",
		make: "python3 -m venv env && env/bin/pip install --quiet --disable-pip-version-check -r requirements.txt",
		args: []string{
			"env/bin/python", "-m", "uvicorn", "server:app", "--no-access-log", "--log-level", "warning", "--port",
		},
	},
	{
		name: "Java: HttpServer, jjwt", folder: "java", needs: "mvn", make: "mvn -q -B package",
		args: []string{"java", "-cp", "target/server.jar:target/lib/*", "ChatToken"},
	},
}

// measureOthers compares the CPU per token, each with 64 calls in flight.
func (b *bench) measureOthers(ctx context.Context) error {
	contenders, err := b.startMain(false)
	if err != nil {
		return err
	}
	for i, o := range others {
		if _, err := exec.LookPath(o.needs); err != nil {
			b.page.Addf("others", "Not measured: %s, because there is no `%s` on this machine.\n", o.name, o.needs)
			continue
		}
		c, err := b.startOther(ctx, fmt.Sprint("other", i), o)
		if err != nil {
			return fmt.Errorf("%s: %w", o.name, err)
		}
		contenders = append(contenders, c)
	}
	var lanes []*lane
	byName := map[string]*lane{}
	for _, c := range contenders {
		if _, err := c.closed(ctx, inFlight, othersWarmUp); err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		l := &lane{name: c.name, measure: func(ctx context.Context) (sample, error) {
			return c.closed(ctx, inFlight, othersLength)
		}}
		lanes, byName[c.name] = append(lanes, l), l
	}
	if err := interleave(ctx, b.rounds, lanes); err != nil {
		return err
	}
	for key, name := range map[string]string{"express": express, "express key": expressKey} {
		if byName[name] != nil {
			b.figures[key] = byName[durable].cpu.Over(byName[name].cpu)
		}
	}
	var table [][]string
	for _, l := range lanes {
		table = append(table, []string{
			l.name, l.cpu.Text(1), l.cpu.Over(byName[durable].cpu).Text(1), l.rate.Text(0),
			fmt.Sprintf("%.0f · %.0f", l.p50.Median(), l.p99.Median()),
		})
	}
	b.page.Table("others", []string{"", "CPU per token, µs", "÷ durable", "tokens/s", "p50 · p99, µs"}, table)
	return nil
}

// startOther makes the program in a directory of its own and starts it.
func (b *bench) startOther(ctx context.Context, name string, o other) (*contender, error) {
	directory := b.file(name)
	if err := os.CopyFS(directory, os.DirFS(filepath.Join(b.here(), "others", o.folder))); err != nil {
		return nil, err
	}
	if o.folder == "gohttp" {
		build := process.Build{Dir: b.here(), Package: "./others/gohttp"}
		if err := build.Into(ctx, filepath.Join(directory, "server")); err != nil {
			return nil, err
		}
	} else {
		command := exec.CommandContext(ctx, "bash", "-c", o.make)
		command.Dir = directory
		if output, err := command.CombinedOutput(); err != nil {
			return nil, fmt.Errorf("%s: %w: %s", o.make, err, output)
		}
	}
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	args := o.args
	if o.folder == "python" {
		args = append(args, port)
	}
	if strings.Contains(args[0], "/") {
		args = append([]string{filepath.Join(directory, args[0])}, args[1:]...)
	}
	p, err := process.Start(process.Command{
		Args: args, Dir: directory, Port: port,
		Env: append([]string{"PORT=" + port, "SECRET_KEY=" + secret, "NODE_ENV=production"}, o.env...),
	})
	if err != nil {
		return nil, err
	}
	caller := load.NewHTTP(p.Listen[0], customers, inFlight)
	b.ends = append(b.ends, p.Stop, caller.Close)
	return &contender{name: o.name, process: p, caller: caller}, nil
}

// freePort is for programs that cannot choose a port themselves.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		return "", err
	}
	return port, listener.Close()
}
