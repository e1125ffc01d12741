package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pb "github.com/chatidentity/chatidentity/gen/go/chatidentity/v1"
)

// Two sidecars share a Redis under a mixed load, while at random moments secrets change, files are
// reloaded, Redis hangs or dies, the directory of an audit file is gone for a while, and a flood
// comes. One of them is also killed and restarted; the other must not have grown at the end.
// Whatever happens, each token that a client received is in the trail, the trail verifies, and a
// record without a received token belongs to a call that its client saw fail.
func TestSoak(t *testing.T) {
	t.Parallel()
	length := time.Duration(rounds(5, 20, 20*60)) * time.Second
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d, %v", seed, length)
	world := &soakWorld{t: t, random: rand.New(rand.NewPCG(seed, 1)), secret: filepath.Join(t.TempDir(), "secret")}
	world.changeSecret()
	world.redis = startRedis(t)
	world.keyFile = limitKeyFile(t)
	steady, restarted := world.newSidecar("steady"), world.newSidecar("restarted")
	stop := world.load(steady, restarted)
	world.happen(length/4, steady, restarted)
	world.pause()
	before := steady.size()
	world.goOn()
	world.happen(length-length/4, steady, restarted)
	world.pause()
	after := steady.size()
	world.goOn()
	stop()
	for _, s := range []*soaked{steady, restarted} {
		s.stopCleanly()
		s.assert(t, world.keyFile)
	}
	assertNotGrown(t, before, after)
	t.Logf("what happened: %v", world.happened)
}

// soakWorld is what the sidecars have in common.
type soakWorld struct {
	t        *testing.T
	random   *rand.Rand
	redis    *redisServer
	secret   string
	keyFile  string
	secrets  int
	happened map[string]int

	calls sync.RWMutex // read by each call; locked: there are none
}

func (w *soakWorld) pause() { w.calls.Lock() }
func (w *soakWorld) goOn()  { w.calls.Unlock() }

// changeSecret replaces the file of the signing secret.
func (w *soakWorld) changeSecret() {
	w.secrets++
	if err := writeAtomically(w.secret, rotated(w.secrets)); err != nil {
		w.t.Fatal(err)
	}
}

// soaked is a sidecar, over all its processes.
type soaked struct {
	*soakWorld
	*trail

	processes int
	current   atomic.Pointer[soakedProcess]
}

// soakedProcess is one run of a sidecar.
type soakedProcess struct {
	*running
	client   pb.ChatIdentityServiceClient
	instance string
	started  time.Time
}

func (w *soakWorld) newSidecar(name string) *soaked {
	s := &soaked{soakWorld: w, trail: newTrail(w.t, name)}
	s.start()
	return s
}

func (s *soaked) start() {
	s.processes++
	instance := fmt.Sprintf("%s-%d", s.name, s.processes)
	started := time.Now().Add(-time.Second) // file systems keep time coarsely
	p := start(s.t, setup{env: []string{"CHATIDENTITY_INSTANCE=" + instance}, args: []string{
		"--secret-file", s.secret, "--audit-key-file", s.keyFile,
		"--audit-file", filepath.Join(s.directory, "audit.jsonl"), "--audit-max-size", "4MiB",
		"--limit-redis", "unix://" + s.redis.socket, "--limit-caller", "2000/s",
	}})
	s.current.Store(&soakedProcess{p, p.client(s.t), instance, started})
}

// load calls both sidecars until it is stopped.
func (w *soakWorld) load(sidecars ...*soaked) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	for n := range 8 {
		s := sidecars[n%len(sidecars)]
		random := rand.New(rand.NewPCG(uint64(n), 7))
		running.Go(func() {
			tick := time.NewTicker(10 * time.Millisecond)
			defer tick.Stop()
			for ctx.Err() == nil {
				<-tick.C
				s.call(random)
			}
		})
	}
	return func() {
		cancel()
		running.Wait()
	}
}

// call makes a call that a backend might make, sometimes a wrong one.
func (s *soaked) call(random *rand.Rand) {
	s.calls.RLock()
	defer s.calls.RUnlock()
	p := s.current.Load()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	switch random.IntN(10) {
	case 0:
		_, _ = p.client.VerifyToken(ctx, &pb.VerifyTokenRequest{Token: "no token"})
	case 1:
		_, _ = p.client.IssueToken(ctx, issueFor("", "")) // INVALID_ARGUMENT: leaves no token record
	default:
		reply, err := p.client.IssueToken(ctx, issueFor(fmt.Sprintf("user_%d", random.IntN(5000)), ""))
		s.answered(reply, err)
	}
}

// happen lets one thing after the other happen.
func (w *soakWorld) happen(length time.Duration, steady, restarted *soaked) {
	either := func() *soaked { return []*soaked{steady, restarted}[w.random.IntN(2)] }
	happenings := []struct {
		name string
		do   func()
	}{
		{"secret changed", w.changeSecret},
		{"reloaded", func() { either().signal(syscall.SIGHUP) }},
		{"flooded", func() { either().flood() }},
		{"audit directory gone", func() { either().withoutDirectory(w.wait) }},
		{"redis hung", func() { w.redis.signal(syscall.SIGSTOP); w.wait(); w.redis.signal(syscall.SIGCONT) }},
		{"redis restarted", func() { w.redis.kill(); w.wait(); w.redis.start() }},
		{"killed", func() { restarted.kill() }},
		{"stopped", func() { restarted.stopCleanly(); restarted.start() }},
	}
	if w.happened == nil {
		w.happened = map[string]int{}
	}
	for end := time.Now().Add(length); time.Now().Before(end); w.wait() {
		next := happenings[w.random.IntN(len(happenings))]
		next.do()
		w.happened[next.name]++
	}
}

// wait lets up to half a second pass.
func (w *soakWorld) wait() { <-time.After(time.Duration(w.random.IntN(500)) * time.Millisecond) }

func (s *soaked) signal(signal os.Signal) {
	if err := s.current.Load().Process.Signal(signal); err != nil {
		s.t.Error(err)
	}
}

// flood asks 2,000 times for the same customer, and once in a while for another.
func (s *soaked) flood() {
	p := s.current.Load()
	var flooding sync.WaitGroup
	for n := range 20 {
		flooding.Go(func() {
			for i := range 100 {
				ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				reply, err := p.client.IssueToken(ctx, issueFor(fmt.Sprintf("flooder_%d", n*(i/50)), ""))
				cancel()
				s.answered(reply, err)
			}
		})
	}
	flooding.Wait()
}

// withoutDirectory takes the directory of the audit file away for a while.
func (s *soaked) withoutDirectory(wait func()) {
	s.takeAway(s.t)
	wait()
	s.giveBack(s.t)
}

// kill kills the process and starts another.
func (s *soaked) kill() {
	p := s.current.Load()
	_ = p.Process.Kill()
	_ = p.waited()
	s.start()
}

// stopCleanly compares the process's metrics with its records while there are no calls, and stops it.
func (s *soaked) stopCleanly() {
	s.t.Helper()
	s.pause()
	defer s.goOn()
	p := s.current.Load()
	var counted, recorded int
	for deadline := time.Now().Add(30 * time.Second); counted == 0 || counted != recorded; {
		if time.Now().After(deadline) {
			s.t.Errorf("%s counted %d records and wrote %d", p.instance, counted, recorded)
			break
		}
		counted, recorded = int(p.metric(s.t, "chatidentity_audit_records_total")), s.recordsOf(p)
	}
	if code := p.stop(s.t); code != 0 {
		s.t.Errorf("%s: exit code %d\n%s", p.instance, code, p.stderr)
	}
}
