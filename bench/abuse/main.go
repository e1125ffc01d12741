// Abuse attacks the real sidecar, inside the manifest's limits, beside a good
// client, and says what the good client noticed. README.md has the rules.
//
//	go run . [-short] [-innocent] [-run REGEXP]
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"regexp"
	"strings"
	"syscall"

	"github.com/chatidentity/chatidentity/bench/abuse/bed"
)

func main() {
	bed.LaunchIfAsked()
	attackIfAsked()
	short := flag.Bool("short", false, "shorter, fewer rows, no assertion on latencies")
	innocent := flag.Bool("innocent", false, "what must not trip a defence, instead of the attacks")
	only := flag.String("run", "", "only rows whose name matches this regular expression")
	root := flag.String("root", "../..", "the checkout to build")
	flag.Parse()
	pattern, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintln(os.Stderr, "abuse: -run:", err)
		os.Exit(2)
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	failed, err := run(ctx, *root, options{short: *short, innocent: *innocent, only: pattern})
	if err != nil {
		fmt.Fprintln(os.Stderr, "abuse:", err)
	}
	if err != nil || failed > 0 {
		os.Exit(1) //nolint:gocritic // nothing is left to stop
	}
}

type options struct {
	short, innocent bool
	only            *regexp.Regexp
}

// run returns how many rows failed.
func run(ctx context.Context, root string, o options) (int, error) {
	b, err := bed.New(root)
	if err != nil {
		return 0, err
	}
	defer b.Close()
	preferGoodCalls()
	load, _ := os.ReadFile("/proc/loadavg")
	fmt.Printf("Load average before: %s.\n", strings.Join(strings.Fields(string(load))[:2], ", "))
	if o.innocent {
		return runInnocent(ctx, b, o)
	}
	return runAttacks(ctx, b, o)
}

// preferGoodCalls makes the machine's other load, attackers included, wait for
// the good client, so that what it measures is the sidecar's doing. What we
// start goes back to where we were.
func preferGoodCalls() {
	if _, err := nice(-5); err != nil {
		fmt.Println("The good client has no priority over the attackers:", err)
	}
}

// nice changes the priority of this process by so much.
func nice(by int) (int, error) {
	now, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return 0, err
	}
	now = 20 - now + by // the system call returns 20 - nice
	return now, syscall.Setpriority(syscall.PRIO_PROCESS, 0, now)
}
