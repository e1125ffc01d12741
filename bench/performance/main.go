// Performance measures what a call of the sidecar costs, and what the sidecar costs a pod, against a
// stock grpc-go server that answers with a constant. It runs the real programs over real sockets on
// this machine, in interleaved rounds, prints medians with their quartiles, and writes them into
// docs/performance.md and docs/performance-internals.md.
//
//	make bench            # ten minutes; Go alone (and redis-server for what shared limits cost)
//	make bench-others     # the same job in Node, Go, Python and Java, against the floor and the sidecar
//	go run . -only calls -rounds 3 -page ''
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"
)

func main() {
	var o options
	flag.IntVar(&o.rounds, "rounds", 12, "interleaved rounds of each measurement under load")
	flag.DurationVar(&o.length, "length", 200*time.Millisecond, "of one measurement under load")
	flag.StringVar(&o.only, "only", "", "measure these sections alone: a regular expression")
	flag.IntVar(&o.records, "records", 10_000_000, "how many audit records to verify")
	flag.BoolVar(&o.others, "others", false, "measure the contenders in other languages instead")
	flag.StringVar(&o.base, "base", "", "a commit whose sidecar to measure as well")
	flag.StringVar(&o.dir, "dir", "",
		"where audit files are written; its disk is what is measured (default: the system's temporary directory)")
	flag.StringVar(&o.page, "page", "docs/performance.md",
		"the page to write, relative to the repository, with performance-internals.md beside it; empty: print only")
	flag.Parse()
	debug.SetGCPercent(400)                  // the load generator's own collections disturb
	runtime.GOMAXPROCS(runtime.NumCPU() + 1) // one more for the thread that sleeps until calls are due
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "performance:", err)
		stop()
		os.Exit(1) //nolint:gocritic // stop was called
	}
}
