package main

import (
	"bytes"
	"compress/gzip"
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/chatidentity/chatidentity/bench/performance/load"
	"github.com/chatidentity/chatidentity/bench/performance/process"
	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

const (
	settle          = 2 * time.Second // before a process counts as idle
	footprintRounds = 7
	footprintLoad   = 2 * time.Second
)

// modules are what the sidecar is made of, each built into the bare server by a tag of its own.
var modules = []string{"prometheus", "jwx", "redis", "cobra", "yaml", "otel"}

// resident is a program whose memory, start and size are measured.
type resident struct {
	name    string
	program string
	command process.Command

	idle, loaded, start stats.Series
}

// measureFootprint measures what a process costs a pod before it does anything, and what each
// module adds to that.
func (b *bench) measureFootprint(ctx context.Context) error {
	all, err := b.residents(ctx)
	if err != nil {
		return err
	}
	for round := range footprintRounds {
		var running []*process.Process
		for _, r := range all {
			p, err := r.begin()
			if err != nil {
				return err
			}
			b.ends = append(b.ends, p.Stop)
			running = append(running, p)
		}
		time.Sleep(settle)
		for i, r := range all {
			idle, err := running[i].Memory(process.Resident)
			if err != nil {
				return err
			}
			r.idle = append(r.idle, idle)
		}
		if round == footprintRounds-1 {
			if err := errors.Join(all[0].underLoad(ctx, running[0]), all[1].underLoad(ctx, running[1])); err != nil {
				return err
			}
		}
		if err := b.endSection(); err != nil {
			return err
		}
	}
	return b.showFootprint(all)
}

// residents are the sidecar as the manifests run it, with limits that let the load pass; the bare
// server as anyone would build it; and, built as the sidecar is, the bare server alone and with each
// module.
func (b *bench) residents(ctx context.Context) ([]*resident, error) {
	all := []*resident{
		{name: "chatidentity", program: b.sidecar, command: process.Command{Env: []string{"GOMEMLIMIT=64MiB"}, Args: []string{
			b.sidecar, "serve", "--secret-file", b.file("secret"), "--identifier-policy", "external-id",
			"--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
			"--audit-file", b.file("pod.jsonl"), "--audit-max-size", "8MiB", "--audit-max-files", "3", "--audit-copy", "-",
			"--limit-caller", "1000000/s", "--limit-customer", "1000/s:1000000",
		}}},
		{name: "bare", program: b.floor, command: process.Command{Args: []string{b.floor}}},
	}
	every := []string{process.NoTrace}
	builds := []build{{"bare, with the tag grpcnotrace", every}}
	for _, module := range modules {
		tag := "with_" + module
		builds = append(builds, build{"the same + " + module, []string{process.NoTrace, tag}})
		every = append(every, tag)
	}
	for i, of := range append(builds, build{"the same + all of these", every}) {
		program := b.file(fmt.Sprint("bare-", i))
		if err := b.bare(of.tags...).Into(ctx, program); err != nil {
			return nil, err
		}
		all = append(all, &resident{name: of.name, program: program, command: process.Command{Args: []string{program}}})
	}
	return all, nil
}

// build is the bare server with some tags.
type build struct {
	name string
	tags []string
}

// begin starts the program and waits for its first token. Its standard output, the audit, is
// dropped.
func (r *resident) begin() (*process.Process, error) {
	p, err := process.Start(r.command)
	if err != nil {
		return nil, err
	}
	caller, err := load.Dial(p.Listen[0], 1, customers)
	if err != nil {
		return nil, errors.Join(err, p.Stop())
	}
	r.start = append(r.start, float64(time.Since(p.Began).Microseconds())/1e3)
	return p, caller.Close()
}

func (r *resident) underLoad(ctx context.Context, p *process.Process) error {
	caller, err := load.Dial(p.Listen[0], 1, customers)
	if err != nil {
		return err
	}
	defer caller.Close() //nolint:errcheck // nothing is pending
	if _, err := load.Closed(ctx, caller, inFlight, footprintLoad); err != nil {
		return err
	}
	most, err := p.Memory(process.ResidentPeak)
	r.loaded = append(r.loaded, most)
	return err
}

func (b *bench) showFootprint(all []*resident) error {
	bare := all[1]
	var table [][]string
	for _, r := range all {
		binary, packed, err := sizes(r.program)
		if err != nil {
			return err
		}
		floor, _, err := sizes(bare.program)
		if err != nil {
			return err
		}
		loaded := ""
		if r.loaded != nil {
			loaded = r.loaded.Text(1)
		}
		table = append(table, []string{
			r.name, fmt.Sprintf("%.1f", binary), fmt.Sprintf("%.2f", binary/floor), fmt.Sprintf("%.1f", packed),
			r.idle.Text(1), r.idle.Over(bare.idle).Text(2), loaded, r.start.Text(1), r.start.Over(bare.start).Text(2),
		})
		if r.name == all[0].name {
			b.figures["binary"] = stats.Series{binary / floor}
			b.figures["idle"], b.figures["start"] = r.idle.Over(bare.idle), r.start.Over(bare.start)
		}
	}
	b.page.Table("footprint", []string{
		"program", "binary, MB", "÷ bare", "with gzip, MB", "idle, MiB", "÷ bare", "under load, at most, MiB",
		"start to first token, ms", "÷ bare",
	}, table)
	return nil
}

// sizes returns the size of a file in MB, as it is and compressed.
func sizes(path string) (float64, float64, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, 0, err
	}
	var compressed bytes.Buffer
	zip := gzip.NewWriter(&compressed)
	if _, err := zip.Write(content); err != nil {
		return 0, 0, err
	}
	err = zip.Close()
	return float64(len(content)) / 1e6, float64(compressed.Len()) / 1e6, err
}

// traces reports whether tracing is built into the sidecar, for which the targets are others.
func (b *bench) traces() (bool, error) {
	info, err := buildinfo.ReadFile(b.sidecar)
	if err != nil {
		return false, err
	}
	for _, module := range info.Deps {
		if strings.HasPrefix(module.Path, "go.opentelemetry.io/otel/sdk") {
			return true, nil
		}
	}
	return false, nil
}
