package main

import (
	"context"
	"fmt"
	"math/rand/v2"

	"github.com/chatidentity/chatidentity/bench/performance/process"
	"github.com/chatidentity/chatidentity/bench/performance/stats"
)

// lane is a measurement that is repeated, and what it found, a value each round.
type lane struct {
	name    string
	measure func(context.Context) (sample, error)

	cpu, rate, p50, p99, memory stats.Series
	samples                     []sample
}

// interleave takes all lanes once a round, so that the moods of the machine meet all of them, and
// each round in another order, because a lane inherits something from the one before it. A first
// round warms up and does not count.
func interleave(ctx context.Context, rounds int, lanes []*lane) error {
	random := rand.New(rand.NewPCG(1, 2)) // the same orders in each run
	for round := range rounds + 1 {
		for _, i := range random.Perm(len(lanes)) {
			l := lanes[i]
			if err := ctx.Err(); err != nil {
				return err
			}
			s, err := l.measure(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", l.name, err)
			}
			if round == 0 {
				continue
			}
			l.cpu, l.rate = append(l.cpu, s.cpu), append(l.rate, s.rate)
			l.p50, l.p99 = append(l.p50, s.p50), append(l.p99, s.p99)
			l.memory = append(l.memory, s.memory)
			l.samples = append(l.samples, s)
		}
	}
	return nil
}

// named is a program to start, and what to call it.
type named struct {
	name    string
	command process.Command
}

func (b *bench) startAll(commands []named) ([]*contender, error) {
	var all []*contender
	for _, n := range commands {
		c, err := b.start(n.name, n.command)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", n.name, err)
		}
		all = append(all, c)
	}
	return all, nil
}
