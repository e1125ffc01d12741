// Footprint measures what the sidecar costs a pod beside what a bare grpc-go
// server would: resident memory idle and under load, the time from start to the
// first token, and the size of the binary and of the image.
//
//	go run ./bench/footprint
//
// It builds both programs as the Dockerfile does and runs them in turn on this
// machine. Linux only: it reads /proc.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"text/tabwriter"
	"time"
)

// measured is one run of one program. Sizes are in bytes.
type measured struct {
	firstToken time.Duration // from the process's start to the first reply
	idle       int64         // resident, some time after the start and one call
	loaded     int64         // resident, at most, under the load
	calls      int64         // that the load made
	failed     int64         // of them
}

// load is what a program is put under.
type load struct {
	duration  time.Duration
	callers   int   // in flight, on one connection
	customers int64 // in rotation
}

// subject is a program to measure.
type subject struct {
	name    string
	source  string
	binary  string
	command func(binary, directory string) []string
	runs    []measured
}

func main() {
	rounds := flag.Int("rounds", 7, "runs of each program; the table shows their median")
	var put load
	flag.DurationVar(&put.duration, "load", 5*time.Second, "how long the load of each run lasts")
	flag.IntVar(&put.callers, "callers", 64, "calls in flight under load")
	flag.Int64Var(&put.customers, "customers", 50_000, "customers in rotation")
	flag.Parse()
	if err := run(*rounds, put); err != nil {
		fmt.Fprintln(os.Stderr, "footprint:", err)
		os.Exit(1)
	}
}

func run(rounds int, put load) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	directory, err := os.MkdirTemp("", "footprint-*")
	if err != nil {
		return err
	}
	defer os.RemoveAll(directory) //nolint:errcheck // the system clears its temporary files
	subjects := []*subject{
		{name: "chatidentity", source: "./server", command: sidecarCommand},
		{name: "same, limits on", source: "./server", command: limitedCommand},
		{name: "bare grpc-go", source: "./bench/footprint/bare", command: bareCommand},
	}
	secret := filepath.Join(directory, "secret")
	if err := os.WriteFile(secret, []byte("a-secret-of-the-bench-of-32-bytes-or-more"), 0o600); err != nil {
		return err
	}
	for _, s := range subjects {
		s.binary = filepath.Join(directory, filepath.Base(s.source))
		if err := build(ctx, s.source, s.binary); err != nil {
			return err
		}
	}
	for range rounds { // in turn, so that the machine's moods meet all
		for _, s := range subjects {
			one, err := measure(ctx, s.command(s.binary, directory), put)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.runs = append(s.runs, one)
		}
	}
	return show(subjects, rounds, put)
}

func show(subjects []*subject, rounds int, put load) error {
	fmt.Printf("Medians of %d runs. The load: %v, %d calls in flight on one connection, %d customers in rotation.\n\n",
		rounds, put.duration, put.callers, put.customers)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	_, _ = fmt.Fprintln(table, "program\tidle MiB\tloaded MiB\tfirst token ms\tcalls/s\trefused\tbinary MB\timage MB\t")
	for _, s := range subjects {
		binary, err := os.Stat(s.binary)
		if err != nil {
			return err
		}
		image, err := imageSize(s.binary)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(table, "%s\t%.1f\t%.1f\t%.1f\t%.0f\t%.0f %%\t%.1f\t%.1f\t\n", s.name,
			median(s.runs, func(m measured) float64 { return mebibytes(m.idle) }),
			median(s.runs, func(m measured) float64 { return mebibytes(m.loaded) }),
			median(s.runs, func(m measured) float64 { return float64(m.firstToken.Microseconds()) / 1e3 }),
			median(s.runs, func(m measured) float64 { return float64(m.calls) / put.duration.Seconds() }),
			median(s.runs, func(m measured) float64 { return 100 * float64(m.failed) / float64(max(m.calls, 1)) }),
			float64(binary.Size())/1e6, float64(image)/1e6)
	}
	return table.Flush()
}

func mebibytes(bytes int64) float64 { return float64(bytes) / (1 << 20) }

func median(runs []measured, of func(measured) float64) float64 {
	values := make([]float64, len(runs))
	for i, run := range runs {
		values[i] = of(run)
	}
	slices.Sort(values)
	return values[len(values)/2]
}
