package main

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

// target is what a figure must keep to. Lower is better unless atLeast is set.
type target struct {
	figure   string
	key      string // in bench.figures
	decimals int
	bound    float64
	stretch  float64 // 0: none
	atLeast  bool
}

func (t target) holds(measured, bound float64) bool {
	if t.atLeast {
		return measured >= bound
	}
	return measured <= bound
}

// noise is within what the floor against itself must read.
const noiseLow, noiseHigh = 0.88, 1.12

var targets = []target{
	{"CPU per call, record written, 64 in flight, ÷ floor", "written 64", 2, 1.05, 0.9, false},
	{"CPU per call, record synced, 64 in flight, ÷ floor", "durable 64", 2, 1.4, 1.25, false},
	{"CPU per call, record synced, 512 in flight, ÷ floor", "durable 512", 2, 1.1, 0.9, false},
	{"latency over the floor's, record synced, p50, one at a time, in `fdatasync` of 1 KiB", "syncs 1", 2, 1.5, 1.2, false},
	{"the same with 64 in flight", "syncs 64", 2, 2.5, 1.5, false},
	{"signing one token, µs", "sign", 2, 0.7, 0.5, false},
	{"signing one token, allocations", "sign allocations", 0, 2, 0, false},
	{"allocations per call", "allocations", 0, 64, 58, false},
	{"allocations per call, ours", "own allocations", 0, 16, 10, false},
	{"memory of ten million customers seen, MiB", "customers", 0, 32, 0, false},
	{"`audit verify`, million records a second", "verify", 2, 2, 0, true},
	{"CPU per call, 64 connections, ÷ 16", "connections 64", 2, 1.2, 0, false},
	{"CPU per call, 256 connections, ÷ 16", "connections 256", 2, 1.3, 0, false},
	{"CPU per call, 1,024 connections, ÷ 16", "connections 1024", 2, 1.5, 0, false},
	{"CPU per token ÷ Express with the vendor's code as written", "express", 3, 0.06, 0, false},
	{"CPU per token ÷ Express with a KeyObject", "express key", 3, 0.2, 0, false},
}

// footprintTargets differ with tracing built in.
func footprintTargets(traces bool) []target {
	if traces {
		return []target{
			{"stripped binary ÷ bare, with tracing", "binary", 2, 2.2, 0, false},
			{"idle memory ÷ bare, with tracing", "idle", 2, 2.1, 0, false},
			{"start to first token ÷ bare, with tracing", "start", 2, 2.4, 0, false},
		}
	}
	return []target{
		{"stripped binary ÷ bare", "binary", 2, 1.7, 1.5, false},
		{"idle memory ÷ bare", "idle", 2, 1.9, 1.6, false},
		{"start to first token ÷ bare", "start", 2, 2.2, 1.8, false},
	}
}

// openLoop begins the figures of one.
const openLoop = "open loop at "

// openTargets say that no latency in the open loop is worse than before, and how far it is from the
// floor's.
func openTargets() []target {
	var all []target
	for _, rate := range openRates {
		for _, share := range []string{"p50", "p99"} {
			at := strconv.Itoa(rate)
			all = append(all,
				target{openLoop + at + " calls/s, synced, " + share + " ÷ before", "before " + share + " " + at, 2, 1.1, 0, false},
				target{openLoop + at + " calls/s, synced, " + share + " over the floor's, in `fdatasync` of 1 KiB", "open " + share + " " + at, 2, math.Inf(1), 1.5, false})
		}
	}
	return all
}

// showTargets prints what was measured of the targets.
func (b *bench) showTargets() error {
	traces, err := b.traces()
	if err != nil {
		return err
	}
	var table [][]string
	for _, t := range slices.Concat(targets, footprintTargets(traces), openTargets()) {
		measured, found := b.figures[t.key]
		if !found {
			continue
		}
		row, err := t.row(measured.Text(t.decimals), slices.Contains(b.saturated, t.rate()))
		if err != nil {
			return err
		}
		table = append(table, row)
	}
	b.page.Table(b.block("targets"), []string{"figure", "measured", "target", "stretch", holds}, table)
	return b.showNoise()
}

// rate is that of an open loop, and nothing for other targets.
func (t target) rate() string {
	if !strings.HasPrefix(t.figure, openLoop) {
		return ""
	}
	return t.key[strings.LastIndexByte(t.key, ' ')+1:]
}

// holds is the column of the verdicts.
const holds = "holds"

// row judges what the page shows, not the value before it was rounded.
func (t target) row(measured string, saturated bool) ([]string, error) {
	s, err := stats.Parse(measured)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.figure, err)
	}
	bound, stretch := "", ""
	if !math.IsInf(t.bound, 1) {
		bound = t.text(t.bound)
	}
	if t.stretch != 0 {
		stretch = t.text(t.stretch)
	}
	return []string{t.figure, measured, bound, stretch, t.verdict(s, saturated)}, nil
}

func (t target) text(bound float64) string {
	sign := "≤"
	if t.atLeast {
		sign = "≥"
	}
	return fmt.Sprintf("%s %g", sign, bound)
}

// showNoise says whether the machine was quiet enough: the floor measured against itself.
func (b *bench) showNoise() error {
	for _, at := range []string{"1", "64", "512"} {
		ratio, found := b.figures[again+" "+at]
		if !found {
			continue
		}
		verdict := "as it must"
		if ratio.Median() < noiseLow || ratio.Median() > noiseHigh {
			verdict = "**so this run is worth nothing**: it must be within 0.88 and 1.12"
		}
		b.page.Addf(b.block("targets"), "The floor against itself, %s in flight: %s, %s.", at, ratio.Text(2), verdict)
	}
	return nil
}

// missed reports whether a target of one of the figures is missed, or was not measured.
func (b *bench) missed(keys ...string) bool {
	for _, t := range targets {
		for _, key := range keys {
			if t.key == key && !t.holds(b.figures[key].Median(), t.bound) {
				return true
			}
		}
	}
	return false
}
