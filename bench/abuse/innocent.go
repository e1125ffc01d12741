package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/chatidentity/chatidentity/bench/abuse/bed"
)

// innocent is what good clients do at their worst. No defence may take it for an
// attack.
type innocent struct {
	name    string
	run     func(ctx context.Context, s *scene) error
	allowed []string // kinds of refusal that it must expect
}

var innocents = []innocent{
	{name: "10 keepalive pings a second on each of 16 connections", run: keepalive},
	{name: "1,024 open calls cancelled at the same instant, each second", run: cancelTogether},
	{
		name: "audit stalls for 5 s, 1,000 calls in flight with deadlines of 100 ms", run: stallAudit,
		allowed: []string{"AUDIT_UNAVAILABLE"},
	},
	{name: "512 callers at full speed on one connection", run: fullSpeed(1)},
	{name: "50 calls a second with 20 to 40 KiB of metadata", run: largeMetadata},
	{name: "512 callers at full speed on 16 connections", run: fullSpeed(16)},
}

// scene is where an innocent runs.
type scene struct {
	*bed.Sidecar
	door   bed.Door
	length time.Duration
	calls  atomic.Int64
	ended  atomic.Int64 // connections that the server has ended
}

func runInnocent(ctx context.Context, b *bed.Bed, o options) (int, error) {
	failed := 0
	fmt.Println("\n| what good clients do | door | calls | connections ended | peak, MiB | counted as | logged | " +
		"verdict |")
	fmt.Println("|---|---|---|---|---|---|---|---|")
	for _, door := range []bed.Door{bed.Unix, bed.Loopback, bed.MTLS} {
		for _, i := range innocents {
			if !o.only.MatchString(i.name + ", " + string(door)) {
				continue
			}
			row, ok, err := i.measure(ctx, b, door, phasesOf(row{}, o.short).attack)
			if err != nil {
				return failed, fmt.Errorf("%s: %w", i.name, err)
			}
			if !ok {
				failed++
			}
			fmt.Println(row)
		}
	}
	fmt.Printf("\n%d rows failed.\n", failed)
	return failed, nil
}

func (i innocent) measure(ctx context.Context, b *bed.Bed, door bed.Door, length time.Duration) (string, bool, error) {
	sidecar, err := b.Start(unlimited...)
	if err != nil {
		return "", false, err
	}
	defer sidecar.Stop()
	before, err := sidecar.Metrics()
	if err != nil {
		return "", false, err
	}
	s := &scene{Sidecar: sidecar, door: door, length: length}
	logged := len(s.Log.All())
	ran := i.run(ctx, s)
	ended := s.ended.Load() // ours end with the sidecar
	after, err := s.Metrics()
	refused, named := after.Refusals(before), countKinds(s.Log.All()[logged:])
	faults := i.verdict(errors.Join(ran, err), ended, s.Peak(), refused, named)
	verdict := "ok"
	if len(faults) > 0 {
		verdict = strings.Join(faults, ", ")
	}
	row := fmt.Sprintf("| %s | %s | %d | %d | %d | %s | %s | %s |", i.name, door, s.calls.Load(), ended, s.Peak()>>20,
		counts(refused), counts(named), verdict)
	return row, len(faults) == 0, nil
}

// verdict returns what is not as it must be.
func (i innocent) verdict(err error, ended, peak int64, refused map[string]float64, named map[string]int) []string {
	var faults []string
	if err != nil {
		faults = append(faults, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if ended > 0 {
		faults = append(faults, "connections ended")
	}
	if peak > maxPeak {
		faults = append(faults, "peak")
	}
	for _, kind := range slices.Sorted(maps.Keys(refused)) {
		if !slices.Contains(i.allowed, kind) {
			faults = append(faults, "counted as "+kind)
		}
	}
	for _, kind := range slices.Sorted(maps.Keys(named)) {
		if !slices.Contains(i.allowed, kind) {
			faults = append(faults, "logged as "+kind)
		}
	}
	return faults
}
