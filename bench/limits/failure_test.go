package limits

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"
)

const (
	burst   = 10
	earning = time.Minute // one more call
	// hang is how long no call may take, whatever fails: far more than a
	// decision waits, so that a busy machine is not taken for a fault.
	hang = 2 * time.Second

	local, closed = "local", "closed"
)

// length is how long each of the three parts of a run lasts: before, while Redis
// is known to be down, and after.
func length() time.Duration {
	if os.Getenv("PROOF") != "" {
		return 5 * time.Second
	}
	return 700 * time.Millisecond
}

// Redis fails under load in each way and comes back, for each policy: no call
// hangs, the policy does what it says, and sharing resumes by itself. Prints how
// long calls waited.
func TestFailurePolicies(t *testing.T) { //nolint:paralleltest // runs side by side would measure each other
	needsRedis(t)
	program, key := build(t), keyFile(t)
	table := &strings.Builder{}
	fmt.Fprint(table, "\n| Redis | policy | calls | before | during | after | LIMITER_UNAVAILABLE | down after | shared again after |\n|---|---|---|---|---|---|---|---|---|\n")
	t.Run("not used", func(t *testing.T) {
		stop := load(t, []*sidecar{startSidecar(t, program), startSidecar(t, program)})
		<-time.After(length())
		samples := stop()
		fmt.Fprintf(table, "| not used | | %d | %v | | | | | |\n", len(samples), waitsOf(samples))
	})
	for _, f := range faults { //nolint:paralleltest // as above
		for _, policy := range []string{local, closed} {
			t.Run(f.name+" "+policy, func(t *testing.T) {
				r := newRun(t, program, key, f, policy)
				r.play()
				r.check()
				fmt.Fprintln(table, r.row())
			})
		}
	}
	t.Log(table)
}

// run is one fault under one policy, and what came of it.
type run struct {
	t      *testing.T
	fault  fault
	policy string
	rig    *rig
	pods   []*sidecar

	begun, failed, down, leftDown, mended, shared, over time.Time

	samples []sample
	tries   int       // of sharesBudgets
	asked   []float64 // decisions that waited in vain while Redis was known to be down, by pod
}

func newRun(t *testing.T, program, key string, f fault, policy string) *run {
	t.Helper()
	r := &run{t: t, fault: f, policy: policy, rig: newRig(t)}
	for range 2 {
		r.pods = append(r.pods, startSidecar(t, program, "--limit-redis", "redis://"+r.rig.proxy.Listen, "--limit-redis-failure", policy,
			"--audit-key-file", key, "--limit-global", "100000/s", "--limit-customer", fmt.Sprintf("60/h:%d", burst)))
	}
	return r
}

// play goes through the run under load.
func (r *run) play() {
	r.t.Helper()
	r.awaitSharing(true)
	r.begun = time.Now()
	stop := load(r.t, r.pods)
	<-time.After(length())

	r.failed = time.Now()
	r.fault.begin(r.rig, length())
	if !r.fault.bears {
		r.awaitSharing(false)
	}
	r.down = time.Now()
	before := r.vain()
	<-time.After(length())
	for i, n := range r.vain() {
		r.asked = append(r.asked, n-before[i])
	}
	r.leftDown = time.Now()
	r.fault.end(r.rig)
	r.mended = time.Now()
	r.awaitSharing(true)
	r.shared = time.Now()
	<-time.After(length())
	r.samples = stop()
	r.over = time.Now()
}

func (r *run) awaitSharing(want bool) {
	r.t.Helper()
	for _, pod := range r.pods {
		await(r.t, fmt.Sprintf("sharing to be %v", want), func() bool { return pod.shares(r.t) == want })
	}
}

func (r *run) vain() (counts []float64) {
	for _, pod := range r.pods {
		counts = append(counts, pod.metric(r.t, `chatidentity_ratelimit_redis_duration_seconds_count{outcome="failed"}`))
	}
	return counts
}

func (r *run) check() {
	r.t.Helper()
	for _, s := range r.samples {
		if !r.mayBe(&s) {
			r.t.Fatalf("a call %v after the fault (declared down after %v, over after %v) for hot=%v ended with %q",
				s.begun.Sub(r.failed), r.down.Sub(r.failed), r.leftDown.Sub(r.failed), s.hot, s.outcome)
		}
		if s.waited > hang {
			r.t.Errorf("a call took %v", s.waited)
		}
	}
	r.checkBudgets()
	// Those on their way when it was declared down are no harm.
	for pod, n := range r.asked {
		if !r.fault.bears && n > callersPerPod {
			r.t.Errorf("pod %d: %v decisions waited for a Redis that was known to be down", pod, n)
		}
	}
	await(r.t, "limits to be shared again", r.sharesBudgets)
}

// sharesBudgets spends a budget on the first pod and asks for more on the
// second. A decision that Redis did not get in time, on a busy machine, spoils
// one try, not all.
func (r *run) sharesBudgets() bool {
	r.tries++
	customer := fmt.Sprintf("shared_%d", r.tries)
	for range burst {
		if r.pods[0].call(customer) != "" {
			return false
		}
	}
	return r.pods[1].call(customer) == "RATE_LIMITED"
}

// mayBe says whether a call may have ended as it did.
func (r *run) mayBe(s *sample) bool {
	whileDown := !r.fault.bears && s.begun.After(r.down) && s.ended().Before(r.leftDown)
	switch {
	case r.policy == closed && whileDown:
		return s.outcome == "LIMITER_UNAVAILABLE"
	case s.outcome == "LIMITER_UNAVAILABLE":
		return r.policy == closed
	case s.outcome == "RATE_LIMITED":
		return s.hot
	default:
		return s.outcome == ""
	}
}

// checkBudgets counts what the hot customer got. No pod grants a fresh burst;
// and closed keeps to one budget for all, unless Redis forgot it.
func (r *run) checkBudgets() {
	r.t.Helper()
	passed := make([]int, len(r.pods))
	refused, total := 0, 0
	for _, s := range r.samples {
		switch {
		case s.hot && s.outcome == "":
			passed[s.pod]++
			total++
		case s.hot && s.outcome == "RATE_LIMITED":
			refused++
		}
	}
	budget := burst + int(r.over.Sub(r.begun)/earning)
	for pod, n := range passed {
		if n > budget {
			r.t.Errorf("pod %d admitted the hot customer %d times, the budget is %d", pod, n, budget)
		}
	}
	if r.policy == closed && !r.fault.amnesia && total > budget {
		r.t.Errorf("the pods admitted the hot customer %d times, the budget is %d", total, budget)
	}
	if total == 0 || refused == 0 {
		r.t.Errorf("the hot customer got %d tokens and %d refusals: the load was too small to show anything", total, refused)
	}
}

func (r *run) row() string {
	unavailable := 0
	for _, s := range r.samples {
		if s.outcome == "LIMITER_UNAVAILABLE" {
			unavailable++
		}
	}
	down, again := "not", ""
	if !r.fault.bears {
		down = r.down.Sub(r.failed).Round(time.Millisecond).String()
		again = r.shared.Sub(r.mended).Round(time.Millisecond).String()
	}
	return fmt.Sprintf("| %s | %s | %d | %v | %v | %v | %d | %s | %s |", r.fault.name, r.policy, len(r.samples),
		waitsOf(between(r.samples, r.begun, r.failed)), waitsOf(between(r.samples, r.failed, r.mended)), waitsOf(between(r.samples, r.shared, r.over)),
		unavailable, down, again)
}
