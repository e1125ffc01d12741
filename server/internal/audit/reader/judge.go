package reader

import (
	"context"
	"runtime"
	"sync"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

const (
	batchBytes = 256 << 10
	batchLines = 512
)

// record is what Verify needs of a line.
type record struct {
	audit.Head

	begins                bool // a chain.start
	time, instance, keyID []byte
}

func recordOf(l *audit.Line) record {
	return record{
		Head: l.Head, begins: string(l.Get("event")) == string(audit.EventStart),
		time: l.Get("time"), instance: l.Get("instance"), keyID: l.Get("key_id"),
	}
}

// judged is a line with what can be said of it without knowing whether those before it are right.
type judged struct {
	scanned
	record

	err error // why it is not a record
	// Whether it follows the line before it, as far as that says what its mac is.
	compared bool
	before   audit.MAC
	follows  bool
}

// batch is lines that are judged together, and their text.
type batch struct {
	text   []byte
	lines  []judged
	judged chan struct{} // has one when they are
}

func newBatch() *batch {
	return &batch{
		text: make([]byte, 0, batchBytes), lines: make([]judged, 0, batchLines), judged: make(chan struct{}, 1),
	}
}

// add copies a line, unless the batch is full. The whole line is kept only if more than the record
// is in it.
func (b *batch) add(line scanned) bool {
	if len(b.lines) == cap(b.lines) || len(b.text)+2*audit.MaxLine > cap(b.text) {
		return false
	}
	if len(line.line) <= len(line.text) {
		line.line = nil
	}
	line.text, line.line = b.keep(line.text), b.keep(line.line)
	b.lines = append(b.lines, judged{scanned: line})
	return true
}

// keep copies text, and of one that is too long enough to see that.
func (b *batch) keep(text []byte) []byte {
	start := len(b.text)
	b.text = append(b.text, text[:min(len(text), audit.MaxLine)]...)
	return b.text[start:len(b.text):len(b.text)]
}

// judge fills in what is known of each line, with linkers of its own.
func (b *batch) judge(linkers map[string]*audit.Linker) {
	var line audit.Line
	for i := range b.lines {
		j := &b.lines[i]
		if j.foreign {
			continue
		}
		if j.err = line.Parse(j.text); j.err != nil {
			if len(j.line) > 0 { // says more of the whole line
				j.err = line.Parse(j.line)
			}
			continue
		}
		j.record = recordOf(&line)
		if linker := linkers[string(j.keyID)]; linker != nil && i > 0 {
			j.before = b.lines[i-1].MAC
			j.compared, j.follows = true, line.Follows(j.before, linker)
		}
	}
	b.judged <- struct{}{}
}

// scanJudged passes each line of the sources, in order, to visit, judged on all processors before.
func (s *scanner) scanJudged(
	ctx context.Context, sources []Source, keys []*audit.Key, visit func(*judged) error,
) error {
	ctx, cancel := context.WithCancel(ctx)
	judges := runtime.GOMAXPROCS(0)
	todo, inOrder := make(chan *batch, judges), make(chan *batch, judges)
	free := make(chan *batch, 4*judges)
	for range cap(free) {
		free <- newBatch()
	}
	var running sync.WaitGroup
	for range judges {
		running.Go(func() {
			linkers := linkersOf(keys)
			for b := range todo {
				b.judge(linkers)
			}
		})
	}
	var failed error
	running.Go(func() { failed = s.scanBatches(ctx, sources, free, todo, inOrder) })
	err := visitInOrder(inOrder, free, visit, cancel)
	cancel()
	running.Wait()
	if err != nil {
		return err
	}
	return failed
}

// scanBatches fills batches and hands each to whoever judges it and, in order, to whoever visits it.
func (s *scanner) scanBatches(
	ctx context.Context, sources []Source, free <-chan *batch, todo, inOrder chan<- *batch,
) error {
	defer close(todo)
	defer close(inOrder)
	current := <-free
	pass := func() {
		todo <- current
		inOrder <- current
	}
	err := s.scan(ctx, sources, func(line scanned) error {
		if current.add(line) {
			return nil
		}
		pass()
		current = <-free
		current.add(line)
		return ctx.Err()
	})
	pass()
	return err
}

// visitInOrder visits the lines up to the first that visit objects to. It takes all batches, so that
// nobody waits for it.
func visitInOrder(inOrder <-chan *batch, free chan<- *batch, visit func(*judged) error, stop func()) error {
	var err error
	for b := range inOrder {
		<-b.judged
		for i := 0; i < len(b.lines) && err == nil; i++ {
			if err = visit(&b.lines[i]); err != nil {
				stop()
			}
		}
		b.text, b.lines = b.text[:0], b.lines[:0]
		free <- b
	}
	return err
}

func linkersOf(keys []*audit.Key) map[string]*audit.Linker {
	linkers := map[string]*audit.Linker{}
	for _, k := range keys {
		linkers[k.ID()] = audit.NewLinker(k)
	}
	return linkers
}
