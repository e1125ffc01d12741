package bed

import (
	"bytes"
	"slices"
	"sync"
)

// lines collects what is written, by line. The zero value holds none.
type lines struct {
	mu   sync.Mutex
	rest []byte
	all  []string
}

// Write takes any part of a line.
func (l *lines) Write(text []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, text...)
	for {
		line, rest, found := bytes.Cut(l.rest, []byte("\n"))
		if !found {
			return len(text), nil
		}
		l.all, l.rest = append(l.all, string(line)), rest
	}
}

// All returns the whole lines so far.
func (l *lines) All() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.all)
}

// gate throws away what is written, while it is not held. The zero value is open.
type gate struct{ mu sync.Mutex }

// Write waits while the gate is held.
func (g *gate) Write(text []byte) (int, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(text), nil
}

// Hold lets nothing through until release is called.
func (g *gate) Hold() (release func()) { //nolint:nonamedreturns // says what the function is for
	g.mu.Lock()
	return g.mu.Unlock
}
