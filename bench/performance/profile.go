package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

const profileLength = 5 * time.Second

// profile shows where the CPU time goes, of each way to write records whose target was missed. The
// sidecar has no profiler, so this one is built with a file more.
func (b *bench) profile(ctx context.Context) error {
	for name, keys := range map[string][]string{written: {"written 64"}, durable: {"durable 64", "durable 512"}} {
		if !b.missed(keys) {
			continue
		}
		if err := b.profileOf(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) profileOf(ctx context.Context, name string) error {
	program := b.file("profiled")
	added := filepath.Join(b.repository, "server", "profiled.go")
	source := filepath.Join(b.here(), "profiled", "profiled.go")
	build := sidecarOf(b.repository)
	build.Tags, build.Overlay = append(build.Tags, "bench_profile"), map[string]string{added: source}
	if err := build.Into(ctx, program); err != nil {
		return err
	}
	file := b.file(name + ".pprof")
	command := b.sidecarCommand(program, "profiled-"+name)
	if name == durable {
		command.Args = append(command.Args, "--audit-sync", "on")
	}
	command.Env = append(command.Env, "BENCH_PROFILE="+file)
	c, err := b.start(name, command)
	if err != nil {
		return err
	}
	if _, err := c.closed(ctx, inFlight, profileLength); err != nil {
		return err
	}
	if err := syscall.Kill(c.process.PID(), syscall.SIGUSR1); err != nil {
		return err
	}
	time.Sleep(time.Second) // it writes the profile
	return b.showProfile(ctx, name, file)
}

// A line of pprof's list: flat and cumulative time with their shares, and the function.
var profileLine = regexp.MustCompile(`(?m)^\s*(\S+)\s+([\d.]+)%\s+\S+\s+(\S+)\s+([\d.]+)%\s+(\S+)`)

const ourModule = "github.com/chatidentity/chatidentity/"

func (b *bench) showProfile(ctx context.Context, name, file string) error {
	list := exec.CommandContext(ctx, "go", "tool", "pprof", "-top", "-nodecount=0", "-nodefraction=0", file)
	text, err := list.CombinedOutput()
	if err != nil {
		return fmt.Errorf("read the profile: %w: %s", err, text)
	}
	packages := map[string]float64{}
	var ours [][]string
	for _, line := range profileLine.FindAllStringSubmatch(string(text), -1) {
		flat, err := strconv.ParseFloat(line[2], 64)
		if err != nil {
			return err
		}
		packages[packageOf(line[5])] += flat
		cumulative, err := strconv.ParseFloat(line[4], 64)
		function, isOurs := strings.CutPrefix(line[5], ourModule+"server/internal/")
		function, _, _ = strings.Cut(function, "[go.shape") // the type that a generic one was made for
		if err == nil && isOurs && cumulative >= 0.5 {
			ours = append(ours, []string{"`" + function + "`", line[4] + " %"})
		}
	}
	if len(packages) == 0 {
		return fmt.Errorf("pprof printed no functions: %s", text)
	}
	names := slices.SortedFunc(maps.Keys(packages), func(a, c string) int { return cmp.Compare(packages[c], packages[a]) })
	var table [][]string
	for _, p := range names[:min(len(names), 15)] {
		table = append(table, []string{"`" + p + "`", fmt.Sprintf("%.1f %%", packages[p])})
	}
	b.page.Addf("profile", "Where the CPU time of *%s* goes, by package, 64 calls in flight:\n", name)
	b.page.Table("profile", []string{"package", "share"}, table)
	slices.SortStableFunc(ours, func(a, c []string) int { return cmp.Compare(percent(c[1]), percent(a[1])) })
	b.page.Addf("profile", "The same by our own functions, with all that they call:\n")
	b.page.Table("profile", []string{"function", "share"}, ours[:min(len(ours), 25)])
	return nil
}

// packageOf returns the package of a function's full name.
func packageOf(function string) string {
	slash := strings.LastIndexByte(function, '/') + 1
	name, _, _ := strings.Cut(function[slash:], ".")
	return strings.TrimPrefix(function[:slash]+name, ourModule+"server/internal/")
}

func percent(text string) float64 {
	value, _ := strconv.ParseFloat(strings.TrimSuffix(text, " %"), 64)
	return value
}
