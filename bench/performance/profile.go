package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

const profileLength = 5 * time.Second

// profile shows where the CPU time goes, of each way to write records whose target was missed.
func (b *bench) profile(ctx context.Context) error {
	if b.missed("written 64") {
		if err := b.profileOf(ctx, written); err != nil {
			return err
		}
	}
	if b.missed("durable 64", "durable 512") {
		return b.profileOf(ctx, durable, "--audit-sync", "on")
	}
	return nil
}

func (b *bench) profileOf(ctx context.Context, name string, more ...string) error {
	file := b.file(name + ".pprof")
	command := b.sidecarCommand(b.sidecar, "profiled-"+name, append(more, "--profile-listen", "127.0.0.1:0")...)
	c, err := b.start(name, command)
	if err != nil {
		return err
	}
	taken := make(chan error, 1)
	go func() { taken <- c.process.Profile(ctx, profileLength, file) }()
	_, loadErr := c.closed(ctx, inFlight, profileLength)
	if err := errors.Join(loadErr, <-taken); err != nil {
		return err
	}
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
