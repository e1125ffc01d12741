package writer

import "github.com/chatidentity/chatidentity/server/internal/audit"

// sink takes whole batches of lines.
type sink interface {
	// commit makes lines durable as configured. After an error the next call
	// is given the same lines, and must not leave any of them twice.
	commit(lines []byte) error
	// full reports whether it is time to rotate.
	full() bool
	// rotate goes on in a new file, the chain in it from head on.
	rotate(head audit.Head) error
	// check looks after the sink once a second while nothing fails. It reports
	// whether the file is, or was since the last check, no longer the one that
	// was written to.
	check() bool
	// close syncs and releases the sink.
	close() error
}

// position is where a chain is taken up: the last record that is there.
type position struct {
	audit.Head

	keyID string
}

func openSink(o Options, m *metrics) (sink, position, error) {
	switch {
	case o.sink != nil:
		return o.sink, position{}, nil
	case o.File == "-":
		s, err := openStdout()
		return s, position{}, err
	default:
		return openFile(o, m)
	}
}
