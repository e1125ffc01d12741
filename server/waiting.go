package main

import (
	"fmt"
	"time"
)

// patience is how long a command waits before it says what for.
const patience = time.Second

// waitingFor says on standard error what the command waits for, once it has waited for a second. Call
// stop when it waits no longer.
func (c *console) waitingFor(what string) (stop func()) { //nolint:nonamedreturns // says what it is for
	said := make(chan struct{})
	timer := time.AfterFunc(patience, func() {
		defer close(said)
		_, _ = fmt.Fprintf(c.err, "waiting for %s\n", what)
	})
	return func() {
		if !timer.Stop() {
			<-said // so that nothing else is written in its midst
		}
	}
}
