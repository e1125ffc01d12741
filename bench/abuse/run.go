package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/chatidentity/chatidentity/bench/abuse/attack"
	"github.com/chatidentity/chatidentity/bench/abuse/bed"
)

// phases are how long a row takes.
type phases struct{ before, attack, after time.Duration }

func phasesOf(r row, short bool) phases {
	if short {
		return phases{500 * time.Millisecond, 4 * time.Second, 2 * time.Second}
	}
	p := phases{time.Second, 8 * time.Second, 3 * time.Second}
	if r.length > 0 {
		p.attack = r.length
	}
	return p
}

// result is what was measured.
type result struct {
	killed  time.Duration // after the attack began; 0: alive
	peak    int64         // bytes
	quiet   summary       // the steady client before the attack
	steady  summary       // during it
	fresh   summary
	probe   summary
	after   summary // the steady client, later than a second after the attack
	again   time.Duration
	report  attack.Report
	refused map[string]float64
	logged  map[string]int // lines, by kind
	seconds float64        // between the two looks at log and metrics
	heap    [2]float64     // before and after
	stopped time.Duration  // what a stop took; 0: none was asked for
}

// runAttacks returns how many rows failed.
func runAttacks(ctx context.Context, b *bed.Bed, o options) (int, error) {
	failed, ran, bounds := 0, 0, ""
	for _, r := range rows {
		if o.short && !r.short || !o.only.MatchString(r.name()) {
			continue
		}
		if r.needsRoot() && !bed.IsRoot() {
			fmt.Printf("Not run, for it needs root: %s\n", r.name())
			continue
		}
		if ran == 0 {
			fmt.Printf("%s\n", tableHead)
		}
		ran++
		holds, in, err := runRow(ctx, b, r, o)
		if err != nil {
			return failed, fmt.Errorf("%s: %w", r.name(), err)
		}
		if !holds {
			failed++
		}
		bounds = in
	}
	fmt.Printf("\n%d of %d rows failed. Each sidecar ran in %s.\n", failed, ran, bounds)
	return failed, nil
}

// shortTries is how often the short form runs a row that failed: it runs on machines that others load.
const shortTries = 2

// runRow prints what came of a row, and returns whether it holds and what the sidecar was bound to.
func runRow(ctx context.Context, b *bed.Bed, r row, o options) (bool, string, error) {
	for try := 1; ; try++ {
		measured, bounds, err := measure(ctx, b, r, phasesOf(r, o.short))
		if err != nil {
			return false, "", err
		}
		faults := verdict(r, measured, o.short)
		fmt.Println(line(r, measured, faults))
		if len(faults) == 0 || !o.short || try == shortTries {
			return len(faults) == 0, bounds, nil
		}
	}
}

// measure runs one row.
func measure(ctx context.Context, b *bed.Bed, r row, p phases) (result, string, error) {
	s, err := b.Start(append(b.Args(r.door), r.args...)...)
	if err != nil {
		return result{}, "", err
	}
	defer s.Stop()
	g, done, err := newGood(s, r)
	if err != nil {
		return result{}, "", err
	}
	defer done()
	var m result
	if r.heap {
		m.heap[0] = settledHeap(s, r.door)
	}
	calls, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	for _, series := range g.all() {
		running.Go(func() { series.run(calls) })
	}
	err = m.attack(ctx, s, r, g, p)
	stop()
	running.Wait()
	if r.heap && !s.HasExited() {
		m.heap[1] = settledHeap(s, r.door)
	}
	m.peak = s.Peak()
	return m, s.Bounds(), err
}

func (m *result) attack(ctx context.Context, s *bed.Sidecar, r row, g *good, p phases) error {
	quiet := time.Now()
	pause(ctx, s, p.before)
	metrics, err := s.Metrics()
	if err != nil {
		return err
	}
	logged := len(s.Log.All())
	began := time.Now()
	if r.stop {
		m.stopped, err = stopUnderAttack(ctx, s, r, p.attack)
		return err
	}
	if m.report, err = attackUntilDead(ctx, s, r, p.attack); err != nil {
		return err
	}
	ended := time.Now()
	if s.HasExited() {
		m.killed = ended.Sub(began)
	}
	pause(ctx, s, p.after)
	over := time.Now()
	time.Sleep(deadline) // the last calls' answers

	m.quiet, m.steady = g.steady.between(quiet, began), g.steady.between(began, ended)
	m.fresh, m.after = g.fresh.between(began, ended), g.steady.between(ended.Add(time.Second), over)
	if g.probe != nil {
		m.probe = g.probe.between(began, ended)
	}
	if last := g.steady.between(ended, over).lastFailure; !last.IsZero() {
		m.again = last.Sub(ended)
	}
	m.seconds = time.Since(began).Seconds()
	m.logged = countKinds(s.Log.All()[logged:])
	for range 3 { // a sidecar that is gone, or does not answer, has counted nothing
		if now, err := s.Metrics(); err == nil {
			m.refused = now.Refusals(metrics)
			break
		}
	}
	return ctx.Err()
}

// attackUntilDead attacks, and gives up when the sidecar is gone.
func attackUntilDead(ctx context.Context, s *bed.Sidecar, r row, length time.Duration) (attack.Report, error) {
	attacking, stop := context.WithCancel(ctx)
	defer stop()
	go func() {
		select {
		case <-s.Exit:
			stop()
		case <-attacking.Done():
		}
	}()
	if r.attack == "" {
		pause(ctx, s, length)
		return attack.Report{}, nil
	}
	return attackWith(attacking, s, r, length)
}

// stopUnderAttack returns what a stop took that was asked for half-way.
func stopUnderAttack(ctx context.Context, s *bed.Sidecar, r row, length time.Duration) (time.Duration, error) {
	attacked := make(chan error, 1)
	go func() {
		_, err := attackUntilDead(ctx, s, r, length)
		attacked <- err
	}()
	pause(ctx, s, length/2)
	asked := time.Now()
	s.Stop()
	return time.Since(asked), <-attacked
}

// pause waits, but not for a sidecar that is gone.
func pause(ctx context.Context, s *bed.Sidecar, d time.Duration) {
	select {
	case <-time.After(d):
	case <-s.Exit:
	case <-ctx.Done():
	}
}

// settledHeap makes the collector run by making calls, and returns the least
// that was on the heap meanwhile.
func settledHeap(s *bed.Sidecar, door bed.Door) float64 {
	connection, err := s.Dial(door)
	if err != nil {
		return 0
	}
	defer connection.Close() //nolint:errcheck // nothing is running on it
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	var callers sync.WaitGroup
	for range 16 {
		callers.Go(func() {
			for ctx.Err() == nil {
				_ = issue(ctx, connection) // a refusal makes as much garbage
			}
		})
	}
	least := 0.0
	for ctx.Err() == nil {
		if m, err := s.Metrics(); err == nil && (least == 0 || m.Heap() < least) {
			least = m.Heap()
		}
	}
	callers.Wait()
	return least
}
