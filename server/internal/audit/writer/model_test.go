//go:build unix

package writer

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/audit"
	"github.com/chatidentity/chatidentity/server/internal/modeltest"
)

// TestModel drives the log over a simulated disk by a random schedule of calls, faults, rotations,
// stops, kills and losses of power, and compares what stands on the disk with what may stand there
// (model). PROOF takes millions of steps instead of some thousand. A failure names
// its seed, and MODEL_SEED runs that one again, step for step.
func TestModel(t *testing.T) {
	t.Parallel()
	dir := t.TempDir() // of the lock alone
	var total counts
	all := modeltest.Play(t, 8_000, 3_000_000, func(t *testing.T, seed uint64) int {
		t.Helper()
		s := newStage(t, seed, filepath.Join(dir, "audit.jsonl"))
		s.play()
		total.add(&s.counts)
		return s.steps
	})
	t.Logf("%+v", total)
	if all && slices.Contains(total.all(), 0) {
		t.Error("the schedule attacks less than it says")
	}
}

// counts is what a schedule has come across.
type counts struct {
	steps, starts, stops, kills, losses int // losses of power
	taken, refused                      int // tokens
	rotations, meddlings                int
}

func (c *counts) all() []int {
	return []int{c.steps, c.starts, c.stops, c.kills, c.losses, c.taken, c.refused, c.rotations, c.meddlings}
}

func (c *counts) add(o *counts) {
	sum := c.all()
	for i, n := range o.all() {
		sum[i] += n
	}
	*c = counts{sum[0], sum[1], sum[2], sum[3], sum[4], sum[5], sum[6], sum[7], sum[8]}
}

// stage is where a schedule plays: a disk, the process that uses it, and the model.
type stage struct {
	counts

	t       *testing.T
	mu      sync.Mutex // of what calls note when they return
	seed    uint64
	random  *rand.Rand
	o       Options
	disk    *simDisk
	model   model
	process *process
	meddles bool // somebody else touches the files
	trace   []string
}

func newStage(t *testing.T, seed uint64, path string) *stage {
	t.Helper()
	random := rand.New(rand.NewPCG(seed, 21))
	s := &stage{t: t, seed: seed, random: random, disk: newSimDisk(random), meddles: seed%3 == 0}
	s.model = model{tokens: map[string]*token{}}
	s.disk.onRemove = s.retained
	s.o = Options{
		File: path, Keys: []*audit.Key{testKey(t, "k1")}, Logger: slog.New(slog.DiscardHandler),
		NoSync: seed%5 == 0, MaxSize: int64(2000 + random.IntN(8000)), MaxFiles: []int{0, 0, 0, 3}[random.IntN(4)],
	}
	return s
}

// fail says what is wrong and how to see it again.
func (s *stage) failf(format string, args ...any) {
	s.t.Helper()
	if s.t.Failed() {
		return
	}
	trace := s.trace[max(0, len(s.trace)-60):]
	s.t.Errorf("%s\nafter %d steps of MODEL_SEED=%d; the last ones: %s",
		fmt.Sprintf(format, args...), s.steps, s.seed, strings.Join(trace, ", "))
}

// step is something that may happen at any time.
type step struct {
	name   string
	weight int
	do     func(*stage)
}

var steps = []step{
	{"token", 30, (*stage).issue},
	{"refusal", 8, (*stage).refuse},
	{"commit", 30, func(s *stage) { s.commits((*committer).commit) }},
	{"housekeep", 5, func(s *stage) { s.commits((*committer).housekeep) }},
	{"rotate", 2, func(s *stage) { s.rotations++; s.commits(func(c *committer) { _ = c.rotate() }) }},
	{"wait", 12, func(s *stage) { s.pass(time.Duration(s.random.Int64N(int64(700 * time.Millisecond)))) }},
	{"wait long", 1, func(s *stage) { s.pass(3 * time.Second) }},
	{"faults", 2, func(s *stage) { s.disk.faulty, s.disk.hangs = s.random.IntN(400), s.random.IntN(60) }},
	{"no faults", 3, func(s *stage) { s.disk.faulty, s.disk.hangs = 0, 0 }},
	{"go on", 5, (*stage).release},
	{"heal", 1, (*stage).heal},
	{"stop", 1, (*stage).stop},
	{"kill", 1, func(s *stage) { s.kills++; s.kill(); s.start() }},
	{"power", 1, (*stage).losePower},
	{"meddle", 1, (*stage).meddle},
}

// play takes some hundred steps, and ends with a loss of power or a kill and a good start and stop.
func (s *stage) play() {
	weights := 0
	for _, step := range steps {
		weights += step.weight
	}
	s.start()
	for range 200 + s.random.IntN(200) {
		at := s.random.IntN(weights)
		next := slices.IndexFunc(steps, func(step step) bool { at -= step.weight; return at < 0 })
		s.steps++
		s.trace = append(s.trace, steps[next].name)
		steps[next].do(s)
		synctest.Wait()
		if s.t.Failed() {
			break
		}
	}
	s.disk.faulty, s.disk.hangs = 0, 0
	if s.random.IntN(2) == 0 {
		s.losePower()
	} else {
		s.kill()
		s.start()
	}
	s.heal()
	s.stop()
	s.kill()
}
