package writer

import (
	"fmt"
	"io"

	"github.com/chatidentity/chatidentity/server/internal/audit"
)

// stream is a sink that cannot be synced or cut back: standard output, or a device.
type stream struct {
	name string
	w    io.WriteCloser
	done int // how much of the current lines is already out
}

const nameOfStandard = "standard output"

// commit goes on where an earlier attempt at the same lines stopped, so that a short write neither
// tears a line nor repeats one.
func (s *stream) commit(lines []byte) error {
	n, err := s.w.Write(lines[s.done:])
	s.done += n
	if err != nil {
		return fmt.Errorf("write to %s: %w", s.name, err)
	}
	s.done = 0
	return nil
}

func (*stream) full() bool { return false }

func (*stream) rotate(audit.Head) error { return nil }

func (*stream) check() {}

func (s *stream) close() error { return s.w.Close() }
