package main

import (
	"bytes"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"
)

// describeMachine says where and of what the figures are.
func (b *bench) describeMachine() {
	model := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		_, rest, _ := strings.Cut(string(text), "model name")
		line, _, _ := strings.Cut(rest, "\n")
		model = strings.TrimLeft(line, "\t :")
	}
	load := "unknown"
	if text, err := os.ReadFile("/proc/loadavg"); err == nil {
		load, _, _ = strings.Cut(string(text), " ")
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	command := exec.Command("git", "-C", b.repository, "describe", "--always", "--dirty")
	commit, err := command.Output()
	if err != nil {
		commit = []byte("an unknown commit")
	}
	base := ""
	if b.base != "" {
		base = " *Before* is commit " + b.base + "."
	}
	b.page.Addf(b.block("machine"), "Measured %s at %s on %d cores (%s), Linux %s, %s; the load generator and the "+
		"servers share the cores. Load average at the start: %s. %d rounds of %v. In parentheses: quartiles of the rounds.%s",
		time.Now().UTC().Format("2 January 2006"), bytes.TrimSpace(commit), runtime.NumCPU(), model, bytes.TrimSpace(kernel),
		runtime.Version(), load, b.rounds, b.length, base)
}
