package main

import (
	"context"
	"fmt"
	"runtime"
	"strconv"

	"github.com/chatidentity/chatidentity/bench/performance/process"
)

// The load of the sections about connections and cores.
const inFlight = 64

// manifest is what deploy/kubernetes/sidecar.yaml gives the process as its environment.
const manifest = "GOMEMLIMIT=64MiB"

// measureConnections spreads the same calls over more and more connections, within the manifest's
// memory.
func (b *bench) measureConnections(ctx context.Context) error {
	counts := []int{16, 64, 256, 1024}
	var lanes []*lane
	for _, connections := range counts {
		// A process each: what many connections leave behind must not count for few.
		suffix := strconv.Itoa(connections)
		bare, ours := b.bareCommand("bare"+suffix), b.sidecarCommand(b.sidecar, "connections"+suffix)
		bare.Env, ours.Env = append(bare.Env, manifest), append(ours.Env, manifest)
		contenders, err := b.startAll([]named{{floor, bare}, {written, ours}})
		if err != nil {
			return err
		}
		for _, c := range contenders {
			connected, err := b.connect(c, loopback, connections)
			if err != nil {
				return err
			}
			lanes = append(lanes, &lane{name: c.name + " over " + suffix, measure: func(ctx context.Context) (sample, error) {
				s, err := connected.closed(ctx, inFlight, b.length)
				if err != nil {
					return s, err
				}
				s.memory, err = connected.process.Memory(process.ResidentPeak)
				return s, err
			}})
		}
	}
	if err := interleave(ctx, b.rounds, lanes); err != nil {
		return err
	}
	var table [][]string
	for i, connections := range counts {
		bare, ours := lanes[2*i], lanes[2*i+1]
		growth := ours.cpu.Over(lanes[1].cpu)
		b.figures[fmt.Sprintf("connections %d", connections)] = growth
		table = append(table, []string{
			strconv.Itoa(connections), ours.cpu.Text(1), growth.Text(2), bare.cpu.Over(lanes[0].cpu).Text(2),
			ours.cpu.Over(bare.cpu).Text(2), fmt.Sprintf("%.0f · %.0f", ours.memory.At(1), bare.memory.At(1)),
		})
	}
	b.page.Table("connections", []string{
		"connections", "written, µs per call", "÷ 16 connections", "floor ÷ its 16 connections", "written ÷ floor",
		"most resident, MiB: written · floor",
	}, table)
	return nil
}

// measureCores gives each server one core, two, and so on up to what the machine has.
func (b *bench) measureCores(ctx context.Context) error {
	var counts []int
	for n := 1; n <= runtime.NumCPU(); n *= 2 {
		counts = append(counts, n)
	}
	var lanes []*lane
	for _, cores := range counts {
		suffix := strconv.Itoa(cores)
		bare := b.bareCommand("cores-floor" + suffix)
		ours := b.sidecarCommand(b.sidecar, "cores"+suffix)
		synced := b.sidecarCommand(b.sidecar, "cores-durable"+suffix, "--audit-sync", "on")
		for _, n := range []named{{floor, bare}, {written, ours}, {durable, synced}} {
			n.command.Env = append(n.command.Env, "GOMAXPROCS="+suffix)
			c, err := b.start(n.name, n.command)
			if err != nil {
				return err
			}
			lanes = append(lanes, &lane{name: n.name, measure: func(ctx context.Context) (sample, error) {
				return c.closed(ctx, inFlight, b.length)
			}})
		}
	}
	if err := interleave(ctx, b.rounds, lanes); err != nil {
		return err
	}
	var table [][]string
	for i, cores := range counts {
		row := []string{strconv.Itoa(cores)}
		for _, l := range lanes[3*i : 3*i+3] {
			row = append(row, l.rate.Text(0), l.cpu.Text(1))
		}
		table = append(table, row)
	}
	b.page.Table("cores", []string{
		"GOMAXPROCS", "floor, calls/s", "floor, µs per call", "written, calls/s", "written, µs per call",
		"durable, calls/s", "durable, µs per call",
	}, table)
	return nil
}
