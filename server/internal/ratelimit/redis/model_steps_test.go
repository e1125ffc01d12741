package redis

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing/synctest"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"github.com/chatidentity/chatidentity/server/internal/ratelimit"
)

// question is a call at the server.
type question struct {
	ctx     context.Context //nolint:containedctx // of this call
	budgets *ratelimit.Budgets
	replies chan error
	answer  ratelimit.Answer
	spent   bool // it has been decided
	allowed bool
	probe   bool
}

// ask takes the place of the round trip: a question waits until a step answers it.
func (w *world) ask(ctx context.Context, _ *goredis.Client, budgets *ratelimit.Budgets) (ratelimit.Answer, error) {
	q := &question{ctx: ctx, budgets: budgets, replies: make(chan error, 1)}
	q.probe = budgets[ratelimit.Global].Key.Kind == "probe"
	if note, ok := ctx.Value(noteKey{}).(*note); ok {
		note.question = q
	}
	w.mu.Lock()
	w.questions = append(w.questions, q)
	w.mu.Unlock()
	select {
	case err := <-q.replies:
		return q.answer, err
	case <-ctx.Done():
		return ratelimit.Answer{}, ctx.Err()
	}
}

// note finds the question of a call.
type (
	note    struct{ question *question }
	noteKey struct{}
)

// call makes a call of a random customer at a random replica.
func (w *world) call() {
	w.pass(1) // no two deadlines are at the same moment
	p := w.replicas[w.random.IntN(len(w.replicas))]
	w.callFor(p, w.random.IntN(4))
}

func (w *world) callFor(p *pod, customer int) {
	budgets := w.budgetsOf(customer)
	want, exact := w.foresee(p, &budgets)
	n := new(note)
	ctx := context.WithValue(context.Background(), noteKey{}, n)
	w.running.Go(func() {
		began := time.Now()
		d, err := p.limiter.Take(ctx, budgets)
		if took := time.Since(began); took > p.limiter.options.Timeout {
			w.failf("a decision took %v", took)
		}
		w.check(p, &budgets, n.question, d, err)
		if more := d.RetryAfter - want; exact && (more > slack || more < -slack && (d.Allowed || len(w.replicas) == 1)) {
			w.failf("wait is %v, want %v", d.RetryAfter, want)
		}
	})
	synctest.Wait()
	if w.calm {
		w.answer()
	}
}

func (w *world) budgetsOf(customer int) ratelimit.Budgets {
	return budgetsFor(customer, w.rates[ratelimit.Global], w.rates[ratelimit.Caller], w.rates[ratelimit.Customer])
}

// slack is what the server's clock, which counts in microseconds, makes uncertain.
const slack = 2 * time.Microsecond

// foresee returns how long the call has to wait, and whether that is known: the server answers at
// once, and nothing was lost. A replica that refuses by itself may not know of the longest wait.
func (w *world) foresee(p *pod, budgets *ratelimit.Budgets) (time.Duration, bool) {
	wait := time.Duration(0)
	for limit, b := range budgets {
		if b.Rate.IsOff() {
			continue
		}
		debt := p.local.debt(fmt.Sprint(limit, b.Key))
		if b.IsShared() {
			debt = w.shared.debt(fmt.Sprint(limit, b.Key))
		}
		wait = max(wait, debt+b.Rate.Interval()-b.Rate.Refill())
	}
	return wait, w.calm
}

// pick takes a question that waits, or nil.
func (w *world) pick() *question {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.questions = slices.DeleteFunc(w.questions, func(q *question) bool { return q.ctx.Err() != nil })
	if len(w.questions) == 0 {
		return nil
	}
	return w.questions[w.random.IntN(len(w.questions))]
}

// decide has the server decide about a question, once.
func (w *world) decide(q *question) {
	if q.spent {
		return
	}
	q.spent = true
	q.answer = w.server.decide(q.budgets)
	q.allowed = q.answer.Allowed
	if !q.allowed || q.probe {
		return
	}
	for limit, b := range q.budgets {
		if !b.IsShared() {
			continue
		}
		ahead := w.shared.spend(fmt.Sprint(limit, b.Key), b.Rate.Interval())
		if ahead > b.Rate.Refill()+slack {
			w.failf("%v: all together were admitted more than %s", ratelimit.Limit(limit), b.Rate)
		}
	}
}

func (w *world) reply(q *question, err error) {
	w.mu.Lock()
	w.questions = slices.DeleteFunc(w.questions, func(other *question) bool { return other == q })
	w.mu.Unlock()
	q.replies <- err
	synctest.Wait()
}

// answer answers a question.
func (w *world) answer() {
	if q := w.pick(); q != nil {
		w.decide(q)
		w.reply(q, nil)
	}
}

// spendOnly decides about a question without an answer: that comes later or never.
func (w *world) spendOnly() {
	if q := w.pick(); q != nil {
		w.lost++
		w.decide(q)
	}
}

func (w *world) refuseAnswer() {
	if q := w.pick(); q != nil {
		w.lost++
		w.reply(q, errors.New("connection refused"))
	}
}

func (w *world) answerAll() {
	for w.pick() != nil {
		w.answer()
	}
}

func (w *world) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
	if w.calm {
		w.answerAll()
	}
}

// restart replaces a replica by one that remembers nothing.
func (w *world) restart() {
	w.restarts++
	i := w.random.IntN(len(w.replicas))
	w.replicas[i].stop()
	w.replicas[i] = w.newPod()
}

// heal has the server answer everything. Within the longest pause of the breaker, half as long
// again, and a probe that is lost, every replica shares again.
func (w *world) heal() {
	for range 350 {
		w.answerAll()
		w.pass(25 * time.Millisecond)
	}
	w.answerAll()
	for i, p := range w.replicas {
		if !p.limiter.breaker.is(up) {
			w.failf("replica %d does not share with a good server", i)
		}
	}
}

// rest waits until all budgets are full, and spends one: nothing of what was given back, forgotten
// or lost is missing, and nothing is too much.
func (w *world) rest() {
	w.server.skew += 24 * time.Hour // for the server, which may have been ahead
	for range 20 {
		w.pass(2 * time.Second)
		w.answerAll()
	}
	p, budgets := w.replicas[0], w.budgetsOf(1)
	burst := time.Duration(1 << 30)
	for _, b := range budgets {
		if !b.Rate.IsOff() {
			burst = min(burst, b.Rate.Refill()/b.Rate.Interval())
		}
	}
	before := w.admitted
	for range burst + 1 {
		w.callFor(p, 1)
		w.answerAll()
	}
	if n := w.admitted - before; n != int(burst) && !w.t.Failed() {
		w.failf("%d calls passed from rest, want %d", n, burst)
	}
}

// simServer decides as script.lua does. TestScriptDecidesAsItsModel holds the two together.
type simServer struct {
	clock func() time.Duration
	skew  time.Duration
	tats  map[string]int64
}

func (s *simServer) now() int64 { return int64((s.clock() + s.skew).Truncate(time.Microsecond)) }

func (s *simServer) decide(budgets *ratelimit.Budgets) ratelimit.Answer {
	var keys []string
	var args []int64
	for limit, b := range budgets {
		if b.IsShared() {
			keys = append(keys, fmt.Sprint(limit, b.Key))
			args = append(args, int64(b.Rate.Interval()), int64(b.Rate.Refill()))
		}
	}
	reply := s.script(keys, args)
	answer := ratelimit.Answer{Allowed: reply[0] == 1}
	for limit, rest := 0, reply[1:]; limit < len(budgets); limit++ {
		if budgets[limit].IsShared() {
			answer.Ahead[limit], rest = time.Duration(rest[0]), rest[1:]
		}
	}
	return answer
}

func (s *simServer) script(keys []string, args []int64) []int64 {
	now, reply := s.now(), []int64{1}
	for i, key := range keys {
		interval, refill := args[2*i], args[2*i+1]
		ahead := max(0, s.tats[key]-now)
		if ahead > refill {
			ahead = refill
			s.tats[key] = now + ahead
		}
		if ahead+interval > refill {
			reply[0] = 0
		}
		reply = append(reply, ahead)
	}
	if reply[0] == 1 {
		for i, key := range keys {
			reply[i+1] += args[2*i]
			s.tats[key] = now + reply[i+1]
		}
	}
	return reply
}
