package writer

import "github.com/chatidentity/chatidentity/server/internal/audit"

// sink takes whole batches of lines.
type sink interface {
	// commit makes lines durable as configured. After an error the next call has the same lines, and
	// must not leave any of them twice.
	commit(lines []byte) error
	// full reports whether it is time to rotate.
	full() bool
	// rotate goes on in a new file, in which the chain continues from head.
	rotate(head audit.Head) error
	// check looks after the sink, once a second while nothing fails.
	check()
	// close syncs and releases the sink.
	close() error
}

// openSink opens the place that the options name, and says where its chain stands. changed is
// called when somebody else has changed the file.
func openSink(o *Options, m *metrics, changed func()) (sink, position, error) {
	switch {
	case o.sink != nil:
		return o.sink, position{}, nil
	case o.File == Standard:
		s, err := openStandard()
		return s, position{}, err
	}
	device, found, err := openPlace(o, create)
	switch {
	case err != nil:
		return nil, position{}, err
	case device != nil:
		o.Logger.Warn(WarnDevice, "event", "audit_device", "path", o.File)
		return device, position{}, nil
	}
	s, err := newFileSink(o, m, found, changed)
	return s, found.from, err
}
