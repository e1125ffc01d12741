package main

import (
	"bytes"
	"context"
	"encoding/gob"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/chatidentity/chatidentity/bench/abuse/attack"
	"github.com/chatidentity/chatidentity/bench/abuse/bed"
)

// attackArgument makes this program an attacker: it reads its Spec from
// standard input, and writes its Report.
const attackArgument = "attack"

// attackIfAsked does not return in a process that startAttack has started.
func attackIfAsked() {
	if len(os.Args) != 2 || os.Args[1] != attackArgument {
		return
	}
	var spec attack.Spec
	err := gob.NewDecoder(os.Stdin).Decode(&spec)
	if err == nil {
		var report attack.Report
		if report, err = attack.Run(context.Background(), spec); err == nil {
			err = gob.NewEncoder(os.Stdout).Encode(report)
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "attack:", err)
		os.Exit(1)
	}
	os.Exit(0)
}

// attackWith attacks until the length is over or ctx ends, and returns what was
// done.
func attackWith(ctx context.Context, s *bed.Sidecar, r row, length time.Duration) (attack.Report, error) {
	spec, uid := s.Target(attack.Spec{Attack: r.attack, Connections: r.connections, Length: length}, r.door, r.who)
	for i := range r.addresses {
		spec.From = append(spec.From, fmt.Sprintf("127.0.0.%d", i+1))
	}
	type result struct {
		report attack.Report
		err    error
	}
	results := make(chan result)
	for i := range max(1, r.users) {
		go func() {
			report, err := attackAs(ctx, spec, uid+uint32(i))
			results <- result{report, err}
		}()
	}
	var all attack.Report
	var failed error
	for range max(1, r.users) {
		one := <-results
		all.Add(one.report)
		if one.err != nil && ctx.Err() == nil {
			failed = one.err
		}
	}
	return all, failed
}

// attackAs runs one attacker under a user ID.
func attackAs(ctx context.Context, spec attack.Spec, uid uint32) (attack.Report, error) {
	var stdin, stdout, stderr bytes.Buffer
	if err := gob.NewEncoder(&stdin).Encode(spec); err != nil {
		return attack.Report{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, spec.Length+10*time.Second)
	defer cancel()
	process := exec.CommandContext(ctx, "/proc/self/exe", attackArgument)
	process.Stdin, process.Stdout, process.Stderr = &stdin, &stdout, &stderr
	process.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if bed.IsRoot() {
		process.SysProcAttr.Credential = &syscall.Credential{Uid: uid, Gid: uid}
	}
	if err := process.Run(); err != nil {
		return attack.Report{}, fmt.Errorf("%w: %s", err, stderr.String())
	}
	var report attack.Report
	return report, gob.NewDecoder(&stdout).Decode(&report)
}
