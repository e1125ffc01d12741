package writer

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/chatidentity/chatidentity/server/internal/outage"
)

const (
	// maxCopy bounds the lines that wait to be copied, in bytes. As many may be on their way out.
	maxCopy = 2 << 20
	// maxPipe is the most that a pipe takes whole or not at all, so that no line is torn: PIPE_BUF.
	maxPipe = 4 << 10
	// copyRetry is the pause after the reader of the copy could not be written to.
	copyRetry = time.Second
	// CopyTimeout is how long Close lets the copy catch up.
	CopyTimeout = 2 * time.Second
)

var errUnread = errors.New("its reader is too slow, or has stopped: records are missing from the copy")

// copier copies durable lines to another place at the pace of that place's reader. Nobody waits for
// it. When too many lines wait, it drops all further ones until those that wait are out, so that
// what is missing is missing in one piece.
type copier struct {
	to     *stream
	m      *metrics
	told   func(missing uint64) // called when a gap has ended
	outage *outage.Outage
	wake   chan struct{}
	closed chan struct{} // nobody offers lines any more
	late   chan struct{} // it is too late to write them
	ended  chan struct{}

	mu       sync.Mutex
	waiting  []byte
	left     uint64 // records that wait or are on their way out
	dropping bool
	missing  uint64 // records of the gap
	failure  error  // of the last write
}

func newCopier(to io.WriteCloser, name string, o *Options, m *metrics, told func(uint64)) *copier {
	c := &copier{
		to: &stream{name: name, w: to}, m: m, told: told,
		wake: make(chan struct{}, 1), closed: make(chan struct{}),
		late: make(chan struct{}), ended: make(chan struct{}),
	}
	c.outage = outage.New("audit_copy", o.Logger, c.state)
	return c
}

// state is why records do not reach the copy.
func (c *copier) state() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.failure == nil && c.dropping {
		return errUnread
	}
	return c.failure
}

// offer takes whole lines, or drops them. It does not wait.
func (c *copier) offer(lines []byte, records int) {
	c.mu.Lock()
	if !c.dropping && len(c.waiting)+len(lines) > maxCopy && c.left > 0 {
		c.dropping = true
	}
	dropped := c.dropping
	if dropped {
		c.missing += uint64(records) //nolint:gosec // a count
	} else {
		c.waiting = append(c.waiting, lines...)
		c.left += uint64(records) //nolint:gosec // a count
	}
	c.mu.Unlock()
	if dropped {
		c.m.copyDropped.Add(float64(records))
		c.outage.Look() // announces the first of a gap
		return
	}
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// run copies until close.
func (c *copier) run() {
	defer close(c.ended)
	for {
		select {
		case <-c.wake:
		case <-c.closed:
		}
		for lines := c.take(); len(lines) > 0; lines = c.take() {
			if !c.write(lines) {
				return
			}
		}
		c.caughtUp()
		select {
		case <-c.closed:
			return
		default:
		}
	}
}

func (c *copier) take() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	lines := c.waiting
	c.waiting = nil
	return lines
}

// write writes lines in pieces that a pipe takes whole, and tries each until it is out. It reports
// false when it is too late.
func (c *copier) write(lines []byte) bool {
	for len(lines) > 0 && !c.isLate() {
		piece := wholeLines(lines, maxPipe)
		err := c.to.commit(piece)
		c.wrote(piece, err)
		if err == nil {
			lines = lines[len(piece):]
			continue
		}
		select {
		case <-time.After(copyRetry):
		case <-c.late:
		}
	}
	return !c.isLate()
}

func (c *copier) isLate() bool {
	select {
	case <-c.late:
		return true
	default:
		return false
	}
}

// wholeLines returns the lines that fit, and one in any case.
func wholeLines(lines []byte, most int) []byte {
	if len(lines) <= most {
		return lines
	}
	if end := bytes.LastIndexByte(lines[:most], '\n'); end >= 0 {
		return lines[:end+1]
	}
	return lines[:bytes.IndexByte(lines, '\n')+1]
}

func (c *copier) wrote(piece []byte, err error) {
	records := uint64(0)
	if err == nil {
		records = uint64(bytes.Count(piece, []byte("\n"))) //nolint:gosec // a count
	}
	c.mu.Lock()
	changed := (c.failure == nil) != (err == nil)
	c.failure = err
	c.left -= records
	c.mu.Unlock()
	c.m.copied.Add(float64(records))
	if changed {
		c.outage.Look()
	}
}

// caughtUp ends the gap, if there is one: everything that waited is out.
func (c *copier) caughtUp() {
	c.mu.Lock()
	missing := uint64(0)
	if c.dropping && len(c.waiting) == 0 {
		missing = c.missing
		c.dropping, c.missing = false, 0
	}
	c.mu.Unlock()
	if missing > 0 {
		c.outage.Look()
		c.told(missing)
	}
}

// close lets the copy catch up, for CopyTimeout at most, and returns how many records are missing
// from it that no record tells of.
func (c *copier) close() uint64 {
	close(c.closed)
	late := time.NewTimer(CopyTimeout)
	defer late.Stop()
	select {
	case <-c.ended:
		_ = c.to.close() // everything is out
	case <-late.C: // a write that is stuck ends with the process
		close(c.late)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.m.copyDropped.Add(float64(c.left))
	return c.missing + c.left
}
