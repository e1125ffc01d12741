//go:build unix

package writer

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"testing/synctest"
	"time"
)

// model is what may be observed. A token that was issued has one record for as long as nobody else
// touches the files; one that was refused has one or none; nothing else has any. What a start cuts
// off is kept.
type model struct {
	tokens   map[string]*token
	kept     [][]byte
	tails    [][]byte // that are kept once the log is open
	unsynced bool     // power was lost while nothing was synced
}

type token struct {
	acked   bool
	exposed bool // somebody else, or the number of files to keep, may have removed its record
}

// process is one run of the program.
type process struct {
	log   *Log
	view  *simView
	name  string
	ctx   context.Context //nolint:containedctx // of this process
	end   context.CancelFunc
	c     *committer // nil: the log is not open yet
	calls int        // that were recorded or counted, if it stops cleanly
	work  chan func()
	busy  bool // with a step that hangs
}

// start runs the program. Like Start, it goes on trying to open the log.
func (s *stage) start() {
	s.starts++
	s.look()
	o := s.o
	o.Instance = fmt.Sprint("process-", s.starts)
	p := &process{view: &simView{simDisk: s.disk}, work: make(chan func()), name: o.Instance}
	p.ctx, p.end = context.WithCancel(context.Background())
	o.disk = p.view
	log, err := newLog(o)
	if err != nil {
		s.t.Fatal(err)
	}
	p.log, s.process = log, p
	go func() {
		for do := range p.work {
			do()
			p.busy = false
		}
	}()
	p.log.failure.Store(notOpen(fmt.Errorf("it has not been tried")))
	s.open()
}

func (s *stage) open() {
	p := s.process
	s.work(func() {
		c, err := p.log.open()
		if err != nil {
			p.log.failure.Store(notOpen(err))
			return
		}
		p.c = c
		s.model.kept, s.model.tails = append(s.model.kept, s.model.tails...), nil
	})
}

// work has the goroutine that commits do something, unless it is busy.
func (s *stage) work(do func()) {
	p := s.process
	if p.busy {
		return
	}
	p.busy = true
	p.work <- do
	synctest.Wait()
}

// commits has the committer do something, or opens the log.
func (s *stage) commits(do func(*committer)) {
	p := s.process
	if p.c == nil {
		s.open()
		return
	}
	select {
	case <-p.log.queue.wake:
	default:
	}
	s.work(func() { do(p.c) })
}

// issue asks for a token.
func (s *stage) issue() {
	p, digest := s.process, fmt.Sprint("token-", len(s.model.tokens))
	token := new(token)
	s.model.tokens[digest] = token
	p.calls++
	go func() {
		began := time.Now()
		err := p.log.Write(p.ctx, issued(digest))
		if took := time.Since(began); took > p.log.o.Timeout {
			s.failf("a call waited %v", took)
		}
		if p.view.dead {
			return // nobody is there to be told
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if err == nil {
			token.acked = true
			s.taken++
		} else {
			s.refused++
		}
	}()
}

func (s *stage) refuse() {
	s.process.calls++
	r := refused(fmt.Sprint("caller-", s.random.IntN(3)), "RATE_LIMITED")
	if err := s.process.log.Write(s.process.ctx, r); err != nil {
		s.failf("a refusal was refused: %v", err)
	}
}

func (s *stage) pass(d time.Duration) {
	<-time.After(d)
	synctest.Wait()
}

// release lets go on what hangs.
func (s *stage) release() {
	if s.disk.hanging != nil {
		close(s.disk.hanging)
		synctest.Wait()
	}
}

// heal ends all faults. Within two seconds the log must take a token.
func (s *stage) heal() {
	s.disk.faulty, s.disk.hangs = 0, 0
	s.release()
	for range 4 {
		s.commits((*committer).commit)
		s.pass(300 * time.Millisecond)
		s.commits((*committer).housekeep)
	}
	if err := s.process.log.Available(); err != nil {
		s.failf("not available with a good disk: %v", err)
	}
	before := s.taken
	s.issue()
	synctest.Wait()
	s.commits((*committer).commit)
	if s.taken != before+1 {
		s.failf("a good disk did not take a token")
	}
}

// stop ends the process in good order. On a good disk every call is recorded or counted.
func (s *stage) stop() {
	p := s.process
	if p.busy || p.c == nil {
		s.kill()
		s.start()
		return
	}
	good := s.disk.faulty == 0 && s.disk.hangs == 0
	p.log.queue.close()
	for s.work(p.c.drain); p.busy; s.release() {
	}
	if good {
		s.stops++
		s.count(p)
		s.verify()
	}
	s.kill()
	s.start()
}

// kill ends the process at once. What it wrote stays where it is.
func (s *stage) kill() {
	p := s.process
	p.view.dead = true
	s.release()
	p.end()
	synctest.Wait()
	close(p.work)
	if p.c != nil {
		_ = unlock(p.log.sink.(*fileSink).lock)
		p.c = nil
	}
	synctest.Wait()
}

func (s *stage) losePower() {
	s.losses++
	if !s.process.view.dead {
		s.kill()
	}
	if s.o.NoSync {
		s.model.unsynced = true
		s.expose(func(string) bool { return true })
	}
	s.disk.losePower()
	s.start()
}

// look compares the disk with the model before a start, and notes which torn line that must keep: at
// once if it is durable, else from when the log is open.
func (s *stage) look() {
	s.check()
	s.model.tails = nil
	i := s.disk.names["audit.jsonl"]
	if i == nil || s.meddles {
		return
	}
	tail := slices.Clone(i.now[bytes.LastIndexByte(i.now, '\n')+1:])
	switch {
	case len(bytes.Trim(tail, "\x00")) == 0:
	case bytes.Equal(i.now, i.kept) && len(s.disk.journal) == 0:
		s.model.kept = append(s.model.kept, tail)
	default:
		s.model.tails = append(s.model.tails, tail)
	}
}
